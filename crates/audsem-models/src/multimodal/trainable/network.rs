//! A language model that hears, as chains of steps.

use candle_core::{Device, Tensor, Var};
use candle_nn::VarBuilder;

use super::kept::KeptHalves;
use super::pack::{Limits, Packed};
use super::tower::HearingTower;
use crate::error::{Error, Result};
use crate::language::LanguageConfig;
use crate::nn::{Angles, DecoderStack, Embedding, Linear, Mode};
use crate::train::head::{Head, Scored};
use crate::train::layerwise::{Chain, Step, StepFunction, Tape};
use crate::train::{Accumulated, LossGradient, TargetScores, TrainingSequence};

/// Where the tensors of the language model lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct LanguageNames {
    /// What `embed_tokens`, `layers` and `norm` stand below.
    pub(super) model: &'static str,
    /// The head.
    pub(super) head: &'static str,
}

/// Tensors that are trained, by name.
pub(super) type NamedVars<'a> = &'a [(String, Var)];

/// The network. It does not own what is trained.
pub(super) struct Network {
    tower: Box<dyn HearingTower>,
    table: Embedding,
    pub(super) stack: DecoderStack,
    head: Tensor, // (V, D)
    names: LanguageNames,
    /// Name of the head, or of the token table where both are one.
    head_name: String,
    limits: Limits,
    device: Device,
}

/// How a batch is gone through.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) batch: &'a [TrainingSequence],
    pub(super) temperature: f64,
    pub(super) mode: Mode,
    /// What of the language model keeps its graph.
    pub(super) kept: KeptHalves,
}

impl Network {
    /// Loads the language model. Places for pictures or videos, where the network has such tokens, are refused.
    ///
    /// # Errors
    /// A tensor is missing or of another shape; a kind of network that has no training form; an adapter beside the head.
    pub(super) fn load(
        vb: &VarBuilder<'_>,
        tower: Box<dyn HearingTower>,
        config: &LanguageConfig,
        (names, audio_token, vision_tokens): (LanguageNames, u32, Option<[u32; 2]>),
    ) -> Result<Self> {
        let (model, dim) = (vb.pp(names.model), config.hidden_size);
        let table = Embedding::load(&model.pp("embed_tokens"), config.vocab_size, dim, 0.02)?;
        let stack = DecoderStack::load(&model, &config.decoder()?)?;
        let (head, head_name) = match config.tie_word_embeddings {
            true => (table.table().clone(), format!("{}.embed_tokens.weight", names.model)),
            false => {
                let head = Linear::load_no_bias(&vb.pp(names.head), dim, config.vocab_size, 0.02)?;
                if head.adapter().is_some() {
                    return Err(Error::unsupported("target_modules", &names.head, "layers other than the head"));
                }
                (head.weight().clone(), format!("{}.weight", names.head))
            }
        };
        let (vocab_size, max_tokens) = (config.vocab_size, config.max_position_embeddings);
        let limits = Limits { audio_token, vision_tokens, vocab_size, max_tokens };
        Ok(Self { tower, table, stack, head, names, head_name, limits, device: vb.device().clone() })
    }

    /// Vectors of a sound of so many samples.
    pub(super) fn audio_tokens(&self, samples: usize) -> Result<usize> {
        self.tower.vectors(samples)
    }

    /// Scores of the targets, without a graph.
    pub(super) fn score(&self, pass: Pass<'_>) -> Result<Vec<TargetScores>> {
        let packed = self.pack(pass)?;
        let sounds = match packed.sounds.is_empty() {
            true => None,
            false => Some(self.hearing(&packed, pass, &[])?.run(&self.features(&packed)?)?),
        };
        let x = packed.merge(&self.embed(&packed)?, sounds.as_ref())?;
        let angles = self.angles(&packed)?;
        let states = packed.predicting(&self.reading(&packed, &angles, pass, &[]).run(&x)?)?;
        let scored = self.head(pass.temperature).score(&states, &packed.targets, false)?;
        Ok(scored.split(packed.targets_of_sequences()))
    }

    /// Adds the gradients of `vars` to `sum`; those of a tower that has heard nothing are not there.
    pub(super) fn backward(
        &self,
        pass: Pass<'_>,
        vars: NamedVars<'_>,
        loss: &mut LossGradient<'_>,
        sum: &mut Accumulated,
    ) -> Result<()> {
        let packed = self.pack(pass)?;
        let heard: Option<Tape<'_>> = match packed.sounds.is_empty() {
            true => None,
            false => Some(self.hearing(&packed, pass, vars)?.record(&self.features(&packed)?, false)?),
        };
        let sounds = heard.as_ref().map(|heard| heard.output.clone());
        let x = packed.merge(&self.embed(&packed)?, sounds.as_ref())?;
        let table = format!("{}.embed_tokens.weight", self.names.model);
        let is_table_trained = self.table.table().track_op();
        let is_tower_trained = vars.iter().any(|(name, _)| !self.is_of_language(name));
        let angles = self.angles(&packed)?;
        let read = self.reading(&packed, &angles, pass, vars).record(&x, is_table_trained || is_tower_trained)?;

        let grad = self.through_head(&packed, &read.output, pass, (vars, loss), sum)?;
        let Some(grad) = read.back(&grad, vars, sum)? else { return Ok(()) };
        if is_table_trained {
            sum.add_tensor(&table, &packed.of_table(&grad, self.limits.vocab_size)?)?;
        }
        if let (Some(heard), Some(sounds)) = (heard.filter(|_| is_tower_trained), sounds) {
            heard.back(&packed.of_sounds(&grad, sounds.dim(0)?)?, vars, sum)?;
        }
        Ok(())
    }

    /// The gradient (1, T, D) of the states (1, T, D) behind the last layer.
    fn through_head(
        &self,
        packed: &Packed,
        states: &Tensor,
        pass: Pass<'_>,
        (vars, loss): (NamedVars<'_>, &mut LossGradient<'_>),
        sum: &mut Accumulated,
    ) -> Result<Tensor> {
        let (head, states) = (self.head(pass.temperature), packed.predicting(states)?);
        let scored: Scored = head.score(&states, &packed.targets, true)?;
        let scores = scored.split(packed.targets_of_sequences());
        let derivatives = packed.derivatives(&scores, loss)?;
        let named = (vars, self.head_name.as_str());
        let grad = head.back(&states, &packed.targets, (&scored, &derivatives), named, sum)?;
        Ok(packed.spread(&grad)?)
    }

    pub(super) fn pack(&self, pass: Pass<'_>) -> Result<Packed> {
        if !(pass.temperature.is_finite() && pass.temperature > 0.0) {
            let reason = format!("a temperature of {}, not above 0", pass.temperature);
            return Err(Error::Sequence { reason });
        }
        Packed::new(pass.batch, self.limits, |samples| self.tower.vectors(samples))
    }

    pub(super) fn features(&self, packed: &Packed) -> Result<Tensor> {
        self.tower.features(&packed.sounds)
    }

    pub(super) fn angles(&self, packed: &Packed) -> Result<Angles> {
        Ok(self.stack.angles(&packed.positions(&self.device)?)?)
    }

    /// Vectors (T, D) of the tokens, without a graph.
    pub(super) fn embed(&self, packed: &Packed) -> Result<Tensor> {
        let ids = Tensor::new(packed.tokens.as_slice(), &self.device)?;
        Ok(self.table.forward(&ids)?.detach())
    }

    pub(super) fn head(&self, temperature: f64) -> Head<'_> {
        Head { norm: self.stack.norm(), weight: &self.head, temperature }
    }

    /// Whether a tensor belongs to the language model.
    fn is_of_language(&self, name: &str) -> bool {
        [self.names.model, self.names.head]
            .iter()
            .any(|part| name.strip_prefix(part).is_some_and(|rest| rest.starts_with('.')))
    }

    /// The tower.
    pub(super) fn hearing<'a>(&'a self, packed: &Packed, pass: Pass<'_>, vars: NamedVars<'_>) -> Result<Chain<'a>> {
        let samples: Vec<usize> = packed.sounds.iter().map(|sound| sound.len()).collect();
        let steps = self.tower.steps(&samples, pass.mode)?.into_iter();
        // Gone back last: a graph of the tower would be kept while the language model is gone through.
        let steps = steps.map(|step| Step {
            is_trained: is_any_of(vars, &step.names),
            run: StepFunction::Graph(step.run),
            is_kept: false,
        });
        Ok(Chain { steps: steps.collect() })
    }

    /// The layers of the language model, each as two steps.
    pub(super) fn reading<'a>(
        &'a self,
        packed: &'a Packed,
        angles: &'a Angles,
        Pass { mode, kept, .. }: Pass<'_>,
        vars: NamedVars<'_>,
    ) -> Chain<'a> {
        let layers = self.stack.layers();
        let is_trained = |n: usize, parts: [&str; 2]| {
            is_any_of(vars, &parts.map(|part| format!("{}.layers.{n}.{part}.", self.names.model)))
        };
        let attention = |n| Step {
            is_trained: is_trained(n, ["input_layernorm", "self_attn"]),
            is_kept: n + kept.attention >= layers,
            run: self.attention(n, angles, &packed.cu_seqlens, mode),
        };
        let feed_forward = |n| Step {
            is_trained: is_trained(n, ["post_attention_layernorm", "mlp"]),
            is_kept: n + kept.feed_forward >= layers,
            run: self.feed_forward(n, mode),
        };
        Chain { steps: (0..layers).flat_map(|n| [attention(n), feed_forward(n)]).collect() }
    }
}

/// The halves of layers.
impl Network {
    fn attention<'a>(&'a self, n: usize, angles: &'a Angles, cu_seqlens: &'a [usize], mode: Mode) -> StepFunction<'a> {
        match self.stack.attention_half(n, mode) {
            Some(half) => StepFunction::Own(Box::new(move |x: &Tensor| Ok(half.forward(x, angles, cu_seqlens)?))),
            None => StepFunction::Graph(Box::new(move |x: &Tensor| {
                Ok(self.stack.attend_packed(n, x, angles, cu_seqlens, mode)?)
            })),
        }
    }

    fn feed_forward(&self, n: usize, mode: Mode) -> StepFunction<'_> {
        match self.stack.feed_forward_half(n) {
            Some(half) => StepFunction::Own(Box::new(move |x: &Tensor| Ok(half.forward(x)?))),
            None => StepFunction::Graph(Box::new(move |x: &Tensor| Ok(self.stack.feed_forward(n, x, mode)?))),
        }
    }
}

/// Whether a tensor that is trained has a name that begins so.
fn is_any_of(vars: NamedVars<'_>, names: &[String]) -> bool {
    vars.iter().any(|(var, _)| names.iter().any(|name| var.starts_with(name.as_str())))
}
