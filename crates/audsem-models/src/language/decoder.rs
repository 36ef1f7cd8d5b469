//! Generation with a language network.

use candle_core::Tensor;

use super::LanguageNetwork;
use super::network::SequenceCache;
use crate::error::Result;
use crate::generate::CausalDecoder;

/// A network with the sequences it is reading.
#[derive(Debug)]
pub struct LanguageDecoder<'a> {
    network: &'a LanguageNetwork,
    sequences: Vec<SequenceCache>,
}

impl<'a> LanguageDecoder<'a> {
    /// Begins without sequences.
    #[must_use]
    pub fn new(network: &'a LanguageNetwork) -> Self {
        Self { network, sequences: Vec::new() }
    }

    /// As [`CausalDecoder::prefill`], with the vectors (T, D) of each prompt in place of its tokens: see
    /// [`LanguageNetwork::embed`].
    ///
    /// # Errors
    /// A prompt is empty or longer than the network's positions; shapes, memory, device.
    pub fn prefill_embedded(&mut self, prompts: &[Tensor]) -> Result<Vec<Vec<f32>>> {
        self.sequences.clear();
        prompts.iter().map(|prompt| self.admit_embedded(prompt)).collect()
    }

    /// Reads one more prompt, by its vectors (T, D), beside the sequences that are being continued: it becomes the last row.
    /// The logits (V) of the token after it. Prompts are read one by one, so that what is read together, and with it the last
    /// bits, belongs to the prompt alone.
    ///
    /// # Errors
    /// As for [`LanguageDecoder::prefill_embedded`]; the other sequences are as they were.
    pub fn admit_embedded(&mut self, prompt: &Tensor) -> Result<Vec<f32>> {
        let mut cache = self.network.empty_cache();
        let logits = self.network.read(prompt, &mut cache)?;
        self.sequences.push(cache);
        Ok(logits)
    }
}

impl CausalDecoder for LanguageDecoder<'_> {
    fn prefill(&mut self, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let embedded = prompts.iter().map(|prompt| self.network.embed(prompt)).collect::<Result<Vec<_>>>()?;
        self.prefill_embedded(&embedded)
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
        self.network.step(tokens, &mut self.sequences)
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        let mut old: Vec<Option<SequenceCache>> = self.sequences.drain(..).map(Some).collect();
        for (at, &row) in rows.iter().enumerate() {
            let is_last_use = !rows[at + 1..].contains(&row);
            let cache = match old.get_mut(row) {
                Some(cache) if is_last_use => cache.take(),
                Some(Some(cache)) => Some(cache.fork()?),
                _ => None,
            };
            let missing = || candle_core::Error::Msg(format!("row {row} of {} sequences", old.len())).into();
            self.sequences.push(cache.ok_or_else(|| -> crate::Error { missing() })?);
        }
        Ok(())
    }
}
