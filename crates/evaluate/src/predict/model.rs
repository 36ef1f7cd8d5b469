//! Whoever answers: a model behind a server, an audio language model in this process, or Whisper, alone or in front of a
//! language model.

use std::path::Path;

use audsem_core::device::DeviceChoice;
use audsem_core::device::Precision;
use audsem_core::error::Error as CoreError;
use audsem_core::run::ModelFingerprint;
use audsem_llm::{
    AudioForm, HearingServer, Media, OpenAiServer, Replay, ServerArgs, TextGenerator, Unanswered, Unasked,
};
use audsem_media::audio::encode_wav;
use audsem_models::audio::whisper::{USUAL_LANGUAGE, WhisperTask};
use audsem_models::language::{LanguageModelArgs, LocalModelArgs};
use audsem_models::multimodal::SAMPLE_RATE_HZ;
use audsem_models::multimodal::audio_language::{AudioFamily, AudioModelOptions, LocalAudioModel, USUAL_BATCH};

use super::whisper::{SpeechReader, SpeechRules, SpeechWriter};
use crate::error::Error;

/// Samples that the processors of released models hear of a sound: 30 seconds, and 300 seconds.
const QWEN2_AUDIO_SAMPLES: usize = 480_000;
const QWEN_OMNI_SAMPLES: usize = 4_800_000;

/// Tokens of an answer, where nothing else is said: those of the reference for the family, and for unknown ones.
const QWEN_OMNI_TOKENS: u32 = 400;
const OTHER_TOKENS: u32 = 512;

/// Beams of the reference.
const REFERENCE_BEAMS: usize = 5;

/// What is asked for of whoever answers.
#[derive(Debug, Clone)]
pub struct RespondentArgs {
    /// The server, or the model in this process; behind Whisper it reads, else it hears.
    pub model: Option<LanguageModelArgs>,
    /// Folder or id of a Whisper that writes speech down.
    pub whisper: Option<String>,
    /// The language that is spoken, by Whisper's code.
    pub language: Option<String>,
    /// What Whisper writes down.
    pub task: WhisperTask,
    /// The form in which a server takes sounds, where it is not to be found out.
    pub audio_form: Option<AudioForm>,
    /// PEFT adapter that is merged into a model in this process.
    pub adapter: Option<String>,
    /// Folder or id that the processor of a model in this process is read from.
    pub processor: Option<String>,
    /// Number type of a model in this process.
    pub dtype: Option<Precision>,
    /// Sequences that a model in this process follows at a time.
    pub beams: Option<usize>,
    /// Questions that a model in this process answers at a time. On the CPU no answer depends on it.
    pub batch: Option<usize>,
    /// Whether answers are made as the reference makes them.
    pub reference: bool,
    /// Most tokens of an answer.
    pub max_tokens: Option<u32>,
    /// The family of a model behind a server, whose processor's tokens are expected.
    pub expected: Option<AudioFamily>,
}

/// Length of the sound by which a server shows that it hears.
const PROBE_SECONDS: u32 = 4;

/// Whoever answers, ready to be asked.
pub struct Respondent {
    /// Answers requests, and stores the answers unless told otherwise.
    pub generator: Box<dyn TextGenerator>,
    /// Fingerprints of models in this process.
    pub fingerprints: Vec<ModelFingerprint>,
    /// Samples that the model's own processor hears of a sound, where that is known.
    pub heard_samples: Option<usize>,
    /// Whether the tokens of the text alone are asked for.
    pub counts_text: bool,
    /// Most tokens of an answer.
    pub max_tokens: u32,
}

impl std::fmt::Debug for Respondent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Respondent").field("identity", &self.generator.identity()).finish_non_exhaustive()
    }
}

impl RespondentArgs {
    /// What happens to questions without an answer.
    #[must_use]
    pub fn unanswered(&self) -> Unanswered {
        self.model.as_ref().map(LanguageModelArgs::unanswered).unwrap_or_default()
    }

    /// Whether answers can only be transcripts.
    #[must_use]
    pub fn only_writes_down(&self) -> bool {
        self.whisper.is_some() && self.model.is_none()
    }

    /// Connects to the server or loads the model. On a dry run nothing is opened, and nobody answers.
    ///
    /// # Errors
    /// A flag is for another kind of model, the server cannot be reached, or the model cannot be loaded.
    pub fn open(&self, output: &Path, dry_run: bool) -> Result<Respondent, Error> {
        self.check()?;
        match (&self.whisper, &self.model) {
            (Some(whisper), _) if dry_run => Ok(self.unasked(whisper)),
            (Some(whisper), model) => self.writing(whisper, model.as_ref(), output),
            (None, Some(LanguageModelArgs::Server(server))) => self.connect(server, output, dry_run),
            (None, Some(LanguageModelArgs::Local(local))) if dry_run => Ok(self.unasked(&local.model)),
            (None, Some(LanguageModelArgs::Local(local))) => self.load(local, output),
            (None, None) => {
                let problem =
                    "nobody is named who answers: name a server with --server, or a model with --model, or --whisper";
                Err(CoreError::Config { what: "predict".to_owned(), problem: problem.to_owned() }.into())
            }
        }
    }

    fn connect(&self, server: &ServerArgs, output: &Path, dry_run: bool) -> Result<Respondent, Error> {
        let config = server.to_config()?;
        if dry_run {
            return Ok(self.unasked(config.model.as_deref().unwrap_or("?")));
        }
        let hearing = HearingServer::new(OpenAiServer::connect(config)?, self.audio_form, probe_sound()?);
        Ok(self.behind(remembering(hearing, server.replay_folder(output).as_deref())?))
    }

    /// Whisper, and the language model that reads what it writes, if there is one.
    fn writing(&self, whisper: &str, model: Option<&LanguageModelArgs>, output: &Path) -> Result<Respondent, Error> {
        let device = match model {
            Some(LanguageModelArgs::Local(local)) => local.device,
            _ => DeviceChoice::default(),
        };
        let language = self.language.as_deref().unwrap_or(USUAL_LANGUAGE);
        let rules = SpeechRules { language, task: self.task, device, precision: self.dtype.unwrap_or_default() };
        let writer = SpeechWriter::open(whisper, rules)?;
        let mut fingerprints = vec![writer.fingerprint().clone()];
        let generator: Box<dyn TextGenerator> = match model {
            None => remembering(writer, Some(&output.join("replay")))?,
            Some(model) => {
                let reader = model.open(output, false)?;
                fingerprints.extend(reader.fingerprints);
                Box::new(SpeechReader::new(writer, reader.generator))
            }
        };
        Ok(Respondent { fingerprints, heard_samples: None, counts_text: false, ..self.behind(generator) })
    }

    /// Flags that would have no effect are refused.
    fn check(&self) -> Result<(), Error> {
        let is_heard_here = self.whisper.is_none() && matches!(self.model, Some(LanguageModelArgs::Local(_)));
        let is_heard_there = self.whisper.is_none() && matches!(self.model, Some(LanguageModelArgs::Server(_)));
        let here = "is for a model in this process that hears: omit it, or name one with --model alone";
        let there = "is for a server whose model hears: omit it, or name one with --server";
        let flags = [
            ("--adapter", self.adapter.is_some() && !is_heard_here, here),
            ("--processor", self.processor.is_some() && !is_heard_here, here),
            ("--beams", self.beams.is_some() && !is_heard_here, here),
            ("--batch-size", self.batch.is_some() && !is_heard_here, here),
            ("--preset reference", self.reference && !is_heard_here, here),
            ("--dtype", self.dtype.is_some() && is_heard_there, here),
            ("--expect-family", self.expected.is_some() && !is_heard_there, there),
            ("--audio-form", self.audio_form.is_some() && !is_heard_there, there),
            ("--language", self.language.is_some() && self.whisper.is_none(), "is for --whisper: omit it, or name one"),
            ("--max-tokens", self.max_tokens.is_some() && self.only_writes_down(), "is for a model that answers"),
        ];
        match flags.into_iter().find(|(_, is_idle, _)| *is_idle) {
            Some((flag, _, problem)) => {
                Err(CoreError::Config { what: flag.to_owned(), problem: problem.to_owned() }.into())
            }
            None => Ok(()),
        }
    }

    fn unasked(&self, model: &str) -> Respondent {
        self.behind(Box::new(Unasked(model.to_owned())))
    }

    /// A model of which only its answers are known.
    fn behind(&self, generator: Box<dyn TextGenerator>) -> Respondent {
        Respondent {
            generator,
            fingerprints: Vec::new(),
            heard_samples: self.expected.map(|family| match family {
                AudioFamily::Qwen2Audio => QWEN2_AUDIO_SAMPLES,
                AudioFamily::QwenOmni => QWEN_OMNI_SAMPLES,
            }),
            counts_text: true,
            max_tokens: self.max_tokens.unwrap_or(OTHER_TOKENS),
        }
    }

    fn load(&self, local: &LocalModelArgs, output: &Path) -> Result<Respondent, Error> {
        let options = AudioModelOptions {
            adapter: self.adapter.clone(),
            processor: self.processor.clone(),
            device: local.device.open()?,
            dtype: self.dtype.unwrap_or_default().dtype(),
        };
        let beams = if self.reference { REFERENCE_BEAMS } else { self.beams.unwrap_or(1) };
        let opened = LocalAudioModel::open_with(&local.model, &options, beams)?;
        let opened = opened.with_batch(self.batch.unwrap_or(USUAL_BATCH));
        let model = opened.model();
        let fingerprints =
            [Some(model.fingerprint()), model.adapter_fingerprint()].into_iter().flatten().cloned().collect();
        let heard_samples = Some(model.longest_sound());
        let usual = if model.family() == AudioFamily::QwenOmni { QWEN_OMNI_TOKENS } else { OTHER_TOKENS };
        let folder = local.replay.clone().unwrap_or_else(|| output.join("replay"));
        let generator = remembering(opened, (!local.no_replay).then_some(&*folder))?;
        let max_tokens = self.max_tokens.unwrap_or(usual);
        Ok(Respondent { generator, fingerprints, heard_samples, counts_text: true, max_tokens })
    }
}

/// A generator behind the store of its answers, if there is one.
fn remembering(
    generator: impl TextGenerator + 'static,
    folder: Option<&Path>,
) -> Result<Box<dyn TextGenerator>, Error> {
    Ok(match folder {
        Some(folder) => Box::new(Replay::open(generator, folder)?),
        None => Box::new(generator),
    })
}

/// A tone of 440 Hz, by which a server shows that it hears.
fn probe_sound() -> Result<Media, Error> {
    let angle = |n: u32| f64::from(n) / f64::from(SAMPLE_RATE_HZ) * 440.0 * std::f64::consts::TAU;
    #[expect(clippy::cast_possible_truncation, reason = "samples are f32")]
    let samples: Vec<f32> = (0..PROBE_SECONDS * SAMPLE_RATE_HZ).map(|n| (0.4 * angle(n).sin()) as f32).collect();
    let wav = encode_wav(&samples, 1, SAMPLE_RATE_HZ).map_err(|error| CoreError::Stage(error.into()))?;
    Ok(Media::from_bytes("wav", wav))
}
