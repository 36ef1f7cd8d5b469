//! `export-config`: a script that trains with another engine, with our rewards beside it.

use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::files::{create_folder, write_atomically};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Engine, TrainingKind};
use crate::error::{Error, Result};
use crate::rewards::{AnswerForm, ForeignRewards, RewardConfig};

/// The rewards, in Python.
const REWARDS: &str = include_str!("templates/audsem_rewards.py");
/// Name of that file.
const REWARDS_FILE: &str = "audsem_rewards.py";
/// Settings of the rewards.
const SETTINGS_FILE: &str = "rewards.json";
/// The script.
const SCRIPT_FILE: &str = "train.sh";

/// The loss, as both engines have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum EngineLoss {
    /// As the published models were trained
    Grpo,
    /// Over the tokens of all completions
    Dapo,
    /// With one ratio for each completion
    #[default]
    Gspo,
}

/// Settings of `export-config`.
#[derive(Debug, Clone)]
pub struct RecipeConfig {
    /// The engine.
    pub engine: Engine,
    /// What it does.
    pub kind: TrainingKind,
    /// Folder or hub id of the model.
    pub model: String,
    /// Folder of an adapter to begin with.
    pub adapter: Option<PathBuf>,
    /// Run folder of `export-dataset`.
    pub dataset: PathBuf,
    /// Run folder of `export-dataset` with held-out examples; verl-omni needs one.
    pub valid: Option<PathBuf>,
    /// The rewards.
    pub rewards: RewardConfig,
    /// The form of answers.
    pub form: AnswerForm,
    /// The loss.
    pub loss: EngineLoss,
    /// The weight of the distance to the reference policy.
    pub beta: f64,
}

/// The loss by the names of the engines.
#[derive(Serialize)]
struct LossNames {
    name: &'static str,
    /// ms-swift.
    loss_type: &'static str,
    level: &'static str,
    /// verl.
    mode: &'static str,
    aggregation: &'static str,
    epsilon_low: f64,
    epsilon_high: f64,
    beta: f64,
}

impl EngineLoss {
    fn names(self, beta: f64) -> LossNames {
        let plain = LossNames {
            name: "GRPO",
            loss_type: "grpo",
            level: "token",
            mode: "vanilla",
            aggregation: "seq-mean-token-mean",
            epsilon_low: 0.2,
            epsilon_high: 0.2,
            beta,
        };
        match self {
            Self::Grpo => plain,
            Self::Dapo => {
                LossNames { name: "DAPO", loss_type: "dapo", aggregation: "token-mean", epsilon_high: 0.28, ..plain }
            }
            Self::Gspo => {
                let (epsilon_low, epsilon_high) = crate::grpo::objective::LossKind::Gspo.usual_clipping();
                LossNames { name: "GSPO", level: "sequence", mode: "gspo", epsilon_low, epsilon_high, ..plain }
            }
        }
    }
}

/// Writes script, rewards and their settings into `folder`; returns the files.
///
/// # Errors
/// The engine does not do this, a reward has no form in Python, or the folder cannot be written.
pub fn write_recipe(config: &RecipeConfig, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![(SCRIPT_FILE, script(config)?)];
    if config.kind == TrainingKind::Grpo {
        let settings = ForeignRewards::of(&config.rewards, config.form)?;
        let json = serde_json::to_string_pretty(&settings).map_err(|error| problem(error.to_string()))?;
        files.extend([(REWARDS_FILE, REWARDS.to_owned()), (SETTINGS_FILE, json + "\n")]);
    }
    create_folder(folder)?;
    let mut written = Vec::with_capacity(files.len());
    for (name, text) in files {
        let path = folder.join(name);
        write_atomically(&path, text.as_bytes())?;
        written.push(path);
    }
    Ok(written)
}

fn script(config: &RecipeConfig) -> Result<String> {
    let template = match (config.engine, config.kind) {
        (Engine::MsSwift, TrainingKind::Grpo) => include_str!("templates/ms-swift-grpo.sh"),
        (Engine::MsSwift, TrainingKind::Sft) => include_str!("templates/ms-swift-sft.sh"),
        (Engine::VerlOmni, TrainingKind::Grpo) => include_str!("templates/verl-omni-grpo.sh"),
        (Engine::VerlOmni, TrainingKind::Sft) => {
            return Err(problem("verl-omni is for reinforcement learning\nhint: choose --engine ms-swift".to_owned()));
        }
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("only white space is configured"));
    environment.add_filter("shell", |text: String| quoted(&text));
    environment.add_filter("prefixed", |name: String| format!("audsem_{name}"));
    let values = minijinja::value::Serde(values(config)?);
    let text = environment.render_str(template, values);
    text.map_err(|error| problem(format!("the built-in recipe cannot be filled in: {error:#}")))
}

fn values(config: &RecipeConfig) -> Result<Value> {
    let absolute = |path: &Path| -> Result<PathBuf> { Ok(std::path::absolute(path).map_err(CoreError::read(path))?) };
    let shown = |path: PathBuf| path.display().to_string();
    let rewards: Vec<Value> = match config.kind {
        TrainingKind::Grpo => {
            let weights = ForeignRewards::of(&config.rewards, config.form)?.weights;
            weights.iter().map(|(name, weight)| json!({ "name": name, "weight": weight })).collect()
        }
        TrainingKind::Sft => Vec::new(),
    };
    let dataset = absolute(&config.dataset)?;
    let mut values = json!({
        "model": config.model, "tuner": "tuner_type", "dataset": shown(dataset.clone()), "rewards": rewards,
        "adapter": config.adapter.as_deref().map(absolute).transpose()?.map(shown), "loss": config.loss.names(config.beta),
    });
    if config.engine == Engine::VerlOmni {
        let valid = config.valid.as_deref().ok_or_else(|| {
            problem(
                "verl-omni needs held-out examples\nhint: export some, and name their folder with --valid".to_owned(),
            )
        })?;
        values["train_files"] = list(&dataset)?.into();
        values["valid_files"] = list(&absolute(valid)?)?.into();
    }
    Ok(values)
}

/// The tables of a data set as a list of Hydra.
fn list(folder: &Path) -> Result<String> {
    let files: Vec<String> =
        audsem_core::tables::parts(folder, "part")?.iter().map(|path| format!("'{}'", path.display())).collect();
    Ok(format!("[{}]", files.join(",")))
}

/// A word of a shell, whatever it holds.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/@:+".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn problem(problem: String) -> Error {
    CoreError::Config { what: "export-config".to_owned(), problem }.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(engine: Engine, kind: TrainingKind, dataset: &Path) -> RecipeConfig {
        RecipeConfig {
            engine,
            kind,
            model: "Qwen/Qwen2.5-Omni-7B".to_owned(),
            adapter: None,
            dataset: dataset.to_owned(),
            valid: None,
            rewards: RewardConfig::parse("[accuracy]\n[format]\nweight = 0.5\n").unwrap(),
            form: AnswerForm { is_tagged: true, ..AnswerForm::default() },
            loss: EngineLoss::Gspo,
            beta: 0.0,
        }
    }

    #[test]
    fn words_of_a_shell_stay_one_word() {
        for (text, expected) in [
            ("a/b-c.d", "a/b-c.d"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(rm -rf x)", "'$(rm -rf x)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn a_recipe_names_rewards_weights_and_loss() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_recipe(&config(Engine::MsSwift, TrainingKind::Grpo, folder.path()), folder.path()).unwrap();
        assert_eq!(files.len(), 3);
        let script = std::fs::read_to_string(folder.path().join("train.sh")).unwrap();
        for line in [
            "    --reward_funcs audsem_accuracy audsem_format \\\n",
            "    --reward_weights 1.0 0.5 \\\n",
            "    --importance_sampling_level sequence \\\n",
            "    --epsilon 0.0003 \\\n",
        ] {
            assert!(script.contains(line), "{line}: {script}");
        }
        assert!(!script.contains("--adapters") && script.ends_with("\"$@\"\n"), "{script}");
        let settings: Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("rewards.json")).unwrap()).unwrap();
        assert_eq!(settings["weights"], json!({ "accuracy": 1.0, "format": 0.5 }));
    }

    #[test]
    fn what_an_engine_cannot_do_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |config: &RecipeConfig| write_recipe(config, folder.path()).unwrap_err().to_string();
        let sft = config(Engine::VerlOmni, TrainingKind::Sft, folder.path());
        assert!(refused(&sft).contains("reinforcement learning"));
        let blind = config(Engine::VerlOmni, TrainingKind::Grpo, folder.path());
        assert!(refused(&blind).contains("--valid"));
        let mut bleu = config(Engine::MsSwift, TrainingKind::Grpo, folder.path());
        bleu.rewards = RewardConfig::parse("[accuracy]\n[bleu-4]\n").unwrap();
        assert!(refused(&bleu).contains("`bleu-4` has no form in Python"));
    }
}
