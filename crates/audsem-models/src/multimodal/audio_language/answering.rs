//! Many questions, of which so many are answered at a time. An answer that ends makes room for the next question, so that
//! short answers do not wait for long ones.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::ops::ControlFlow;

use audsem_core::signals::stop_requested;
use candle_core::Tensor;

use super::{AudioAnswer, AudioLanguageModel};
use crate::error::{Error, Result};
use crate::generate::{Batch, Generated, GenerationConfig, GenerationRequest, Sequences};
use crate::language::LanguageDecoder;
use crate::multimodal::MultimodalNetwork as _;
use crate::multimodal::processor::refused;

/// A question as tokens and sounds, and how it is answered.
pub(super) struct Prompted {
    pub(super) tokens: Vec<u32>,
    /// Mono samples at [`crate::multimodal::SAMPLE_RATE_HZ`].
    pub(super) sounds: Vec<Vec<f32>>,
    pub(super) seed: u64,
    pub(super) config: GenerationConfig,
}

/// Takes the number of a question and its answers, the best first, or why it has none. Says whether others are to follow.
pub(super) type Answered<'a> = dyn FnMut(usize, Result<Vec<AudioAnswer>>) -> ControlFlow<()> + 'a;

/// What was asked, without its sounds.
struct Begun {
    request: GenerationRequest,
    config: GenerationConfig,
}

impl AudioLanguageModel {
    /// Answers the questions of these numbers in this order, at most `most` at a time; `prompted` gives each when its turn has
    /// come, so that no more sounds are in memory than are heard. Answers depend on their own question and seed, never on what
    /// else is answered; what is wrong with a question fails it alone. Where memory runs out, fewer are answered at a time.
    /// Ends early where `answered` says so, or when the process is asked to stop.
    ///
    /// # Errors
    /// The network fails, so that no question can be answered.
    pub(super) fn answer_each(
        &self,
        order: &[usize],
        most: usize,
        prompted: &dyn Fn(usize) -> Result<Prompted>,
        answered: &mut Answered<'_>,
    ) -> Result<()> {
        // Restarted questions find what they have begun with.
        let places = order.iter().max().map_or(0, |last| last + 1);
        let begun: Vec<OnceCell<Begun>> = (0..places).map(|_| OnceCell::new()).collect();
        let (mut waiting, mut most): (VecDeque<usize>, usize) = (order.iter().copied().collect(), most.max(1));
        let mut decoder = LanguageDecoder::new(self.network().language());
        let mut batch = Batch::new();
        let mut goes_on = true;
        while goes_on && !stop_requested() {
            while goes_on
                && batch.len() < most
                && !stop_requested()
                && let Some(number) = waiting.pop_front()
            {
                batch.drop_ended(&mut decoder)?;
                match prompted(number).and_then(|prompted| self.begin(prompted, &begun[number], &mut decoder)) {
                    Ok((sequences, logits)) => batch.add(number, sequences, logits),
                    Err(error) if error.is_out_of_memory() && batch.len() > 0 => {
                        waiting.push_front(number);
                        most = fewer(batch.len(), &error);
                    }
                    Err(error) => goes_on &= answered(number, Err(error)).is_continue(),
                }
            }
            if batch.len() == 0 {
                return Ok(());
            }
            let advanced = batch.advance(&mut decoder, &mut |number, sequences: Sequences<'_>, result| {
                let tokens = begun[number].get().map_or(0, |begun| begun.request.prompt.len());
                let answers = result.and_then(|()| self.answers(sequences.generated(), tokens));
                goes_on &= answered(number, answers).is_continue();
            });
            let Err(error) = advanced else { continue };
            // Some layers may have read the tokens and others not: all rows begin anew.
            let given_up = batch.give_up();
            decoder = LanguageDecoder::new(self.network().language());
            match given_up.as_slice() {
                _ if !error.is_out_of_memory() => return Err(error),
                [only] => goes_on &= answered(*only, Err(error)).is_continue(),
                several => {
                    most = fewer(several.len() / 2, &error);
                    several.iter().rev().for_each(|number| waiting.push_front(*number));
                }
            }
        }
        Ok(())
    }

    /// Hears the sounds of a question and reads it. A bound on tokens beyond what the network has positions for is lowered to
    /// that.
    fn begin<'b>(
        &self,
        prompted: Prompted,
        begun: &'b OnceCell<Begun>,
        decoder: &mut LanguageDecoder<'_>,
    ) -> Result<(Sequences<'b>, Vec<f32>)> {
        let Prompted { tokens, sounds, seed, config } = prompted;
        let longest = self.network().language().max_tokens();
        let room = longest.saturating_sub(tokens.len());
        if room == 0 {
            return Err(Error::TextLength { tokens: tokens.len(), longest: longest.saturating_sub(1) });
        }
        config.validate()?;
        let begun = begun.get_or_init(|| {
            let max_new_tokens = Some(config.max_new_tokens.unwrap_or(room).min(room));
            let config = GenerationConfig { max_new_tokens, ..config };
            Begun { request: GenerationRequest { prompt: tokens, seed }, config }
        });
        let sequences = Sequences::new(&begun.request, &begun.config)?;
        let heard = sounds.iter().map(|sound| self.network().embed_audio(sound)).collect::<Result<Vec<Tensor>>>()?;
        let logits = decoder.admit_embedded(&self.network().merge(&begun.request.prompt, &heard)?)?;
        Ok((sequences, logits))
    }

    fn answers(&self, generated: Vec<Generated>, prompt_tokens: usize) -> Result<Vec<AudioAnswer>> {
        let answer = |Generated { tokens, finish, score }: Generated| {
            let text = self.processor().tokenizer().decode(&tokens, true).map_err(refused)?;
            Ok(AudioAnswer { text, tokens, finish, score, prompt_tokens })
        };
        generated.into_iter().map(answer).collect()
    }
}

/// Says that fewer questions are answered at a time from here on.
fn fewer(most: usize, error: &Error) -> usize {
    let most = most.max(1);
    tracing::warn!("so many answers do not fit into memory ({error}); continuing with {most} at a time");
    most
}
