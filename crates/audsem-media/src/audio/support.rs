//! The containers and codecs that the built-in decoders may read: those for which they give the same samples as ffmpeg.
//!
//! A combination is listed only if the test `cross_check` has compared it with ffmpeg, sample by sample. Everything
//! else is decoded by ffmpeg, or refused if there is no ffmpeg. Excluded on purpose:
//!
//! | container | codec | why |
//! |---|---|---|
//! | CAF | QuickTime ADPCM | other samples than ffmpeg's |
//! | Matroska | MP3 | the padding at the end is not cut off |
//! | any | AAC of 24 kHz or less whose header does not rule out HE-AAC | the upper half of the spectrum may be coded apart |
//! | any | AAC of more than two channels | no built-in decoder |
//! | any | Vorbis of more than two channels | channels that are coded together come out wrong |
//! | MPEG-TS, AVI, ASF, … | any | no built-in reader; searching them for something that looks like MP3 or AAC gives noise |
//! | MOV | PCM behind an edit list | ffmpeg begins with a whole packet |
//! | Matroska | several tracks of sound | the default track is unknown |
//! | Ogg | chained streams | what follows the first stream would be lost |

use symphonia::core::codecs::audio::well_known::profiles::{CODEC_PROFILE_AAC_HE, CODEC_PROFILE_AAC_HE_V2};
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS, CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_MP3,
    CODEC_ID_PCM_ALAW, CODEC_ID_PCM_F32BE, CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F64BE, CODEC_ID_PCM_F64LE,
    CODEC_ID_PCM_MULAW, CODEC_ID_PCM_S8, CODEC_ID_PCM_S16BE, CODEC_ID_PCM_S16LE, CODEC_ID_PCM_S24BE,
    CODEC_ID_PCM_S24LE, CODEC_ID_PCM_S32BE, CODEC_ID_PCM_S32LE, CODEC_ID_PCM_U8, CODEC_ID_VORBIS,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};

/// PCM of both byte orders.
const PCM: [AudioCodecId; 10] = [
    CODEC_ID_PCM_S16LE,
    CODEC_ID_PCM_S16BE,
    CODEC_ID_PCM_S24LE,
    CODEC_ID_PCM_S24BE,
    CODEC_ID_PCM_S32LE,
    CODEC_ID_PCM_S32BE,
    CODEC_ID_PCM_F32LE,
    CODEC_ID_PCM_F32BE,
    CODEC_ID_PCM_F64LE,
    CODEC_ID_PCM_F64BE,
];

/// Codecs by container, besides [`PCM`], which every container here but Ogg, MP3 and ADTS holds. WAV with plain PCM and
/// FLAC files have readers of our own.
const CONTAINERS: [(&str, &[AudioCodecId]); 8] = [
    ("wave", &[CODEC_ID_PCM_U8, CODEC_ID_PCM_ALAW, CODEC_ID_PCM_MULAW, CODEC_ID_ADPCM_MS, CODEC_ID_ADPCM_IMA_WAV]),
    ("aiff", &[CODEC_ID_PCM_U8, CODEC_ID_PCM_S8, CODEC_ID_PCM_ALAW, CODEC_ID_PCM_MULAW]),
    ("caf", &[CODEC_ID_ALAC, CODEC_ID_MP3]),
    ("isomp4", &[CODEC_ID_PCM_U8, CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_MP3]),
    ("matroska", &[CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_FLAC, CODEC_ID_VORBIS]),
    ("ogg", &[CODEC_ID_VORBIS, CODEC_ID_FLAC]),
    ("mp3", &[CODEC_ID_MP3]),
    ("aac", &[CODEC_ID_AAC]),
];

/// Whether the codec is PCM of 16 bits or more.
pub(super) fn is_pcm(codec: AudioCodecId) -> bool {
    PCM.contains(&codec)
}

/// Whether the built-in decoders give ffmpeg's samples for this codec in this container, named as symphonia does.
pub(super) fn is_exact(container: &str, params: &AudioCodecParameters) -> bool {
    let codec = params.codec;
    let holds_pcm = !["ogg", "mp3", "aac"].contains(&container);
    let is_listed = CONTAINERS
        .iter()
        .any(|(name, codecs)| *name == container && (codecs.contains(&codec) || holds_pcm && PCM.contains(&codec)));
    let channels = params.channels.as_ref().map(|channels| channels.count());
    is_listed && !may_hide_sbr(params) && (codec != CODEC_ID_VORBIS || channels.is_some_and(|channels| channels <= 2))
}

/// HE-AAC codes the upper half of the spectrum apart, and its header may tell only the halved rate of the lower half;
/// symphonia would then give that half alone. Such streams have rates of at most 24 kHz. AAC of these rates is read
/// only if its header says that there is no such part.
fn may_hide_sbr(params: &AudioCodecParameters) -> bool {
    let is_high_efficiency = matches!(params.profile, Some(CODEC_PROFILE_AAC_HE | CODEC_PROFILE_AAC_HE_V2));
    // Behind the 16 bits of a plain configuration: the mark of an extension (11 bits), SBR (5 bits), its presence.
    let is_plain = matches!(params.extra_data.as_deref(), Some([_, _, 0x56, 0xe5, present, ..]) if present & 0x80 == 0);
    let may_be_half = params.sample_rate.is_none_or(|rate| rate <= 24_000);
    params.codec == CODEC_ID_AAC && (is_high_efficiency || may_be_half && !is_plain)
}
