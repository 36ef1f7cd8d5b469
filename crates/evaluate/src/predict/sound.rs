//! Sounds as models get them: mono at 16 kHz, at least a second long, and what of long ones is given.

use audsem_core::run::ShardError;
use audsem_llm::{Media, Part};
use audsem_media::audio::{AudioError, Decoder, encode_wav, resample};
use audsem_models::multimodal::{SAMPLE_RATE_HZ, SoundLengths};
use serde::Serialize;

use crate::item::{AnswerKind, EvaluationItem};
use crate::prediction::{PredictionStatus, SoundAudit};
use crate::sound_library::SoundLibrary;

/// Samples of a second.
const SECOND: usize = SAMPLE_RATE_HZ as usize;

/// What becomes of sounds that are longer than `--longest-s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LongSoundRule {
    /// The beginning is given, and the rest is not heard
    Crop,
    /// Speech is given in pieces, whose answers are joined; of other sounds the beginning is given
    Chunk,
    /// As `chunk`, but each piece ends where it is quietest in its last third, so that no word is cut in two
    ChunkAtPauses,
    /// The question is not asked, and counts as `too-long`
    Refuse,
    /// The whole sound is given, whatever the model hears of it
    Native,
}

/// How sounds are given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SoundRules {
    pub long: LongSoundRule,
    /// Samples that are given at once, unless all are.
    pub longest: usize,
    /// Samples that the model's own processor hears of a sound, where that is known.
    pub heard: Option<usize>,
}

/// Why a question cannot be asked.
pub(super) type Unaskable = (PredictionStatus, String);

/// A decoded sound.
#[derive(Debug)]
pub(super) struct LoadedSound {
    /// Mono samples at [`SAMPLE_RATE_HZ`].
    pub samples: Vec<f32>,
    pub duration_ms: u64,
}

impl LoadedSound {
    /// Decodes the sound that the data set calls so; inside is why it cannot be used.
    pub(super) fn read(
        name: &str,
        library: &SoundLibrary,
        decoder: &Decoder,
    ) -> Result<Result<Self, String>, ShardError> {
        let Some(file) = library.read(name).map_err(ShardError::input)? else {
            return Ok(Err(format!("{name}: there is no such sound")));
        };
        let decoded = decoder.decode_bytes(&file.bytes, Some(&file.suffix)).and_then(|audio| {
            let duration_ms = audio.frames() as u64 * 1000 / u64::from(audio.sample_rate_hz.max(1));
            let samples = resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ)?;
            Ok(Self { samples, duration_ms })
        });
        Ok(match decoded {
            Ok(sound) if sound.samples.is_empty() => Err(format!("{name}: the sound is empty")),
            Ok(sound) => Ok(sound),
            Err(error) => Err(format!("{name}: {}", error.of_record(name)?)),
        })
    }
}

/// The sounds of a question as they are given, once or in pieces.
#[derive(Debug)]
pub(super) struct GivenSounds {
    /// The samples of each sound, for each time that is asked.
    pieces: Vec<Vec<Vec<f32>>>,
    pub audits: Vec<SoundAudit>,
}

impl GivenSounds {
    /// Cuts the sounds of a question by the rules.
    pub(super) fn new(item: &EvaluationItem, sounds: &[LoadedSound], rules: SoundRules) -> Result<Self, Unaskable> {
        let mut pieces: Vec<Vec<Vec<f32>>> = Vec::new();
        let mut audits = Vec::new();
        // Pieces of two sounds would be asked about in pairs that nobody asked about.
        let is_speech = sounds.len() == 1 && matches!(item.kind, AnswerKind::Transcript | AnswerKind::Translation);
        for sound in sounds {
            let own = cut(sound, is_speech, rules)?;
            audits.push(audit(sound, &own, rules));
            pieces.resize_with(own.len().max(pieces.len()), Vec::new);
            pieces.iter_mut().zip(own).for_each(|(given, piece)| given.push(piece));
        }
        Ok(Self { pieces, audits })
    }

    /// The sounds for each time that is asked.
    ///
    /// # Errors
    /// A sample is not finite.
    pub(super) fn media(&self) -> Result<Vec<Vec<Part>>, AudioError> {
        self.parts(|samples| encode_wav(samples, 1, SAMPLE_RATE_HZ))
    }

    /// Silence of the same lengths.
    ///
    /// # Errors
    /// None that is known of.
    pub(super) fn silence(&self) -> Result<Vec<Vec<Part>>, AudioError> {
        self.parts(|samples| encode_wav(&vec![0.0; samples.len()], 1, SAMPLE_RATE_HZ))
    }

    fn parts(&self, encode: impl Fn(&[f32]) -> Result<Vec<u8>, AudioError>) -> Result<Vec<Vec<Part>>, AudioError> {
        let part = |samples: &Vec<f32>| Ok(Part::Audio(Media::from_bytes("wav", encode(samples)?)));
        self.pieces.iter().map(|piece| piece.iter().map(part).collect()).collect()
    }
}

/// What is given of a sound, each piece at least a second long.
fn cut(sound: &LoadedSound, is_speech: bool, rules: SoundRules) -> Result<Vec<Vec<f32>>, Unaskable> {
    let samples = &sound.samples;
    let is_long = samples.len() > rules.longest;
    let pieces: Vec<&[f32]> = match rules.long {
        LongSoundRule::Refuse if is_long => {
            let problem = format!(
                "a sound of {} ms is longer than {} ms (--long refuse)",
                sound.duration_ms,
                milliseconds(rules.longest)
            );
            return Err((PredictionStatus::TooLong, problem));
        }
        LongSoundRule::Chunk if is_long && is_speech => samples.chunks(rules.longest).collect(),
        LongSoundRule::ChunkAtPauses if is_long && is_speech => at_pauses(samples, rules.longest),
        LongSoundRule::Crop | LongSoundRule::Chunk | LongSoundRule::ChunkAtPauses if is_long => {
            vec![&samples[..rules.longest]]
        }
        _ => vec![samples],
    };
    let padded = |piece: &[f32]| {
        let mut piece = piece.to_vec();
        piece.resize(piece.len().max(SECOND), 0.0);
        piece
    };
    Ok(pieces.into_iter().map(padded).collect())
}

/// Length of the moments of which the quietest is looked for: about that of the pause before a stop.
const MOMENT: usize = SECOND / 10;

/// Pieces of at most `longest` samples, each of which ends in the middle of the quietest moment of its last third.
fn at_pauses(samples: &[f32], longest: usize) -> Vec<&[f32]> {
    let (mut pieces, mut rest) = (Vec::new(), samples);
    while rest.len() > longest {
        let begin = longest - longest / 3;
        let energy = |moment: &[f32]| moment.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
        let moments = rest[begin..longest].chunks_exact(MOMENT).map(energy).enumerate();
        // Of equal moments the last makes the fewest pieces.
        let quietest = moments.reduce(|best, other| if other.1 <= best.1 { other } else { best });
        let end = quietest.map_or(longest, |(n, _)| begin + n * MOMENT + MOMENT / 2);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn audit(sound: &LoadedSound, pieces: &[Vec<f32>], rules: SoundRules) -> SoundAudit {
    let heard = |piece: &Vec<f32>| rules.heard.map_or(piece.len(), |heard| piece.len().min(heard));
    let given: usize = pieces.iter().map(heard).sum();
    let expected = |heard: usize| {
        let tokens =
            pieces.iter().map(|piece| SoundLengths::of(piece.len(), heard).map(|lengths| lengths.vectors as u64));
        tokens.sum::<Result<u64, _>>().ok()
    };
    SoundAudit {
        duration_ms: sound.duration_ms,
        given_ms: if given >= sound.samples.len() { sound.duration_ms } else { milliseconds(given) },
        expected_tokens: rules.heard.and_then(expected),
    }
}

fn milliseconds(samples: usize) -> u64 {
    samples as u64 * 1000 / u64::from(SAMPLE_RATE_HZ)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::predict::testing::item;

    /// Lengths of what is given of a sound of so many samples, and its audit.
    fn given(samples: usize, kind: AnswerKind, long: LongSoundRule) -> Result<(Vec<usize>, SoundAudit), Unaskable> {
        let mut question = item("a", &[]);
        question.kind = kind;
        let sound = LoadedSound { samples: vec![0.5; samples], duration_ms: samples as u64 / 16 };
        let rules = SoundRules { long, longest: 30 * SECOND, heard: Some(300 * SECOND) };
        let given = GivenSounds::new(&question, &[sound], rules)?;
        Ok((given.pieces.iter().map(|piece| piece[0].len()).collect(), given.audits[0]))
    }

    #[test]
    fn long_sounds_are_given_by_the_rule_and_the_audit_says_so() {
        use AnswerKind::{Choice, Transcript};
        use LongSoundRule::{Chunk, Crop, Native, Refuse};
        let audit = |duration_ms, given_ms, tokens| SoundAudit { duration_ms, given_ms, expected_tokens: Some(tokens) };
        let check = |samples, kind, long, lengths: &[usize], expected| {
            assert_eq!(given(samples, kind, long).unwrap(), (lengths.to_vec(), expected), "{kind:?} {long:?}");
        };
        let n = 30 * SECOND;
        check(n, Choice, Refuse, &[n], audit(30_000, 30_000, 750));
        check(2 * n + 8000, Choice, Crop, &[n], audit(60_500, 30_000, 750));
        check(2 * n + 8000, Choice, Chunk, &[n], audit(60_500, 30_000, 750));
        check(2 * n + 8000, Transcript, Chunk, &[n, n, SECOND], audit(60_500, 60_500, 1525));
        check(2 * n, Transcript, Native, &[2 * n], audit(60_000, 60_000, 1500));
        check(11 * n, Choice, Native, &[11 * n], audit(330_000, 300_000, 7500));
        check(8000, Choice, Crop, &[SECOND], audit(500, 500, 25));
        let (status, problem) = given(n + 1, Choice, Refuse).unwrap_err();
        assert!(status == PredictionStatus::TooLong && problem.contains("longer than 30000 ms"), "{problem}");
    }

    #[test]
    fn speech_is_cut_where_it_is_quiet() {
        let n = 30 * SECOND;
        let mut samples: Vec<f32> = (0..75 * SECOND).map(|at| if at % 2 == 0 { 0.5 } else { -0.5 }).collect();
        let mut hush = |from: f32, to: f32| {
            let place = |seconds: f32| (seconds * SECOND as f32) as usize;
            samples[place(from)..place(to)].fill(0.01);
        };
        // A pause that is too early, one in the last third of the first piece, none in that of the second.
        hush(10.0, 12.0);
        hush(25.0, 25.4);
        let ends = |samples: &[f32]| {
            let pieces = at_pauses(samples, n);
            assert_eq!(pieces.concat(), samples, "nothing is lost, and nothing is heard twice");
            assert!(pieces.iter().all(|piece| piece.len() <= n));
            pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>()
        };
        let found = ends(&samples);
        assert_eq!(found.len(), 3);
        assert!((25 * SECOND..25 * SECOND + SECOND * 4 / 10).contains(&found[0]), "{found:?}");
        assert_eq!(found[1], n - MOMENT / 2, "without a pause as long as may be");
        assert_eq!(ends(&samples[..n]), [n]);
        // Sounds that are no speech are not cut into pieces.
        use AnswerKind::{Caption, Transcript};
        use LongSoundRule::ChunkAtPauses;
        assert_eq!(given(2 * n, Caption, ChunkAtPauses).unwrap().0, [n]);
        let (lengths, audit) = given(2 * n, Transcript, ChunkAtPauses).unwrap();
        assert_eq!((lengths, audit.given_ms), (vec![n - MOMENT / 2, n - MOMENT / 2, SECOND], 60_000));
    }

    #[test]
    fn silence_is_as_long_as_the_sound() {
        let sound = LoadedSound { samples: vec![0.5; 20_000], duration_ms: 1250 };
        let rules = SoundRules { long: LongSoundRule::Crop, longest: 30 * SECOND, heard: None };
        let given = GivenSounds::new(&item("a", &[]), &[sound], rules).unwrap();
        assert_eq!(given.audits[0].expected_tokens, None);
        let bytes = |media: Vec<Vec<Part>>| match &media[0][0] {
            Part::Audio(media) => media.bytes().unwrap().1.to_vec(),
            other => panic!("{other:?}"),
        };
        let (sound, silence) = (bytes(given.media().unwrap()), bytes(given.silence().unwrap()));
        assert_eq!(sound.len(), silence.len());
        let decoded = Decoder::new().decode_bytes(&silence, Some("wav")).unwrap();
        assert_eq!((decoded.frames(), decoded.peak()), (20_000, 0.0));
    }
}
