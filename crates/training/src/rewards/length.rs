//! Is the reasoning as long as it was asked to be?

use audsem_core::answers::TaggedAnswer;
use serde::{Deserialize, Serialize};

use super::{Reward, RewardItem, RewardProgramError, RewardValue, each};

/// How the reward depends on the number of words, with 1 at most and 0 at least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LengthShape {
    /// Falls on both sides of the target, without a jump.
    #[default]
    Tent,
    /// As the published scripts: full below the target, even for no word at all, and falls from there.
    ReferenceLimit,
    /// As the published scripts with their flag that encourages the target length: rises up to the target, and jumps down
    /// behind it.
    ReferenceEncourage,
}

/// Rewards reasoning of about `target_words` words.
#[derive(Debug, Clone, Copy)]
pub struct LengthReward {
    /// The number of words asked for, L.
    pub target_words: u32,
    /// What each word of difference costs, alpha.
    pub alpha: f64,
    /// How much may be lost before the reward falls, delta.
    pub delta: f64,
    /// How the reward depends on the length.
    pub shape: LengthShape,
}

impl LengthReward {
    /// The reward of a reasoning of so many words.
    pub fn of_words(&self, words: usize) -> f64 {
        let missing = f64::from(self.target_words) - words as f64;
        let is_short = missing >= 0.0;
        let value = match self.shape {
            LengthShape::Tent => 1.0 - self.alpha * missing.abs() + self.delta,
            LengthShape::ReferenceEncourage if is_short => 1.0 - self.alpha * missing + self.delta,
            LengthShape::ReferenceEncourage | LengthShape::ReferenceLimit => self.alpha * missing + self.delta,
        };
        value.clamp(0.0, 1.0)
    }
}

impl Reward for LengthReward {
    fn name(&self) -> &str {
        "length"
    }

    fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardValue>, RewardProgramError> {
        Ok(each(items, |item| Ok(Some(self.of_words(TaggedAnswer::read(item.completion).thinking_words())))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reward(target_words: u32, shape: LengthShape) -> LengthReward {
        LengthReward { target_words, alpha: 0.1, delta: 0.5, shape }
    }

    /// Number of words, reward without and with encouragement.
    #[test]
    fn the_published_shapes_give_their_numbers() {
        let of_100 = [
            (0, 1.0, 0.0),
            (85, 1.0, 0.0),
            (86, 1.0, 0.1),
            (90, 1.0, 0.5),
            (94, 1.0, 0.9),
            (95, 1.0, 1.0),
            (96, 0.9, 1.0),
            (100, 0.5, 1.0),
            (101, 0.4, 0.4),
            (104, 0.1, 0.1),
            (105, 0.0, 0.0),
        ];
        let of_25 = [(15, 1.0, 0.5), (20, 1.0, 1.0), (25, 0.5, 1.0), (26, 0.4, 0.4), (30, 0.0, 0.0)];
        for (target, rows) in [(100, &of_100[..]), (25, &of_25[..])] {
            for &(words, limit, encourage) in rows {
                let value = |shape| reward(target, shape).of_words(words);
                assert!((value(LengthShape::ReferenceLimit) - limit).abs() < 1e-12, "{target} {words}");
                assert!((value(LengthShape::ReferenceEncourage) - encourage).abs() < 1e-12, "{target} {words}");
            }
        }
    }

    #[test]
    fn the_tent_has_no_jump_and_gives_nothing_for_silence() {
        let tent = reward(100, LengthShape::Tent);
        for (words, expected) in
            [(0, 0.0), (85, 0.0), (90, 0.5), (95, 1.0), (100, 1.0), (105, 1.0), (110, 0.5), (115, 0.0)]
        {
            assert!((tent.of_words(words) - expected).abs() < 1e-12, "{words}");
        }
        for words in 0..200 {
            let step = (tent.of_words(words + 1) - tent.of_words(words)).abs();
            assert!(step <= 0.1 + 1e-12, "{words}: {step}");
        }
    }
}
