//! What is asked about rows that have no question of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use audsem_core::error::Error as CoreError;
use audsem_core::input::read_whole;
use rand::SeedableRng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::AudioBenchSet;
use crate::error::Error;

/// The wordings that ship with the program.
const BUILT_IN: &str = include_str!("instructions.toml");

const FILL: &str = "{fill}";

/// Pools of wordings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instructions {
    pools: BTreeMap<String, Pool>,
    wordings: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pool {
    wordings: String,
    fill: Option<String>,
}

impl Instructions {
    /// The wordings that ship with the program.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static BUILT: OnceLock<Instructions> = OnceLock::new();
        BUILT.get_or_init(|| Self::parse(BUILT_IN).expect("the built-in wordings are valid, as every test shows"))
    }

    /// The wordings of a file, or the built-in ones.
    ///
    /// # Errors
    /// The file cannot be read, is no such file, or lacks the wordings of a pool.
    pub fn open(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self::built_in().clone()) };
        let refuse = |problem: String| CoreError::input(path, problem);
        let text = String::from_utf8(read_whole(path)?).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
        Ok(Self::parse(&text).map_err(refuse)?)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for (name, pool) in &read.pools {
            let wordings = read.wordings.get(&pool.wordings).filter(|wordings| !wordings.is_empty());
            let wordings =
                wordings.ok_or_else(|| format!("pool `{name}`: there are no wordings `{}`", pool.wordings))?;
            let unlike = wordings.iter().find(|wording| wording.contains(FILL) != pool.fill.is_some());
            if let Some(wording) = unlike {
                return Err(format!("pool `{name}`: `fill` and {FILL} go together, but not in `{wording}`"));
            }
        }
        Ok(read)
    }

    /// Number of wordings of a pool; `None` if there is no such pool.
    #[must_use]
    pub fn n_wordings(&self, pool: &str) -> Option<usize> {
        let pool = self.pools.get(pool)?;
        self.wordings.get(&pool.wordings).map(Vec::len)
    }

    /// The wording for row `row` (from 0) of a data set: the same for the same seed; `None` if its pool is not there.
    #[must_use]
    pub fn of_row(&self, set: &AudioBenchSet, row: usize, seed: u64) -> Option<String> {
        let pool = self.pools.get(&set.question)?;
        let mut hasher = Sha256::new();
        hasher.update(seed.to_le_bytes());
        hasher.update((row as u64).to_le_bytes());
        hasher.update(set.name.as_bytes());
        let mut random = ChaCha8Rng::from_seed(hasher.finalize().into());
        let wording = self.wordings.get(&pool.wordings)?.choose(&mut random)?;
        Some(wording.replace(FILL, pool.fill.as_deref().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pools_have_the_published_sizes() {
        for (pool, n) in [
            ("transcribe", 9),
            ("transcribe-chinese", 10),
            ("translate-indonesian", 20),
            ("translate-chinese", 20),
            ("translate-tamil", 20),
            ("translate-english", 20),
            ("spoken-instruction", 10),
            ("describe", 1),
            ("emotion-iemocap", 10),
            ("emotion-meld", 10),
            ("sentiment", 10),
            ("gender", 10),
            ("accent", 10),
        ] {
            assert_eq!(Instructions::built_in().n_wordings(pool), Some(n), "{pool}");
        }
        for (name, wordings) in &Instructions::built_in().wordings {
            assert_eq!(wordings.iter().collect::<BTreeSet<_>>().len(), wordings.len(), "{name} has one twice");
        }
    }

    #[test]
    fn a_row_is_asked_the_same_for_the_same_seed() {
        let set = AudioBenchSet::named("iemocap_emotion_test").unwrap();
        let asked = |row, seed| Instructions::built_in().of_row(set, row, seed).unwrap();
        let first: Vec<String> = (0..200).map(|row| asked(row, 1)).collect();
        assert_eq!(first, (0..200).map(|row| asked(row, 1)).collect::<Vec<_>>());
        assert_ne!(first, (0..200).map(|row| asked(row, 2)).collect::<Vec<_>>());
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 10, "each wording is drawn");
        assert!(first.iter().all(|text| text.contains("frustration, anger, excited") && !text.contains('{')));
        let own = AudioBenchSet::named("clotho_aqa_test").unwrap();
        assert_eq!(Instructions::built_in().of_row(own, 0, 1), None);
    }

    #[test]
    fn faults_of_a_file_are_told() {
        for (text, expected) in [
            ("[pools]\na = { wordings = \"b\" }\n[wordings]\n", "pool `a`: there are no wordings `b`"),
            ("[pools]\na = { wordings = \"b\", fill = \"x\" }\n[wordings]\nb = [\"c\"]\n", "not in `c`"),
            ("[pools]\na = { wordings = \"b\" }\n[wordings]\nb = [\"{fill}\"]\n", "not in `{fill}`"),
            ("[pool]\n", "unknown field"),
        ] {
            let problem = Instructions::parse(text).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
