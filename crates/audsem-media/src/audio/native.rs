//! Decoding with symphonia: everything but FLAC files and plain WAV.

use super::ends::Ends;
use super::error::checked_rate;
use super::mp4_index::{Edit, Kind, Mp4Track};
use super::{Audio, AudioError, ChannelLayout, support, tracks};
use audsem_core::terminal::{by_number, counted};
use std::io;
use symphonia::core::audio::Channels;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecId, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, Track};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::packet::Packet;
use symphonia::core::units::TimeBase;

/// What the caller knows about the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options<'a> {
    /// The extension of the file name, which helps with formats that have no magic number.
    pub(super) extension: Option<&'a str>,
    /// Longer sounds are refused.
    pub(super) max_s: f64,
    /// Sounds that end earlier than this before the pictures are refused, seconds.
    pub(super) end_tolerance_s: Option<f64>,
    /// The tracks of an MP4 or MOV file.
    pub(super) index: &'a [Mp4Track],
}

/// Decodes the default audio track, if that is one the built-in decoders may read.
///
/// # Errors
/// [`AudioError`], all but `Read` and `Undecodable`.
pub(super) fn decode<'s>(source: Box<dyn MediaSource + 's>, options: Options<'_>) -> Result<Audio, AudioError> {
    let mut hint = Hint::new();
    if let Some(extension) = options.extension {
        hint.with_extension(extension);
    }
    let stream = MediaSourceStream::new(source, Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&hint, stream, Default::default(), Default::default())
        .map_err(probe_error)?;
    let track = tracks::default_sound(format.tracks(), options.index)?;
    if options.index.iter().any(|facts| facts.id == track.id && facts.is_external) {
        return Err(AudioError::NamesFiles { what: "the sound of this MP4 or MOV lies in another file" });
    }
    let container = format.format_info().short_name;
    let (wanted, decoder) = open(container, track, options)?;
    let counted = Ends::of_index(options.index, wanted.id);
    // Packets are inspected only if that was requested and the index does not have the lengths.
    let is_measured = options.end_tolerance_s.is_some() && counted.is_none();
    let timed = format.tracks().iter().filter(|_| is_measured);
    let clocks: Vec<Clock> = timed.filter_map(|track| Clock::of(track, wanted.id)).collect();
    let mut measured = Ends::default();
    let audio = read_track(format.as_mut(), decoder, &wanted, |packet| {
        let clock = clocks.iter().find(|clock| clock.track == packet.track_id);
        let end = clock.and_then(|clock| Some((clock.kind, clock.end_s(packet)?)));
        end.into_iter().for_each(|(kind, end_s)| measured.add(kind, end_s));
    })?;
    options.end_tolerance_s.map_or(Ok(()), |tolerance_s| counted.unwrap_or(measured).check(tolerance_s))?;
    Ok(audio)
}

/// How the times of a track's packets become seconds.
struct Clock {
    track: u32,
    kind: Kind,
    unit: TimeBase,
}

impl Clock {
    /// Of the sound that is decoded, and of pictures.
    fn of(track: &Track, sound: u32) -> Option<Clock> {
        let kind = match &track.codec_params {
            _ if track.id == sound => Kind::Sound,
            Some(CodecParameters::Video(_)) => Kind::Pictures,
            _ => return None,
        };
        Some(Clock { track: track.id, kind, unit: track.time_base? })
    }

    fn end_s(&self, packet: &Packet) -> Option<f64> {
        let end = packet.pts.checked_add(packet.dur)?;
        Some(self.unit.calc_time(end)?.as_secs_f64())
    }
}

fn probe_error(error: Error) -> AudioError {
    match error {
        Error::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            AudioError::Truncated { what: "it ends within its headers".to_owned() }
        }
        error => AudioError::Unsupported { what: error.to_string() },
    }
}

/// The track to decode.
#[derive(Debug)]
struct Wanted {
    id: u32,
    edit: Option<Edit>,
    promised: Option<Promise>,
    max_s: f64,
}

/// Frame counts of a track, from a container that has them.
#[derive(Debug, Clone, Copy)]
struct Promise {
    /// Frames of encoder delay in front of the sound, which are to be cut off.
    delay: u64,
    /// Frames of sound.
    frames: u64,
    /// Frames that an honest file may lack.
    slack: u64,
    /// Whether what follows the promised frames is padding, to be cut off.
    padded: bool,
}

fn open(container: &str, track: &Track, options: Options<'_>) -> Result<(Wanted, Box<dyn AudioDecoder>), AudioError> {
    let unsupported = |what: String| AudioError::Unsupported { what };
    let Some(CodecParameters::Audio(params)) = &track.codec_params else {
        return Err(unsupported("its sound is of an unknown codec".to_owned()));
    };
    let mut params = params.clone();
    let facts = options.index.iter().find(|facts| facts.id == track.id);
    if facts.is_some_and(|facts| facts.big_endian) {
        params.codec = tracks::big_endian(params.codec);
    }
    if !support::is_exact(container, &params) {
        return Err(unsupported(format!("{} in {container}", codec_name(params.codec))));
    }
    // The MP3 demuxer guesses the length of a file without a count and would trim what lies behind.
    let decoder_options = AudioDecoderOptions::default().gapless(container != "mp3");
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(&params, &decoder_options)
        .map_err(|error| unsupported(error.to_string()))?;
    let promised = promise(container, track);
    let edit = facts.and_then(|facts| facts.edit);
    if support::is_pcm(params.codec) && edit.is_some_and(|edit| edit.start > 0) {
        return Err(unsupported("PCM whose beginning is hidden by an edit list".to_owned()));
    }
    Ok((Wanted { id: track.id, edit, promised, max_s: options.max_s }, decoder))
}

fn codec_name(codec: AudioCodecId) -> String {
    let known = symphonia::default::get_codecs().get_audio_decoder(codec);
    known.map_or_else(|| codec.to_string(), |known| known.codec.info.short_name.to_owned())
}

/// The number of frames the container promises, where it counts them instead of guessing.
fn promise(container: &str, track: &Track) -> Option<Promise> {
    let frames = track.num_frames.filter(|&frames| frames > 0)?;
    match container {
        // Two packets of the coarsest codec: what may be missing at the end of an honest file.
        "isomp4" => Some(Promise { delay: 0, frames, slack: 2 * 4608, padded: false }),
        // Only files with a LAME header, which also has the delay, count their frames; some encoders count the header.
        "mp3" => {
            let delay = u64::from(track.delay?);
            Some(Promise { delay, frames, slack: 1152, padded: true })
        }
        _ => None,
    }
}

fn read_track(
    format: &mut dyn FormatReader,
    mut decoder: Box<dyn AudioDecoder>,
    track: &Wanted,
    mut note: impl FnMut(&Packet),
) -> Result<Audio, AudioError> {
    let mut sound: Option<Audio> = None;
    let mut packet_samples = Vec::new();
    // The frame at which the edit ends; counted in packets, as ffmpeg does.
    let mut end_frame = None;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(error) => return Err(packet_error(error, sound.as_ref())),
        };
        note(&packet);
        if packet.track_id != track.id {
            continue;
        }
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
        if sound.as_ref().is_some_and(|sound| sound.duration_s() > track.max_s) {
            return Err(AudioError::TooLong { limit_s: track.max_s });
        }
    }
    match (sound, track.promised) {
        (Some(sound), _) => finish(sound, track, end_frame),
        (None, Some(Promise { frames, .. })) => {
            Err(AudioError::Truncated { what: format!("none of {frames} frames are there") })
        }
        (None, None) => Err(AudioError::Empty),
    }
}

/// Checks that everything came, and cuts off what is not to be heard.
fn finish(mut sound: Audio, track: &Wanted, end_frame: Option<usize>) -> Result<Audio, AudioError> {
    if let Some(promise) = track.promised {
        let frames = (sound.frames() as u64).saturating_sub(promise.delay);
        if frames + promise.slack < promise.frames {
            return Err(AudioError::Truncated {
                what: format!(
                    "{frames} of {} {} there",
                    counted(promise.frames, "frames"),
                    by_number(frames, "is", "are")
                ),
            });
        }
        if promise.padded {
            // More than the padding of an encoder is more sound: concatenated files.
            if frames > promise.frames + LONGEST_PADDING {
                let what = format!("{frames} frames are there, although its header counts {}", promise.frames);
                return Err(AudioError::Unsupported { what });
            }
            let start = usize::try_from(promise.delay).unwrap_or(usize::MAX);
            sound.keep_frames(start, start.saturating_add(usize::try_from(promise.frames).unwrap_or(usize::MAX)));
        }
    }
    if let Some(edit) = track.edit {
        let start = u128::from(edit.start) * u128::from(sound.sample_rate_hz) / u128::from(edit.timescale);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        sound.keep_frames(start, end_frame.unwrap_or(usize::MAX));
    }
    Ok(sound)
}

/// The padding behind an MP3 is a number of 12 bits.
const LONGEST_PADDING: u64 = 4096;

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

fn layout(channels: &Channels) -> ChannelLayout {
    let count = u16::try_from(channels.count()).unwrap_or(u16::MAX);
    match channels {
        // The first bits are those of the WAVE mask; the few above 32 bits do not exist.
        Channels::Positioned(positions) => ChannelLayout::from_mask(positions.bits() as u32, count),
        // Containers that only count their channels.
        Channels::Discrete(_) => ChannelLayout::from_count(count),
        _ => ChannelLayout::Discrete(count),
    }
}
