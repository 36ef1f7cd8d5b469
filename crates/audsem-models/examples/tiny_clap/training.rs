//! Contrastive training: of each batch, every sound is to find its caption and every caption its sound.

use audsem_models::clap::{Clap, Config, Features};
use audsem_models::nn::{Mode, Params};
use audsem_models::tokenizer::Tokenizer;
use audsem_models::tokens::batch;
use audsem_models::train::{AdamW, AdamWConfig, Schedule};
use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::sounds::KINDS;
use crate::{Outcome, stacked};

/// Peak of the learning rate.
const LEARNING_RATE: f64 = 2e-3;

/// What training works with.
pub(crate) struct Training<'a> {
    /// The network.
    pub config: &'a Config,
    /// Its tensors.
    pub params: &'a Params,
    /// Captions to ids.
    pub encoder: &'a Tokenizer,
    /// Sounds of each kind.
    pub sounds: &'a [Vec<Features>],
}

impl Training<'_> {
    /// Trains for `steps` batches of one sound of each kind. Gives the mean loss of the last ten.
    pub(crate) fn run(&self, steps: usize, seed: u64) -> Outcome<f64> {
        self.measure_bands()?;
        let model = Clap::load(&self.params.var_builder(DType::F32, &Device::Cpu), self.config)?;
        let learned = self.params.vars().into_iter().filter(|(name, _)| !name.contains("running_")).collect();
        let mut optimizer = AdamW::new(learned, AdamWConfig { weight_decay: 0.01, ..AdamWConfig::default() })?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut last = Vec::new();
        for step in 0..steps {
            let loss = self.loss(&model, &mut rng, Mode::Train { seed, step: step as u64 })?;
            optimizer.step(&loss.backward()?, LEARNING_RATE * Schedule::Linear.factor(step, steps / 10, steps))?;
            last.push(f64::from(loss.to_scalar::<f32>()?));
            if step % 50 == 0 {
                eprintln_loss(step, last[step]);
            }
        }
        let tail = &last[last.len().saturating_sub(10)..];
        Ok(tail.iter().sum::<f64>() / tail.len().max(1) as f64)
    }

    /// Mean and variance of each mel band, for the batch norm in front.
    fn measure_bands(&self) -> Outcome<()> {
        let all: Vec<&Features> = self.sounds.iter().flatten().collect();
        let mel = stacked(&all)?; // (N, 1, T, F)
        let bands = mel.dim(3)?;
        let frames = mel.reshape((mel.elem_count() / bands, bands))?;
        let prefix = "audio_model.audio_encoder.batch_norm";
        self.params.set(&format!("{prefix}.running_mean"), &frames.mean(0)?)?;
        self.params.set(&format!("{prefix}.running_var"), &frames.var(0)?)?;
        Ok(())
    }

    fn loss(&self, model: &Clap, rng: &mut ChaCha8Rng, mode: Mode) -> Outcome<Tensor> {
        let sounds: Option<Vec<&Features>> = self.sounds.iter().map(|sounds| sounds.choose(rng)).collect();
        let sounds = sounds.ok_or("a kind without sounds")?;
        let captions = KINDS.iter().filter_map(|kind| kind.captions.choose(rng));
        let ids = captions.map(|caption| self.encoder.ids(caption)).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let (ids, mask) = batch(&ids, self.config.text_config.pad_token_id, &Device::Cpu)?;
        let audio = model.embed_audio(&stacked(&sounds)?, &vec![false; sounds.len()])?; // (B, D)
        let text = model.embed_text(&ids, mask.as_ref(), mode)?; // (B, D)
        let cosines = audio.matmul(&text.t()?)?; // (B, B)
        let (of_audio, of_text) = model.logit_scales()?;
        let own = Tensor::arange(0, sounds.len() as u32, &Device::Cpu)?;
        let finds = |logits: &Tensor| candle_nn::loss::cross_entropy(logits, &own);
        let sum =
            finds(&cosines.broadcast_mul(&of_audio)?)? + finds(&cosines.t()?.contiguous()?.broadcast_mul(&of_text)?)?;
        Ok((sum? / 2.0)?)
    }
}

#[allow(clippy::print_stderr, reason = "this is the program's progress")]
fn eprintln_loss(step: usize, loss: f64) {
    eprintln!("step {step}: loss {loss:.3}");
}
