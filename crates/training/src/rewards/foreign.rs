//! The rewards that other engines can compute with our Python file, as its settings.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::accuracy::AnswerRule;
use super::config::{RewardConfig, length};
use super::{AnswerForm, RewardConfigError};

/// The content of `rewards.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForeignRewards {
    /// Whether answers stand inside `<answer>`.
    tagged: bool,
    /// Whether semantic elements belong to the form.
    semantic: bool,
    /// The weight of each reward, in order.
    pub(crate) weights: Map<String, Value>,
    /// By which reward another one is multiplied.
    gates: Map<String, Value>,
    /// Settings of `length`.
    length: Value,
}

impl ForeignRewards {
    /// The settings of a configuration.
    ///
    /// # Errors
    /// A reward has no form in Python, or the configuration contradicts itself.
    pub fn of(config: &RewardConfig, form: AnswerForm) -> Result<Self, RewardConfigError> {
        let foreign = [
            ("bleu-4", config.bleu_4.is_some()),
            ("rouge-l", config.rouge_l.is_some()),
            ("cider-d", config.cider_d.is_some()),
            ("meteor", config.meteor.is_some()),
        ];
        if let Some((name, _)) = foreign.into_iter().find(|(_, is_there)| *is_there) {
            return Err(RewardConfigError::NotInPython(name.to_owned()));
        }
        if let Some(program) = config.program.first() {
            return Err(RewardConfigError::NotInPython(program.name.clone()));
        }
        // Refuses what contradicts itself.
        super::RewardSet::new(config, form)?;
        let (mut weights, mut gates) = (Map::new(), Map::new());
        let mut add = |name: &str, weight: f64, gate: Option<&str>| {
            weights.insert(name.to_owned(), json!(weight));
            if let Some(gate) = gate.filter(|gate| *gate != super::config::NO_GATE) {
                gates.insert(name.to_owned(), gate.into());
            }
        };
        if let Some(own) = &config.accuracy {
            if own.rule != AnswerRule::Means {
                return Err(RewardConfigError::NotInPython("accuracy of the published scripts".to_owned()));
            }
            add("accuracy", own.weight, None);
        }
        if let Some(own) = &config.format {
            add("format", own.weight, own.gate.as_deref());
        }
        if let Some(own) = &config.length {
            add("length", own.weight, Some(&own.gate));
        }
        if let Some(own) = &config.tags {
            add("tags", own.weight, own.gate.as_deref());
        }
        let length = config.length.as_ref().map(|own| length(own, form)).transpose()?;
        let length = length.map_or(Value::Null, |own| {
            json!({ "target_words": own.target_words, "alpha": own.alpha, "delta": own.delta, "shape": own.shape })
        });
        Ok(Self { tagged: form.is_tagged, semantic: form.is_semantic, weights, gates, length })
    }
}
