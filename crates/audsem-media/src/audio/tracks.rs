//! Which track of a file is its sound.
//!
//! ffmpeg's choice, so that all decoders and all stages agree: a track with the default flag before one without, then
//! the one of the most channels, then the first.

use super::AudioError;
use super::mp4_index::{Kind, Mp4Track};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F64BE, CODEC_ID_PCM_F64LE, CODEC_ID_PCM_S24BE,
    CODEC_ID_PCM_S24LE, CODEC_ID_PCM_S32BE, CODEC_ID_PCM_S32LE,
};
use symphonia::core::formats::Track;

/// The default track of sound.
///
/// # Errors
/// [`AudioError::NoAudioTrack`]; [`AudioError::Unsupported`] if several may be meant, and what is known of them does
/// not tell which.
pub(super) fn default_sound<'t>(tracks: &'t [Track], index: &[Mp4Track]) -> Result<&'t Track, AudioError> {
    let facts = |track: &Track| index.iter().find(|facts| facts.id == track.id);
    let may_be_sound = |track: &&Track| match (&track.codec_params, facts(track)) {
        (Some(CodecParameters::Audio(_)), _) => true,
        (Some(_), _) => false,
        // A codec without a name here: it may be sound of a kind only ffmpeg knows.
        (None, facts) => facts.is_none_or(|facts| facts.kind == Kind::Sound),
    };
    let sounds: Vec<&Track> = tracks.iter().filter(may_be_sound).collect();
    if let [] | [_] = sounds[..] {
        return sounds.first().copied().ok_or(AudioError::NoAudioTrack);
    }
    let undecided = || AudioError::Unsupported { what: "which of its tracks is the sound is not known".to_owned() };
    // Of Matroska, symphonia does not tell a default flag that is left out, which means "yes", from one that is 0.
    let enabled: Option<Vec<bool>> = sounds.iter().map(|track| facts(track).map(|facts| facts.enabled)).collect();
    let enabled = enabled.ok_or_else(undecided)?;
    let some_enabled = enabled.contains(&true);
    let candidates = sounds.into_iter().zip(enabled).filter(|(_, enabled)| *enabled == some_enabled);
    let candidates: Vec<&Track> = candidates.map(|(track, _)| track).collect();
    if let [only] = candidates[..] {
        return Ok(only);
    }
    let counts: Vec<usize> =
        candidates.iter().map(|track| channels(track)).collect::<Option<_>>().ok_or_else(undecided)?;
    let most = counts.iter().max();
    let first = counts.iter().position(|count| Some(count) == most).and_then(|first| candidates.get(first));
    first.copied().ok_or_else(undecided)
}

fn channels(track: &Track) -> Option<usize> {
    let params = track.codec_params.as_ref()?.audio()?;
    params.channels.as_ref().map(|channels| channels.count())
}

/// The big-endian form of a codec that symphonia takes for little-endian.
pub(super) fn big_endian(codec: AudioCodecId) -> AudioCodecId {
    match codec {
        CODEC_ID_PCM_S24LE => CODEC_ID_PCM_S24BE,
        CODEC_ID_PCM_S32LE => CODEC_ID_PCM_S32BE,
        CODEC_ID_PCM_F32LE => CODEC_ID_PCM_F32BE,
        CODEC_ID_PCM_F64LE => CODEC_ID_PCM_F64BE,
        other => other,
    }
}
