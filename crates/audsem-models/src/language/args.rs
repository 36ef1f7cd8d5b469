//! The flags that choose a language model: behind a server, or in this process.

use std::path::{Path, PathBuf};

use audsem_core::device::DeviceChoice;
use audsem_core::run::ModelFingerprint;
use audsem_llm::{OpenAiServer, Replay, ServerArgs, TextGenerator, Unanswered, Unasked};
use candle_core::{DType, Device};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::LocalModel;
use crate::error::Error;
use crate::multimodal::audio_language::LocalAudioModel;

/// Flags that say nothing to a model in this process.
const SERVER_ONLY: [&str; 10] = [
    "api",
    "schema_format",
    "concurrency",
    "timeout",
    "connect_timeout",
    "retries",
    "unanswered",
    "api_key_env",
    "azure_api_version",
    "server_param",
];

/// Where a command that asks a language model finds it: `--server`, or `--model` alone for one that runs in this process.
#[derive(Debug, Clone)]
pub enum LanguageModelArgs {
    /// A server.
    Server(Box<ServerArgs>),
    /// A GGUF file, a folder or an id on the hub.
    Local(LocalModelArgs),
}

/// The flags of [`LanguageModelArgs`] for a command that may do without: `None` if neither a server nor a model is named.
#[derive(Debug, Clone)]
pub struct OptionalLanguageModelArgs(pub Option<LanguageModelArgs>);

/// A model in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalModelArgs {
    /// A GGUF file, a folder or an id on the hub.
    pub model: String,
    /// Where it runs.
    pub device: DeviceChoice,
    /// Folder that caches answers, where it is not in the output.
    pub replay: Option<PathBuf>,
    /// Neither store answers nor use stored ones.
    pub no_replay: bool,
}

/// A language model that is ready to answer.
pub struct LanguageModel {
    /// Answers requests, and stores the answers unless told otherwise.
    pub generator: Box<dyn TextGenerator>,
    /// Fingerprint of a model in this process, for `run.json`; nothing is known of the weights behind a server.
    pub fingerprints: Vec<ModelFingerprint>,
}

/// A model in this process and what stands in `run.json` about it.
type LoadedModel = (Box<dyn TextGenerator>, ModelFingerprint);

impl std::fmt::Debug for LanguageModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LanguageModel").field("identity", &self.generator.identity()).finish_non_exhaustive()
    }
}

impl LanguageModelArgs {
    /// What happens to questions without an answer.
    #[must_use]
    pub fn unanswered(&self) -> Unanswered {
        match self {
            Self::Server(server) => server.unanswered,
            Self::Local(_) => Unanswered::default(),
        }
    }

    /// Whether requests to the model of [`LanguageModelArgs::open`] may carry sounds: in this process it reads text alone.
    #[must_use]
    pub fn may_hear(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// Connects to the server or loads the model. Answers are stored in a replay folder, by default in `output`. On a dry
    /// run nothing is opened, and nobody answers.
    ///
    /// # Errors
    /// The server cannot be reached, the model cannot be loaded, or the replay folder cannot be read.
    pub fn open(&self, output: &Path, dry_run: bool) -> Result<LanguageModel, Error> {
        self.open_with(output, dry_run, |name, device| {
            let model = LocalModel::open(name, device, DType::F32)?;
            let fingerprint = model.fingerprint().clone();
            Ok((Box::new(model), fingerprint))
        })
    }

    /// As [`LanguageModelArgs::open`], for questions about sounds in free text: the model in this process is an audio
    /// language model.
    ///
    /// # Errors
    /// As there.
    pub fn open_hearing(&self, output: &Path, dry_run: bool) -> Result<LanguageModel, Error> {
        self.open_with(output, dry_run, |name, device| {
            let model = LocalAudioModel::open(name, device, DType::F32)?;
            let fingerprint = model.fingerprint().clone();
            Ok((Box::new(model), fingerprint))
        })
    }

    /// `load` opens a model in this process by its name or path.
    fn open_with(
        &self,
        output: &Path,
        dry_run: bool,
        load: impl FnOnce(&str, &Device) -> Result<LoadedModel, Error>,
    ) -> Result<LanguageModel, Error> {
        match self {
            Self::Server(server) => {
                let config = server.to_config()?;
                if dry_run {
                    return Ok(unasked(config.model.as_deref().unwrap_or("?")));
                }
                let generator = OpenAiServer::connect(config)?.remembering(server.replay_folder(output).as_deref())?;
                Ok(LanguageModel { generator, fingerprints: Vec::new() })
            }
            Self::Local(local) if dry_run => Ok(unasked(&local.model)),
            Self::Local(local) => {
                let (model, fingerprint) = load(&local.model, &local.device.open()?)?;
                Ok(LanguageModel { generator: local.remembering(model, output)?, fingerprints: vec![fingerprint] })
            }
        }
    }
}

fn unasked(model: &str) -> LanguageModel {
    LanguageModel { generator: Box::new(Unasked(model.to_owned())), fingerprints: Vec::new() }
}

impl LocalModelArgs {
    /// The model behind the store of its answers, unless none is kept.
    fn remembering(&self, model: Box<dyn TextGenerator>, output: &Path) -> Result<Box<dyn TextGenerator>, Error> {
        if self.no_replay {
            return Ok(model);
        }
        let folder = self.replay.clone().unwrap_or_else(|| output.join("replay"));
        Ok(Box::new(Replay::open(model, &folder)?))
    }
}

/// The flags of a server and of a model in this process, none of them required.
fn augment(command: Command) -> Command {
    let help = "With --server: name of the model to request; may be omitted if the server serves exactly one. \
                Without: the model that runs in this process, a GGUF file, a folder with safetensors or an id on \
                the Hugging Face hub (Qwen2, Qwen2.5 and Llama)";
    let device = Arg::new("device")
        .long("device")
        .value_name("DEVICE")
        .value_parser(|text: &str| text.parse::<DeviceChoice>())
        .help("Device of a model that runs in this process: `auto`, `cpu` or `cuda:N` [default: auto]");
    ServerArgs::augment_args(command)
        .mut_arg("server", |argument| argument.required(false))
        .mut_arg("model", |argument| argument.value_name("NAME_OR_PATH").help(help))
        .arg(device)
}

fn read(matches: &ArgMatches) -> Result<Option<LanguageModelArgs>, clap::Error> {
    let is_given = |id: &str| matches.value_source(id).is_some_and(|source| source != ValueSource::DefaultValue);
    let refuse = |message: String| Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
    let device = matches.get_one::<DeviceChoice>("device").copied();
    if is_given("server") {
        if device.is_some() {
            return refuse("--device is for a model in this process: omit it, or omit --server\n".to_owned());
        }
        return Ok(Some(LanguageModelArgs::Server(Box::new(ServerArgs::from_arg_matches(matches)?))));
    }
    if let Some(flag) = SERVER_ONLY.into_iter().find(|id| is_given(id)) {
        return refuse(format!("--{} is for a server: name one with --server\n", flag.replace('_', "-")));
    }
    let replay = matches.get_one::<PathBuf>("replay").cloned();
    let no_replay = matches.get_flag("no_replay");
    let Some(model) = matches.get_one::<String>("model").cloned() else {
        let idle = [("--device", device.is_some()), ("--replay", replay.is_some()), ("--no-replay", no_replay)];
        return match idle.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => refuse(format!("{flag} is for a language model: name one with --server or --model\n")),
            None => Ok(None),
        };
    };
    let device = device.unwrap_or_default();
    Ok(Some(LanguageModelArgs::Local(LocalModelArgs { model, device, replay, no_replay })))
}

impl Args for LanguageModelArgs {
    fn augment_args(command: Command) -> Command {
        augment(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        augment(command)
    }
}

impl FromArgMatches for LanguageModelArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let message = "name a server with --server, or a model with --model\n";
        read(matches)?.ok_or_else(|| clap::Error::raw(ErrorKind::MissingRequiredArgument, message))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for OptionalLanguageModelArgs {
    fn augment_args(command: Command) -> Command {
        augment(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        augment(command)
    }
}

impl FromArgMatches for OptionalLanguageModelArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        read(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Needed {
        #[command(flatten)]
        language_model: LanguageModelArgs,
    }

    #[derive(Debug, Parser)]
    struct Optional {
        #[command(flatten)]
        language_model: OptionalLanguageModelArgs,
    }

    fn parse<P: Parser>(arguments: &[&str]) -> Result<P, String> {
        P::try_parse_from(["x"].iter().chain(arguments)).map_err(|error| error.to_string())
    }

    fn needed(arguments: &[&str]) -> Result<LanguageModelArgs, String> {
        let optional = parse::<Optional>(arguments).map(|flags| flags.language_model.0.is_some());
        let needed = parse::<Needed>(arguments).map(|flags| flags.language_model);
        // Where a model is named, both forms say the same.
        assert!(needed.is_err() || optional == Ok(true), "{optional:?}");
        needed
    }

    #[test]
    fn a_model_without_a_server_runs_in_this_process() {
        let LanguageModelArgs::Local(local) =
            needed(&["--model", "a.gguf", "--replay", "r", "--device", "cpu"]).unwrap()
        else {
            panic!()
        };
        let device = DeviceChoice::Cpu;
        let expected = LocalModelArgs { model: "a.gguf".into(), device, replay: Some("r".into()), no_replay: false };
        assert_eq!(local, expected);
        let LanguageModelArgs::Server(server) = needed(&["--server", "http://h/v1", "--model", "m"]).unwrap() else {
            panic!()
        };
        assert_eq!(server.model.as_deref(), Some("m"));
        assert!(matches!(needed(&["--server", "http://h/v1"]), Ok(LanguageModelArgs::Server(_))));
        assert!(parse::<Optional>(&[]).unwrap().language_model.0.is_none());
    }

    #[test]
    fn flags_that_would_do_nothing_are_refused() {
        let check = |arguments: &[&str], expected: &str| {
            let error = needed(arguments).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(&[], "--server");
        check(&["--model", "a.gguf", "--api-key-env", "KEY"], "--api-key-env is for a server");
        check(&["--server", "http://h/v1", "--device", "cpu"], "--device is for a model in this process");
        check(&["--model", "a.gguf", "--device", "gpu"], "unknown device");
        let error = parse::<Optional>(&["--no-replay"]).unwrap_err();
        assert!(error.contains("--no-replay is for a language model"), "{error}");
    }

    #[test]
    fn a_dry_run_opens_nothing() {
        for (flags, identity) in
            [(["--model", "nowhere.gguf"], "nowhere.gguf"), (["--server", "http://127.0.0.1:1/v1"], "?")]
        {
            let model = needed(&flags).unwrap().open(Path::new("nowhere"), true).unwrap();
            assert_eq!((model.generator.identity().as_str(), model.fingerprints.len()), (identity, 0));
        }
        let error = needed(&["--model", "nowhere.gguf"]).unwrap().open(Path::new("nowhere"), false).unwrap_err();
        assert!(error.to_string().contains("nowhere.gguf"), "{error}");
    }
}
