//! Whether the model got the sounds it was asked about, by their tokens.

use crate::item::EvaluationItem;
use crate::prediction::{HeardSound, Prediction};

/// Tokens around a sound, which are counted with it: the template of Qwen2-Audio has eight of them (`Audio 1: `, the marks of
/// begin and end, and a line break), that of Qwen2.5-Omni two. They are as many as 320 ms of sound have.
const MARKS_PER_SOUND: u64 = 8;

/// What the tokens of a question say of its sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenAudit {
    /// As many as the model's own processor makes, up to the marks around a sound.
    Ok,
    /// More: the sounds were padded, for instance to windows of 30 s.
    Padded,
    /// Fewer: a part of the sounds was cut off.
    Truncated,
    /// None: the model did not get the sounds at all.
    Deaf,
    /// A count is missing.
    Unknown,
    /// No sounds were given, on purpose or because there are none.
    Silent,
}

impl TokenAudit {
    /// Every verdict.
    pub const ALL: [Self; 6] = [Self::Ok, Self::Padded, Self::Truncated, Self::Deaf, Self::Unknown, Self::Silent];

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Padded => "padded",
            Self::Truncated => "truncated",
            Self::Deaf => "deaf",
            Self::Unknown => "unknown",
            Self::Silent => "silent",
        }
    }

    /// What it means, for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Ok => "as many sound tokens as the model's own processor makes",
            Self::Padded => "more sound tokens than the sound has: padded",
            Self::Truncated => "fewer sound tokens than the sound has: a part was cut off",
            Self::Deaf => "no sound tokens: the model did not get the sound",
            Self::Unknown => "tokens were not counted, or the expected number is not known",
            Self::Silent => "no sound was given",
        }
    }

    /// The verdict on a prediction.
    #[must_use]
    pub fn of(prediction: &Prediction) -> Self {
        if !gives_sound(prediction.heard, &prediction.item) {
            return Self::Silent;
        }
        let expected = expected_tokens(prediction);
        let (Some(expected), Some(prompt), Some(text)) = (expected, prediction.prompt_tokens, prediction.text_tokens)
        else {
            return Self::Unknown;
        };
        let (found, marks) = (prompt.saturating_sub(text), MARKS_PER_SOUND * prediction.sounds.len() as u64);
        match found {
            _ if found <= marks && expected > marks => Self::Deaf,
            _ if found < expected => Self::Truncated,
            _ if found > expected + marks => Self::Padded,
            _ => Self::Ok,
        }
    }
}

fn gives_sound(heard: HeardSound, item: &EvaluationItem) -> bool {
    heard != HeardSound::Nothing && !item.sounds.is_empty()
}

/// The tokens of all sounds; `None` where that of one is not known, or there are none.
#[must_use]
pub fn expected_tokens(prediction: &Prediction) -> Option<u64> {
    let all = prediction.sounds.iter().map(|sound| sound.expected_tokens).sum::<Option<u64>>();
    all.filter(|_| !prediction.sounds.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prediction::SoundAudit;
    use crate::score::testing::prediction;

    #[test]
    fn tokens_tell_what_became_of_a_sound() {
        let check = |expected: Option<u64>, prompt: Option<u64>, text: Option<u64>| {
            let mut asked = prediction("1", "A. dog");
            asked.sounds = vec![SoundAudit { duration_ms: 10_000, given_ms: 10_000, expected_tokens: expected }];
            (asked.prompt_tokens, asked.text_tokens) = (prompt, text);
            TokenAudit::of(&asked).name()
        };
        for (prompt, verdict) in [
            (350, "ok"),
            (352, "ok"),
            (358, "ok"),
            (359, "padded"),
            (850, "padded"),
            (349, "truncated"),
            (109, "truncated"),
            (108, "deaf"),
            (100, "deaf"),
            (90, "deaf"),
        ] {
            assert_eq!(check(Some(250), Some(prompt), Some(100)), verdict, "{prompt}");
        }
        assert_eq!(check(None, Some(350), Some(100)), "unknown");
        assert_eq!(check(Some(250), None, Some(100)), "unknown");
        assert_eq!(check(Some(250), Some(350), None), "unknown");
        let mut blind = prediction("1", "A. dog");
        blind.heard = HeardSound::Nothing;
        assert_eq!(TokenAudit::of(&blind), TokenAudit::Silent);
    }
}
