//! Everything but WAV, through symphonia.

use super::error::checked_rate;
use super::mp4_edits::Edit;
use super::{Audio, AudioError, Layout};
use std::io;
use symphonia::core::audio::Channels;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, Track};
use symphonia::core::io::{MediaSource, MediaSourceStream};

/// What the caller wants of the decoder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options<'a> {
    /// The extension of the file name, which helps with formats that have no magic number.
    pub(super) extension: Option<&'a str>,
    /// Longer sounds are refused.
    pub(super) max_s: f64,
    /// Refuse AAC of a rate at which high frequencies may be coded apart (see [`may_hide_sbr`]).
    pub(super) refuse_hidden_sbr: bool,
    /// Whether the bytes began like a format the decoders know.
    pub(super) known: bool,
}

/// Decodes the first audio track that a decoder is there for.
///
/// # Errors
/// [`AudioError`], all but `Read` and `Undecodable`.
pub(super) fn decode<'s>(
    source: Box<dyn MediaSource + 's>,
    edits: &[(u32, Edit)],
    options: Options<'_>,
) -> Result<Audio, AudioError> {
    let mut hint = Hint::new();
    if let Some(extension) = options.extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(source, Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&hint, stream, Default::default(), Default::default())
        .map_err(|error| probe_error(error, options.known))?;
    let (track, decoder) = pick_track(format.as_ref(), options.refuse_hidden_sbr)?;
    let edit = edits.iter().find(|(id, _)| *id == track.id).map(|(_, edit)| *edit);
    let track = Wanted { id: track.id, promised: promised_frames(format.as_ref(), track), edit };
    read_track(format.as_mut(), decoder, &track, options.max_s)
}

fn probe_error(error: Error, known: bool) -> AudioError {
    match error {
        Error::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof && known => {
            AudioError::Truncated { what: "it ends within its headers".to_owned() }
        }
        Error::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            AudioError::Unsupported { what: "no known container".to_owned() }
        }
        error => AudioError::Unsupported { what: error.to_string() },
    }
}

/// The first audio track with a decoder, and that decoder.
fn pick_track(
    format: &dyn FormatReader,
    refuse_hidden_sbr: bool,
) -> Result<(&Track, Box<dyn AudioDecoder>), AudioError> {
    let mut refused = None;
    for track in format.tracks() {
        let params = match &track.codec_params {
            Some(CodecParameters::Audio(params)) => params,
            Some(_) => continue,
            // A codec without a name here: it may be sound of a kind only ffmpeg knows.
            None => {
                refused.get_or_insert(AudioError::Unsupported { what: "a track of an unknown codec".to_owned() });
                continue;
            }
        };
        if refuse_hidden_sbr && may_hide_sbr(params) {
            refused = Some(AudioError::Unsupported { what: "AAC that may hide spectral band replication".to_owned() });
            continue;
        }
        match symphonia::default::get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default()) {
            Ok(decoder) => return Ok((track, decoder)),
            Err(error) => refused = Some(AudioError::Unsupported { what: error.to_string() }),
        }
    }
    Err(refused.unwrap_or(AudioError::NoAudioTrack))
}

/// HE-AAC codes the upper half of the spectrum apart, and its header may tell only the halved rate
/// of the lower half; symphonia would then give that half alone. Such streams have rates of at most
/// 24 kHz; honest AAC at these rates is rare, so ffmpeg may as well read it.
fn may_hide_sbr(params: &AudioCodecParameters) -> bool {
    params.codec == CODEC_ID_AAC && params.sample_rate.is_none_or(|rate| rate <= 24_000)
}

/// The number of frames the container promises, where it counts them instead of guessing.
fn promised_frames(format: &dyn FormatReader, track: &Track) -> Option<u64> {
    match format.format_info().short_name {
        "isomp4" | "flac" => track.num_frames.filter(|&frames| frames > 0),
        // Only files with a LAME header, which also has the delay, count their frames.
        "mp3" => track.num_frames.filter(|_| track.delay.is_some()),
        _ => None,
    }
}

/// The track to decode.
#[derive(Debug)]
struct Wanted {
    id: u32,
    promised: Option<u64>,
    edit: Option<Edit>,
}

/// Two packets of the coarsest codec: what may be missing at the end of an honest file.
const FRAMES_OF_SLACK: u64 = 2 * 4608;

fn read_track(
    format: &mut dyn FormatReader,
    mut decoder: Box<dyn AudioDecoder>,
    track: &Wanted,
    max_s: f64,
) -> Result<Audio, AudioError> {
    let mut sound: Option<Audio> = None;
    let mut packet_samples = Vec::new();
    // The frame at which the edit ends; counted in packets, as ffmpeg does.
    let mut end_frame = None;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == track.id => packet,
            Ok(Some(_)) => continue,
            Ok(None) => break,
            Err(error) => return Err(packet_error(error, sound.as_ref())),
        };
        let past_end = track.edit.and_then(|edit| edit.end).is_some_and(|end| packet.pts.get() >= end.cast_signed());
        if past_end && end_frame.is_none() {
            end_frame = Some(sound.as_ref().map_or(0, Audio::frames));
        }
        let decoded = decoder.decode(&packet).map_err(|error| packet_error(error, sound.as_ref()))?;
        if decoded.frames() == 0 {
            continue;
        }
        let (rate, layout) = (decoded.spec().rate(), layout(decoded.spec().channels()));
        decoded.copy_to_vec_interleaved(&mut packet_samples);
        match &mut sound {
            None => {
                checked_rate(rate)?;
                sound = Some(Audio { sample_rate_hz: rate, layout, samples: std::mem::take(&mut packet_samples) });
            }
            Some(sound) if sound.sample_rate_hz == rate && sound.layout == layout => {
                sound.samples.extend_from_slice(&packet_samples);
            }
            Some(_) => return Err(AudioError::Malformed { what: "its format changes midway".to_owned() }),
        }
        if sound.as_ref().is_some_and(|sound| sound.duration_s() > max_s) {
            return Err(AudioError::TooLong { limit_s: max_s });
        }
    }
    match (sound, track.promised) {
        (Some(sound), _) => finish(sound, track, end_frame),
        (None, Some(promised)) => Err(AudioError::Truncated { what: format!("none of {promised} frames are there") }),
        (None, None) => Err(AudioError::Empty),
    }
}

/// Checks that everything came, and cuts what the edit hides.
fn finish(mut sound: Audio, track: &Wanted, end_frame: Option<usize>) -> Result<Audio, AudioError> {
    let frames = sound.frames() as u64;
    if let Some(promised) = track.promised.filter(|&promised| frames + FRAMES_OF_SLACK < promised) {
        return Err(AudioError::Truncated { what: format!("{frames} of {promised} frames are there") });
    }
    if let Some(edit) = track.edit {
        let start = u128::from(edit.start) * u128::from(sound.sample_rate_hz) / u128::from(edit.timescale);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        sound.keep_frames(start, end_frame.unwrap_or(usize::MAX));
    }
    Ok(sound)
}

fn packet_error(error: Error, so_far: Option<&Audio>) -> AudioError {
    let seconds = so_far.map_or(0.0, Audio::duration_s);
    match error {
        Error::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            AudioError::Truncated { what: format!("the data end after {seconds:.3} s") }
        }
        Error::Unsupported(what) => AudioError::Unsupported { what: what.to_owned() },
        error => AudioError::Malformed { what: format!("after {seconds:.3} s: {error}") },
    }
}

fn layout(channels: &Channels) -> Layout {
    let count = u16::try_from(channels.count()).unwrap_or(u16::MAX);
    match channels {
        // The first bits are those of the WAVE mask; the few above 32 bits do not exist.
        Channels::Positioned(positions) => Layout::from_mask(positions.bits() as u32, count),
        // Containers that only count their channels.
        Channels::Discrete(_) => Layout::from_count(count),
        _ => Layout::Discrete(count),
    }
}
