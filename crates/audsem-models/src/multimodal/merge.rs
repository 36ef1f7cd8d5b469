//! Vectors of sounds and pictures among those of a prompt's tokens, and a decoder that reads them together.

use std::ops::Range;

use candle_core::{Error as TensorError, Tensor};

use crate::error::Result;
use crate::generate::CausalDecoder;
use crate::language::{LanguageDecoder, LanguageNetwork};

/// A network whose language model reads vectors of sounds or pictures among those of tokens.
pub trait MultimodalNetwork {
    /// What a prompt is about, in vectors that the language model reads.
    type Media;

    /// The language model.
    fn language(&self) -> &LanguageNetwork;

    /// Vectors (T, D) of a prompt and of what it is about.
    ///
    /// # Errors
    /// The prompt has no place for what it is about, or a token is not in the vocabulary.
    fn merge(&self, prompt: &[u32], media: &Self::Media) -> Result<Tensor>;

    /// A decoder that continues prompts, of which each is about one of `media`.
    fn decoder(&self, media: Vec<Self::Media>) -> MultimodalDecoder<'_, Self>
    where
        Self: Sized,
    {
        MultimodalDecoder { network: self, media, language: LanguageDecoder::new(self.language()) }
    }
}

/// Answers in the making. Each prompt is read alone, so that none depends on the length of the others.
#[derive(Debug)]
pub struct MultimodalDecoder<'a, N: MultimodalNetwork> {
    network: &'a N,
    media: Vec<N::Media>,
    language: LanguageDecoder<'a>,
}

impl<N: MultimodalNetwork> CausalDecoder for MultimodalDecoder<'_, N> {
    fn prefill(&mut self, prompts: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        if prompts.len() != self.media.len() {
            let message = format!("{} prompts about the media of {}", prompts.len(), self.media.len());
            return Err(TensorError::Msg(message).into());
        }
        let merged = prompts.iter().zip(&self.media).map(|(prompt, media)| self.network.merge(prompt, media));
        let merged = merged.collect::<Result<Vec<_>>>()?;
        self.language.prefill_embedded(&merged)
    }

    fn step(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
        self.language.step(tokens)
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        self.language.select(rows)
    }
}

/// Puts other vectors in the place of ranges of a prompt's vectors (T, D). The ranges ascend; what stands for an empty one
/// goes in front of its token.
///
/// # Errors
/// A range begins before the end of the one before it, or ends behind the prompt; vectors have another width.
pub(crate) fn splice(text: &Tensor, replaced: &[(Range<usize>, Tensor)]) -> Result<Tensor> {
    if replaced.is_empty() {
        return Ok(text.clone());
    }
    let tokens = text.dim(0)?;
    let (mut parts, mut read) = (Vec::new(), 0);
    for (range, vectors) in replaced {
        if range.start < read || range.end < range.start || range.end > tokens {
            let message = format!(
                "vectors at {} to {} of a prompt of {tokens}, of which {read} are read",
                range.start, range.end
            );
            return Err(TensorError::Msg(message).into());
        }
        if range.start > read {
            parts.push(text.narrow(0, read, range.start - read)?);
        }
        parts.push(vectors.to_dtype(text.dtype())?);
        read = range.end;
    }
    if read < tokens {
        parts.push(text.narrow(0, read, tokens - read)?);
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// The ranges of `place` tokens in a prompt, each with its part of the vectors (N, D) of `media` in order, for [`splice`].
///
/// # Errors
/// There are not as many places as vectors.
pub(crate) fn fill_places(prompt: &[u32], place: u32, media: &[Tensor]) -> Result<Vec<(Range<usize>, Tensor)>> {
    let places = prompt.iter().filter(|id| **id == place).count();
    let vectors = media.iter().map(|vectors| vectors.dim(0)).sum::<candle_core::Result<usize>>()?;
    if places != vectors {
        let message = format!("a prompt with places for {places} vectors, and sounds or pictures of {vectors}");
        return Err(TensorError::Msg(message).into());
    }
    if media.is_empty() {
        return Ok(Vec::new());
    }
    let media = Tensor::cat(media, 0)?;
    let (mut filled, mut at, mut used) = (Vec::new(), 0, 0);
    for run in prompt.chunk_by(|a, b| (*a == place) == (*b == place)) {
        if run.first() == Some(&place) {
            filled.push((at..at + run.len(), media.narrow(0, used, run.len())?));
            used += run.len();
        }
        at += run.len();
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

    use candle_core::Device;

    use super::*;

    /// Vectors of one value each.
    fn vectors(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(1).unwrap()
    }

    fn values(vectors: &Tensor) -> Vec<f32> {
        vectors.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn vectors_take_the_place_of_tokens_or_stand_between_them() {
        let text = vectors(&[1.0, 2.0, 3.0, 4.0]);
        let check = |replaced: &[(Range<usize>, &[f32])], expected: &[f32]| {
            let replaced: Vec<_> = replaced.iter().map(|(range, with)| (range.clone(), vectors(with))).collect();
            assert_eq!(values(&splice(&text, &replaced).unwrap()), expected);
        };
        check(&[], &[1.0, 2.0, 3.0, 4.0]);
        check(&[(1..3, &[8.0, 9.0, 10.0])], &[1.0, 8.0, 9.0, 10.0, 4.0]);
        check(&[(0..0, &[8.0]), (4..4, &[9.0])], &[8.0, 1.0, 2.0, 3.0, 4.0, 9.0]);
        check(&[(0..1, &[8.0]), (1..4, &[9.0])], &[8.0, 9.0]);
        for replaced in [vec![5..5], vec![3..5], vec![1..3, 2..4]] {
            let replaced: Vec<_> = replaced.into_iter().map(|range| (range, vectors(&[8.0]))).collect();
            assert!(splice(&text, &replaced).unwrap_err().to_string().contains("prompt of 4"), "{replaced:?}");
        }
        assert!(splice(&text, &[(0..1, Tensor::zeros((1, 2), text.dtype(), &Device::Cpu).unwrap())]).is_err());
    }

    #[test]
    fn places_are_filled_in_order() {
        // Two sounds of two vectors each, of which the first stands in two parts.
        let sounds = [vectors(&[0.1, 0.2]), vectors(&[0.3, 0.4])];
        let prompt = [7, 5, 7, 7, 7, 6];
        let filled = fill_places(&prompt, 7, &sounds).unwrap();
        let ranges: Vec<Range<usize>> = filled.iter().map(|(range, _)| range.clone()).collect();
        assert_eq!(ranges, [0..1, 2..5]);
        let text = vectors(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(values(&splice(&text, &filled).unwrap()), [0.1, 2.0, 0.2, 0.3, 0.4, 6.0]);
        assert!(fill_places(&[1, 2], 7, &[]).unwrap().is_empty());
        for (prompt, sounds) in [(&prompt[..], &sounds[..1]), (&prompt[..5], &[]), (&[1, 2][..], &sounds[..])] {
            assert!(fill_places(prompt, 7, sounds).unwrap_err().to_string().contains("places for"), "{prompt:?}");
        }
    }
}
