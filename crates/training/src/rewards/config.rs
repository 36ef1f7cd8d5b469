//! Which rewards there are, with their weights: a TOML file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use audsem_core::error::{Error as CoreError, Result as CoreResult};
use audsem_core::input::read_whole;
use audsem_metrics::caption::ReferenceCorpus;
use audsem_metrics::meteor::WordNet;
use serde::{Deserialize, Serialize};

use super::accuracy::{Accuracy, AnswerRule};
use super::answer_form::AnswerForm;
use super::caption::{Bleu4, CiderD, Meteor, RougeL};
use super::form::{FormatReward, TagReward};
use super::length::{LengthReward, LengthShape};
use super::program::ProgramReward;
use super::{Reward, RewardSet, Weighted};

/// Words of reasoning that are rewarded where neither the file nor the instruction names a number.
const TARGET_WORDS: u32 = 100;

/// Turns a gate off.
pub(super) const NO_GATE: &str = "none";

/// Rewards that contradict each other or the form of answers.
#[derive(Debug, thiserror::Error)]
pub enum RewardConfigError {
    /// The file is not of the form.
    #[error("rewards: {0}")]
    Form(String),
    /// There is no reward.
    #[error("rewards: there is none\nhint: name at least one, such as [accuracy]")]
    Empty,
    /// Two rewards have the same name.
    #[error("rewards: two are called `{0}`")]
    SameName(String),
    /// A gate names no reward.
    #[error(
        "rewards: `{reward}` is multiplied by `{gate}`, which is no reward of the file\nhint: add [{gate}], or write gate = \"none\""
    )]
    NoGate {
        /// The reward.
        reward: String,
        /// What it names.
        gate: String,
    },
    /// A reward is about tags that answers do not have.
    #[error("rewards: `{0}` is about tags, which answers do not have\nhint: choose another --target or --instruction")]
    NoTags(&'static str),
    /// Our Python file for other engines does not know a reward.
    #[error(
        "rewards: `{0}` has no form in Python for other engines\nhint: leave it out, or train with `audsem-training grpo`"
    )]
    NotInPython(String),
    /// A number lies outside its range.
    #[error("rewards: {name} of `{reward}` is {value}; {expected}")]
    Range {
        /// The reward.
        reward: String,
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// The synonyms of `meteor` cannot be read.
    #[error("rewards: `meteor` needs the files of WordNet 3.0\n{0}")]
    WordNet(#[source] CoreError),
}

/// The weight of a reward that has no settings of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PlainConfig {
    pub(super) weight: f64,
    pub(super) gate: Option<String>,
}

impl Default for PlainConfig {
    fn default() -> Self {
        Self { weight: 1.0, gate: None }
    }
}

/// Settings of `accuracy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AccuracyConfig {
    pub(super) weight: f64,
    pub(super) rule: AnswerRule,
}

impl Default for AccuracyConfig {
    fn default() -> Self {
        Self { weight: 1.0, rule: AnswerRule::default() }
    }
}

/// Settings of `length`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LengthConfig {
    pub(super) weight: f64,
    pub(super) gate: String,
    pub(super) target_words: Option<u32>,
    pub(super) alpha: f64,
    pub(super) delta: f64,
    pub(super) shape: LengthShape,
}

impl Default for LengthConfig {
    fn default() -> Self {
        let gate = "accuracy".to_owned();
        Self { weight: 1.0, gate, target_words: None, alpha: 0.1, delta: 0.5, shape: LengthShape::default() }
    }
}

/// Settings of `meteor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MeteorConfig {
    /// The folder with the files `index.*`, `data.*` and `*.exc` of WordNet.
    pub(super) wordnet: PathBuf,
    #[serde(default = "one")]
    pub(super) weight: f64,
    #[serde(default)]
    pub(super) gate: Option<String>,
}

/// Settings of a reward that a program gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramConfig {
    pub(super) name: String,
    pub(super) command: Vec<String>,
    #[serde(default = "one")]
    pub(super) weight: f64,
    #[serde(default)]
    pub(super) gate: Option<String>,
    #[serde(default = "ten_minutes")]
    pub(super) timeout_s: f64,
}

fn one() -> f64 {
    1.0
}

fn ten_minutes() -> f64 {
    600.0
}

/// The rewards of a file. A table that is there turns its reward on, even if it is empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RewardConfig {
    pub(super) accuracy: Option<AccuracyConfig>,
    pub(super) format: Option<PlainConfig>,
    pub(super) length: Option<LengthConfig>,
    pub(super) tags: Option<PlainConfig>,
    #[serde(rename = "bleu-4")]
    pub(super) bleu_4: Option<PlainConfig>,
    pub(super) rouge_l: Option<PlainConfig>,
    pub(super) cider_d: Option<PlainConfig>,
    pub(super) meteor: Option<MeteorConfig>,
    pub(super) program: Vec<ProgramConfig>,
}

impl RewardConfig {
    /// Accuracy and format, as the published scripts have them; accuracy alone where no tags are asked for.
    pub fn usual(form: AnswerForm) -> Self {
        let format = form.is_tagged.then(PlainConfig::default);
        Self { accuracy: Some(AccuracyConfig::default()), format, ..Self::default() }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// The text is not TOML, or has an unknown reward or setting.
    pub fn parse(text: &str) -> Result<Self, RewardConfigError> {
        toml::from_str(text).map_err(|error| RewardConfigError::Form(error.to_string()))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read or is not of the form.
    pub fn open(path: &Path) -> CoreResult<Self> {
        let text = String::from_utf8(read_whole(path)?).map_err(|_| CoreError::input(path, "not UTF-8"))?;
        Self::parse(&text).map_err(|error| CoreError::input(path, error.to_string()))
    }

    /// Compares answers by another rule.
    #[must_use]
    pub fn with_rule(mut self, rule: AnswerRule) -> Self {
        if let Some(accuracy) = &mut self.accuracy {
            accuracy.rule = rule;
        }
        self
    }

    /// Whether a reward compares completions with all references, which must be known before the first one is scored.
    pub fn needs_references(&self) -> bool {
        self.cider_d.is_some()
    }
}

/// The rewards of a file that are still to be connected.
#[derive(Default)]
struct Assembly {
    rewards: Vec<(Box<dyn Reward>, f64, Option<String>)>,
}

impl Assembly {
    fn add(&mut self, reward: impl Reward + 'static, weight: f64, gate: Option<&str>) {
        let gate = gate.filter(|gate| *gate != NO_GATE).map(str::to_owned);
        self.rewards.push((Box::new(reward), weight, gate));
    }

    fn add_plain(&mut self, reward: impl Reward + 'static, config: &PlainConfig) {
        self.add(reward, config.weight, config.gate.as_deref());
    }

    fn connect(self) -> Result<RewardSet, RewardConfigError> {
        let names: Vec<String> = self.rewards.iter().map(|(reward, ..)| reward.name().to_owned()).collect();
        if names.is_empty() {
            return Err(RewardConfigError::Empty);
        }
        if let Some((_, twice)) = names.iter().enumerate().find(|(n, name)| names[..*n].contains(name)) {
            return Err(RewardConfigError::SameName(twice.clone()));
        }
        type Unconnected = (Box<dyn Reward>, f64, Option<String>);
        let weighted = |(reward, weight, gate): Unconnected| -> Result<Weighted, RewardConfigError> {
            let name = reward.name().to_owned();
            in_range(&name, "the weight", weight, weight.is_finite(), "it must be a number")?;
            let place = gate.map(|gate| match names.iter().position(|name| *name == gate) {
                Some(place) if names[place] != name => Ok(place),
                _ => Err(RewardConfigError::NoGate { reward: name, gate }),
            });
            Ok(Weighted { reward, weight, gate: place.transpose()? })
        };
        Ok(RewardSet {
            rewards: self.rewards.into_iter().map(weighted).collect::<Result<Vec<_>, RewardConfigError>>()?,
        })
    }
}

fn in_range(
    reward: &str,
    name: &'static str,
    value: f64,
    is_good: bool,
    expected: &'static str,
) -> Result<(), RewardConfigError> {
    match is_good {
        true => Ok(()),
        false => Err(RewardConfigError::Range { reward: reward.to_owned(), name, value, expected }),
    }
}

impl RewardSet {
    /// The rewards of a configuration, for completions of a form.
    ///
    /// # Errors
    /// The configuration contradicts itself or the form.
    pub fn new(config: &RewardConfig, form: AnswerForm) -> Result<Self, RewardConfigError> {
        Self::with_references(config, form, ReferenceCorpus::default())
    }

    /// As [`RewardSet::new`], with the reference captions of the whole data set, by which CIDEr-D weights words.
    ///
    /// # Errors
    /// As [`RewardSet::new`].
    pub fn with_references(
        config: &RewardConfig,
        form: AnswerForm,
        corpus: ReferenceCorpus,
    ) -> Result<Self, RewardConfigError> {
        let AnswerForm { is_tagged, is_semantic, .. } = form;
        let mut rewards = Assembly::default();
        let about_tags = [("format", config.format.is_some()), ("length", config.length.is_some())];
        for (name, is_there) in about_tags.into_iter().chain([("tags", config.tags.is_some())]) {
            if is_there && !is_tagged {
                return Err(RewardConfigError::NoTags(name));
            }
        }
        if let Some(own) = &config.accuracy {
            rewards.add(Accuracy { rule: own.rule, is_tagged }, own.weight, None);
        }
        if let Some(own) = &config.format {
            rewards.add_plain(FormatReward { is_semantic }, own);
        }
        if let Some(own) = &config.length {
            rewards.add(length(own, form)?, own.weight, Some(&own.gate));
        }
        if let Some(own) = &config.tags {
            rewards.add_plain(TagReward { is_semantic }, own);
        }
        add_captions(&mut rewards, config, is_tagged, corpus)?;
        for own in &config.program {
            in_range(&own.name, "timeout_s", own.timeout_s, own.timeout_s > 0.0, "it must be above zero")?;
            let limit = Duration::try_from_secs_f64(own.timeout_s).unwrap_or(Duration::MAX);
            let reward = ProgramReward::new(own.name.clone(), own.command.clone(), limit);
            rewards.add(reward, own.weight, own.gate.as_deref());
        }
        rewards.connect()
    }
}

pub(super) fn length(own: &LengthConfig, form: AnswerForm) -> Result<LengthReward, RewardConfigError> {
    let LengthConfig { alpha, delta, shape, .. } = *own;
    in_range("length", "alpha", alpha, alpha > 0.0 && alpha.is_finite(), "it must be above zero")?;
    in_range("length", "delta", delta, (0.0..=1.0).contains(&delta), "it must lie between 0 and 1")?;
    let target_words = own.target_words.or(form.target_words).unwrap_or(TARGET_WORDS);
    Ok(LengthReward { target_words, alpha, delta, shape })
}

fn add_captions(
    rewards: &mut Assembly,
    config: &RewardConfig,
    is_tagged: bool,
    corpus: ReferenceCorpus,
) -> Result<(), RewardConfigError> {
    if let Some(own) = &config.bleu_4 {
        rewards.add_plain(Bleu4 { is_tagged }, own);
    }
    if let Some(own) = &config.rouge_l {
        rewards.add_plain(RougeL { is_tagged }, own);
    }
    if let Some(own) = &config.cider_d {
        rewards.add_plain(CiderD::new(is_tagged, corpus), own);
    }
    if let Some(own) = &config.meteor {
        let wordnet = WordNet::open(&own.wordnet).map_err(RewardConfigError::WordNet)?;
        rewards.add(Meteor::new(is_tagged, wordnet), own.weight, own.gate.as_deref());
    }
    Ok(())
}
