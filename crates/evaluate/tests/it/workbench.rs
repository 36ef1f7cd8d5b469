//! A temporary folder in which the binary is called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audsem_core::tables::{Row, read_parquet};

/// A temporary folder in which the binary is called.
pub(crate) struct Bench(audsem_core::testing::Bench);

impl std::ops::Deref for Bench {
    type Target = audsem_core::testing::Bench;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self(audsem_core::testing::Bench::new(env!("CARGO_BIN_EXE_audsem-evaluate")))
    }

    pub(crate) fn rows<R: Row>(&self, name: &str) -> Vec<R> {
        read_parquet(&self.path(name)).unwrap()
    }

    /// Every file of a run folder that does not hold times, with its content hashed.
    pub(crate) fn tree(&self, name: &str) -> BTreeMap<PathBuf, String> {
        audsem_core::testing::tree(&self.path(name)).unwrap()
    }
}

/// A file of `fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}
