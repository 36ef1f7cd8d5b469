//! Running a network over clips so that none depends on the others.

use audsem_media::audio::Spectrogram;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::error::Result;

/// Features of clips of one length: (B, T, F), in f32.
pub(crate) fn stack(clips: &[&Spectrogram], device: &Device) -> Result<Tensor> {
    let Some(first) = clips.first() else {
        return Ok(Tensor::zeros((0, 0, 0), DType::F32, device)?);
    };
    let values: Vec<f32> = clips.iter().flat_map(|clip| clip.values.iter().copied()).collect();
    Ok(Tensor::from_vec(values, (clips.len(), first.n_frames, first.n_bands), device)?)
}

/// One row of numbers for each clip. On the CPU each clip runs alone, clips side by side on all threads: products of
/// matrices order their sums by shape, so that rows of larger batches would differ in the last bits. On other devices
/// neighbours of one length share a batch; none is ever padded.
pub(crate) fn run_clips(
    clips: &[&Spectrogram],
    device: &Device,
    network: impl Fn(&Tensor) -> Result<Tensor> + Sync,
) -> Result<Vec<Vec<f32>>> {
    let rows = |clips: &[&Spectrogram]| -> Result<Vec<Vec<f32>>> {
        Ok(network(&stack(clips, device)?)?.to_dtype(DType::F32)?.to_vec2()?)
    };
    let of_each: Vec<Vec<Vec<f32>>> = if device.is_cpu() {
        clips.par_chunks(1).map(rows).collect::<Result<_>>()?
    } else {
        let is_alike = |a: &&Spectrogram, b: &&Spectrogram| (a.n_frames, a.n_bands) == (b.n_frames, b.n_bands);
        clips.chunk_by(is_alike).map(rows).collect::<Result<_>>()?
    };
    Ok(of_each.into_iter().flatten().collect())
}
