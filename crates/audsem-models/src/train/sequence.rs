//! What a language model is trained on, and what a training asks of the model.
//!
//! Every objective here is a function of log-probabilities of tokens that were chosen: supervised fine-tuning of those
//! of the answer, with `-1 / N` as the derivative of each; reinforcement learning of those of what the model wrote.
//! A trainer gives that derivative, and the model does the rest.

use std::sync::Arc;

use candle_core::Var;

use super::Accumulated;
use crate::error::{Error, Result};
use crate::generate::CausalDecoder;
use crate::nn::Mode;

/// Mono samples at 16 kHz, shared between the sequences about one sound.
pub type Sound = Arc<[f32]>;

/// Tokens with the sounds they are about, and which of the tokens a model is to predict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingSequence {
    /// Token ids; for each sound as many audio tokens as the model makes vectors of it.
    pub tokens: Vec<u32>,
    /// Sounds in the order of their audio tokens.
    pub sounds: Vec<Sound>,
    /// Places in `tokens` that are predicted, each from all tokens before it; ascending, and none is 0.
    pub targets: Vec<usize>,
}

impl TrainingSequence {
    /// Refuses targets that cannot be predicted.
    ///
    /// # Errors
    /// A target is the first token, lies behind the last, or is not behind the target before it; or a sound has a
    /// sample that is not finite.
    pub fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(Error::Sequence { reason });
        let tokens = self.tokens.len();
        if let Some(target) = self.targets.iter().find(|target| !(1..tokens).contains(*target)) {
            return refuse(format!("token {target} of {tokens} cannot be predicted from those before it"));
        }
        if let Some(two) = self.targets.windows(2).find(|two| two[0] >= two[1]) {
            return refuse(format!("target {} stands behind target {}", two[1], two[0]));
        }
        if self.sounds.iter().flat_map(|sound| sound.iter()).any(|sample| !sample.is_finite()) {
            return refuse("a sound has a sample that is not finite".to_owned());
        }
        Ok(())
    }
}

/// What a model says of the targets of a sequence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetScores {
    /// Natural logarithm of the probability of each target at the temperature that was asked for.
    pub log_probs: Vec<f32>,
    /// Whether each target is the most probable token.
    pub correct: Vec<bool>,
}

/// The derivative of a loss by the log-probability of every target, from the scores of a whole batch.
pub type LossGradient<'a> = dyn FnMut(&[TargetScores]) -> Result<Vec<Vec<f32>>> + 'a;

/// A language model in training.
///
/// The sequences of a batch are packed without padding, and none sees another: what becomes of a sequence is the same
/// for every batch it is in, up to rounding.
pub trait TrainableModel {
    /// The tensors that are trained, by name, in a fixed order.
    fn vars(&self) -> &[(String, Var)];

    /// Vectors that the model makes of a sound of so many samples: the audio tokens that stand for it.
    ///
    /// # Errors
    /// The sound is too short for one vector.
    fn audio_tokens(&self, samples: usize) -> Result<usize>;

    /// Scores of the targets of each sequence, without dropout and without gradients. Logits are divided by
    /// `temperature`. Without `adapter` the scores are those of the network under its adapters, which is the reference
    /// policy where adapters alone are trained.
    ///
    /// # Errors
    /// A sequence that does not fit the model, memory, device.
    fn score(&self, batch: &[TrainingSequence], temperature: f64, adapter: bool) -> Result<Vec<TargetScores>>;

    /// Adds the gradients of a loss to `sum`. `loss` is called once, with the scores of all sequences in `mode`, and
    /// returns the derivative of the loss by each log-probability; the scale of the loss, as `1 / N` over all
    /// sequences of an update, belongs there.
    ///
    /// Every trained tensor gets a gradient, zeros where no sequence of the batch uses it.
    ///
    /// # Errors
    /// As [`TrainableModel::score`]; an error of `loss`, or derivatives of another number than there are targets.
    fn backward(
        &self,
        batch: &[TrainingSequence],
        temperature: f64,
        mode: Mode,
        loss: &mut LossGradient<'_>,
        sum: &mut Accumulated,
    ) -> Result<()>;

    /// The weights as they stand, with the adapters merged or left out, ready to generate. The snapshot does not
    /// change when the model is trained on.
    ///
    /// # Errors
    /// Memory or device.
    fn policy(&self, adapter: bool) -> Result<Box<dyn PolicySnapshot>>;
}

/// A model at one moment of its training, for generation.
pub trait PolicySnapshot {
    /// A decoder for prompts about these sounds, those of each prompt: to be given to
    /// [`generate`](crate::generate::generate) with as many prompts, in which the audio tokens are expanded.
    ///
    /// # Errors
    /// A sound is too short, or a sample is not finite; memory, device.
    fn decoder(&self, sounds: &[Vec<Sound>]) -> Result<Box<dyn CausalDecoder + '_>>;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn targets_need_tokens_before_them() {
        let with = |targets: &[usize]| TrainingSequence {
            tokens: vec![3, 4, 5],
            targets: targets.to_vec(),
            ..TrainingSequence::default()
        };
        with(&[]).validate().unwrap();
        with(&[1, 2]).validate().unwrap();
        for (targets, what) in [(&[0][..], "token 0"), (&[3], "token 3"), (&[2, 1], "behind"), (&[1, 1], "behind")] {
            let error = with(targets).validate().unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let broken = TrainingSequence { sounds: vec![Arc::from([0.0, f32::NAN])], ..with(&[1]) };
        assert!(broken.validate().unwrap_err().to_string().contains("not finite"));
    }
}
