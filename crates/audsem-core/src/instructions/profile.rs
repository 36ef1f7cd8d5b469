//! Which instruction a question gets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the model shall write before its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReasoningStyle {
    /// Reasoning.
    Think,
    /// Reasoning, then the semantic elements heard.
    Semantic,
}

/// The instruction in front of a question: `none`, `think`, `semantic`, or one of the latter two with a number of words of
/// reasoning, as in `think:25`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct InstructionProfile {
    /// What is asked for before the answer; `None` gives the question alone.
    pub style: Option<ReasoningStyle>,
    /// Number of words of reasoning that is asked for.
    pub target_words: Option<u32>,
}

impl InstructionProfile {
    /// The question alone.
    pub const NONE: Self = Self { style: None, target_words: None };

    /// Whether answers are asked to name semantic elements.
    pub fn is_semantic(self) -> bool {
        self.style == Some(ReasoningStyle::Semantic)
    }
}

/// A text that names no instruction profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no instruction profile\nhint: none, think, semantic, or with a number of words as in think:25")]
pub struct UnknownProfile(String);

impl FromStr for InstructionProfile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        let unknown = || UnknownProfile(text.to_owned());
        let (name, words) = match text.split_once(':') {
            Some((name, words)) => (name, Some(words.parse::<u32>().ok().filter(|n| *n > 0).ok_or_else(unknown)?)),
            None => (text, None),
        };
        let style = match name {
            "none" if words.is_none() => None,
            "think" => Some(ReasoningStyle::Think),
            "semantic" => Some(ReasoningStyle::Semantic),
            _ => return Err(unknown()),
        };
        Ok(Self { style, target_words: words })
    }
}

impl fmt::Display for InstructionProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.style {
            None => "none",
            Some(ReasoningStyle::Think) => "think",
            Some(ReasoningStyle::Semantic) => "semantic",
        })?;
        match self.target_words {
            Some(words) => write!(f, ":{words}"),
            None => Ok(()),
        }
    }
}

impl Serialize for InstructionProfile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InstructionProfile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn profiles_are_written_as_they_are_read() {
        for text in ["none", "think", "semantic", "think:25", "semantic:100"] {
            let profile: InstructionProfile = text.parse().unwrap();
            assert_eq!(profile.to_string(), text);
            let json = serde_json::to_string(&profile).unwrap();
            assert_eq!(serde_json::from_str::<InstructionProfile>(&json).unwrap(), profile);
        }
        for text in ["", "Think", "none:3", "think:0", "think:", "think:-1", "long"] {
            let problem = text.parse::<InstructionProfile>().unwrap_err().to_string();
            assert!(problem.contains(&format!("`{text}` is no instruction profile")), "{problem}");
        }
    }
}
