//! FLAC files, through the strict decoder.
//!
//! If a frame is damaged, symphonia and ffmpeg silently resume at the next valid one, so that the sound after it is too
//! early. Here every frame must follow the previous one. The length is that of the frames in the file:
//! a file copied out of a longer one (`ffmpeg -ss 2 -t 3 -c copy`) is whole although its header promises more, and a
//! file that ends within a frame is cut.

use super::error::checked_rate;
use super::flac_decode::{FlacFrames, speaker_mask};
use super::{Audio, AudioError, ChannelLayout, FlacInfo, probe_flac};

/// Maximum number of samples for which memory is reserved because of the header alone.
const TRUSTED_SAMPLES: u64 = 1 << 24;

/// Decodes a FLAC file.
///
/// # Errors
/// [`AudioError::Truncated`], [`AudioError::Malformed`], [`AudioError::TooLong`], [`AudioError::SampleRate`].
pub(super) fn decode(bytes: &[u8], max_s: f64) -> Result<Audio, AudioError> {
    let no_header = || AudioError::Truncated { what: "it ends within its headers".to_owned() };
    let info = probe_flac(bytes).ok_or_else(no_header)?;
    let sample_rate_hz = checked_rate(info.sample_rate_hz)?;
    let mut flac = FlacFrames::new(bytes, &info)?;
    let (channels, limit) = (usize::from(info.channels), max_s * f64::from(sample_rate_hz));
    // Full scale is 2^(bits − 1), as in every decoder here. Exact: a power of two.
    let scale = 1.0 / (1_u64 << (info.bits_per_sample - 1)) as f32;
    let promised = info.frames.unwrap_or_default().saturating_mul(channels as u64);
    let mut samples = Vec::with_capacity(promised.min(TRUSTED_SAMPLES) as usize);
    while let Some(block) = flac.next_block()? {
        append(block, scale, &mut samples);
        if (samples.len() / channels) as f64 > limit {
            return Err(AudioError::TooLong { limit_s: max_s });
        }
    }
    if let Some(promised) = info.frames.filter(|&promised| promised != flac.frames()) {
        tracing::debug!("FLAC: {} frames are there, all whole; the header says {promised}", flac.frames());
    }
    Ok(Audio { sample_rate_hz, layout: layout(bytes, &info), samples })
}

/// Interleaves a block behind the samples.
fn append(block: &[Vec<i64>], scale: f32, samples: &mut Vec<f32>) {
    let scaled = |sample: &i64| *sample as f32 * scale;
    match block {
        [mono] => samples.extend(mono.iter().map(scaled)),
        [left, right] => samples.extend(left.iter().zip(right).flat_map(|(left, right)| [scaled(left), scaled(right)])),
        _ => {
            let frames = block.first().map_or(0, Vec::len);
            samples.extend((0..frames).flat_map(|n| block.iter().map(move |channel| scaled(&channel[n]))));
        }
    }
}

/// The loudspeakers of the tag that names them, else those of RFC 9639, section 9.1.3.
fn layout(bytes: &[u8], info: &FlacInfo) -> ChannelLayout {
    let front = ChannelLayout::FRONT_LEFT | ChannelLayout::FRONT_RIGHT;
    let back = ChannelLayout::BACK_LEFT | ChannelLayout::BACK_RIGHT;
    let side = ChannelLayout::SIDE_LEFT | ChannelLayout::SIDE_RIGHT;
    let low = ChannelLayout::LOW_FREQUENCY;
    let usual = match info.channels {
        1 => ChannelLayout::FRONT_CENTRE,
        2 => front,
        3 => front | ChannelLayout::FRONT_CENTRE,
        4 => front | back,
        5 => front | ChannelLayout::FRONT_CENTRE | back,
        6 => front | ChannelLayout::FRONT_CENTRE | low | back,
        7 => front | ChannelLayout::FRONT_CENTRE | low | ChannelLayout::BACK_CENTRE | side,
        _ => front | ChannelLayout::FRONT_CENTRE | low | back | side,
    };
    let mask = speaker_mask(bytes).filter(|mask| mask.count_ones() == u32::from(info.channels));
    ChannelLayout::Speakers(mask.unwrap_or(usual))
}
