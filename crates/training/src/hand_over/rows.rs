//! Rows of the engines.

use audsem_core::row;
use serde_json::{Value, json};

row! {
    /// A turn of a conversation.
    pub struct VerlTurn / VerlTurnRef / VerlTurnColumns / VerlTurnBuffers {
        /// `system` or `user`.
        pub role: String,
        /// The text; `<audio>` stands for the sound.
        pub content: String,
    }
}

row! {
    /// What the reward compares with.
    pub struct RuleReward / RuleRewardRef / RuleRewardColumns / RuleRewardBuffers {
        /// `rule`: a function computes the reward.
        pub style: String,
        /// The right answer, or the reference caption.
        pub ground_truth: String,
    }
}

row! {
    /// What else the reward function gets.
    pub struct ExtraInfo / ExtraInfoRef / ExtraInfoColumns / ExtraInfoBuffers {
        /// Number of the example among all.
        pub index: u64,
        /// Key of the example.
        pub key: String,
        /// The options as `A. A dog`; none for an open question.
        pub choices: Vec<String>,
    }
}

row! {
    table "verl prompts";
    /// A prompt for reinforcement learning with verl-omni. Written by `audsem-training export-dataset`.
    pub struct VerlRow / VerlRowRef / VerlRowColumns / VerlRowBuffers {
        /// `audsem`.
        pub data_source: String,
        /// The turns before the answer.
        pub prompt: Vec<VerlTurn>,
        /// Path of the sound.
        pub audios: Vec<String>,
        /// `audio_mcq` for questions with options, else `audio_qa`.
        pub ability: String,
        /// The right answer.
        pub reward_model: RuleReward,
        /// Key and options.
        pub extra_info: ExtraInfo,
    }
}

/// Stands for the sound in a text.
const AUDIO: &str = "<audio>";

/// An example as rows are made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HandedOver {
    pub(super) index: u64,
    pub(super) key: String,
    pub(super) system: Option<String>,
    /// Instruction and question.
    pub(super) question: String,
    pub(super) answer: String,
    /// What is learned; absent for reinforcement learning.
    pub(super) target: Option<String>,
    pub(super) choices: Vec<String>,
    pub(super) sound: String,
}

impl HandedOver {
    /// The turns before the answer.
    fn turns(&self) -> Vec<(&'static str, String)> {
        let system = self.system.iter().map(|text| ("system", text.clone()));
        system.chain([("user", format!("{AUDIO}{}", self.question))]).collect()
    }

    /// The line that ms-swift reads.
    pub(super) fn swift_line(&self) -> String {
        let turn = |role: &str, content: &str| json!({ "role": role, "content": content });
        let mut messages: Vec<Value> = self.turns().iter().map(|(role, content)| turn(role, content)).collect();
        messages.extend(self.target.as_deref().map(|target| turn("assistant", target)));
        let mut row = json!({ "messages": messages, "audios": [self.sound] });
        if self.target.is_none() {
            row["solution"] = self.answer.as_str().into();
            row["choices"] = self.choices.as_slice().into();
            row["key"] = self.key.as_str().into();
        }
        format!("{row}\n")
    }

    /// The row that verl-omni reads.
    pub(super) fn verl_row(&self) -> VerlRow {
        let turns = self.turns().into_iter();
        let ability = if self.choices.is_empty() { "audio_qa" } else { "audio_mcq" };
        VerlRow {
            data_source: "audsem".to_owned(),
            prompt: turns.map(|(role, content)| VerlTurn { role: role.to_owned(), content }).collect(),
            audios: vec![self.sound.clone()],
            ability: ability.to_owned(),
            reward_model: RuleReward { style: "rule".to_owned(), ground_truth: self.answer.clone() },
            extra_info: ExtraInfo { index: self.index, key: self.key.clone(), choices: self.choices.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn example() -> HandedOver {
        HandedOver {
            index: 7,
            key: "k".to_owned(),
            system: Some("S".to_owned()),
            question: "What barks?".to_owned(),
            answer: "A. A dog".to_owned(),
            target: None,
            choices: vec!["A. A dog".to_owned(), "B. A door".to_owned()],
            sound: "/data/k.flac".to_owned(),
        }
    }

    #[test]
    fn rows_for_rewards_hold_no_answer_of_the_assistant() {
        let row: Value = serde_json::from_str(&example().swift_line()).unwrap();
        assert_eq!(
            row,
            json!({
                "messages": [{ "role": "system", "content": "S" }, { "role": "user", "content": "<audio>What barks?" }],
                "audios": ["/data/k.flac"], "solution": "A. A dog", "choices": ["A. A dog", "B. A door"], "key": "k",
            })
        );
        let verl = example().verl_row();
        assert_eq!(verl.prompt[1].content, "<audio>What barks?");
        assert_eq!((verl.ability.as_str(), verl.extra_info.index), ("audio_mcq", 7));
    }

    #[test]
    fn rows_for_fine_tuning_hold_what_is_learned_and_nothing_else() {
        let target = Some("<answer>A. A dog</answer>".to_owned());
        let row: Value = serde_json::from_str(&HandedOver { target, system: None, ..example() }.swift_line()).unwrap();
        assert_eq!(
            row,
            json!({
                "messages": [
                    { "role": "user", "content": "<audio>What barks?" },
                    { "role": "assistant", "content": "<answer>A. A dog</answer>" },
                ],
                "audios": ["/data/k.flac"],
            })
        );
    }
}
