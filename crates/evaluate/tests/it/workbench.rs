//! A temporary folder in which the binary is called.

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
}
