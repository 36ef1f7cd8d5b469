//! `caption`, `qa`, `mcqa` and `prompt`.

use std::path::{Path, PathBuf};

use audsem_core::cli::RunArgs;
use audsem_core::run::{RunOptions, Summary};
use audsem_core::tables::read_parquet;
use audsem_models::language::{LanguageModel, OptionalLanguageModelArgs};
use clap::Args;

use crate::error::Error;
use crate::parquet::parquet_under_all;
use crate::tables::ClipMetadata;
use crate::write::check::WordLimits;
use crate::write::metadata::Evidence;
use crate::write::product::{Product, Style};
use crate::write::prompts::{PromptSettings, PromptSource, as_text};
use crate::write::template::TemplateWriter;
use crate::write::{Author, ClipSounds, Config, ContentJudge, TABLE_HINT, WritingModels, run};

/// Who writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// A language model: the one behind --server, or the one at --model that runs in this process
    #[default]
    Model,
    /// Rules that put sentences together from the metadata alone; every row says so
    Template,
}

/// Flags that decide what a prompt says.
#[derive(Debug, Clone, Args)]
pub struct PromptArgs {
    /// Style of the reasoning
    #[arg(long, value_enum, default_value_t)]
    pub style: Style,
    /// Folder of prompt files that replace built-in ones of the same name: caption.txt, qa.txt, mcqa.txt, their judges
    /// caption-judge.txt and so on, and clip.txt, the notes about the clip that end the prompts of writers
    #[arg(long, value_name = "DIR")]
    pub prompt_dir: Option<PathBuf>,
    /// Complete prompt of the writer, which replaces its instructions and the notes about the clip
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// Minimum number of words of the reasoning
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub min_thinking: usize,
    /// Maximum number of words of a caption or an answer to an open question
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub max_answer: usize,
    /// Show the writer the labels of AST, too
    #[arg(long)]
    pub with_ast: bool,
    /// Questions about order, number and length of sounds, with answers that follow from the labels of the seconds (SAT)
    /// and are checked against them; reasoning may cite times
    #[arg(long)]
    pub grounded: bool,
    /// Show the judge the closed caption, so that it can judge the facts
    #[arg(long)]
    pub judge_with_facts: bool,
}

impl PromptArgs {
    fn source(&self) -> PromptSource {
        PromptSource { folder: self.prompt_dir.clone(), template: self.template.clone() }
    }

    fn limits(&self) -> WordLimits {
        WordLimits { min_thinking: self.min_thinking, max_answer: self.max_answer }
    }
}

/// Flags of `caption`, `qa` and `mcqa`.
#[derive(Debug, Clone, Args)]
pub struct WriteArgs {
    /// Run folders of `combine` or `filter`, or any files or folders of such tables (Parquet); if a key is repeated, its first
    /// row counts
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Who writes
    #[arg(long, value_enum, default_value_t)]
    pub backend: Backend,
    /// What prompts say.
    #[command(flatten)]
    pub prompt: PromptArgs,
    /// Audio shards (tars or folders of them): the sound of each clip is attached, for models that can hear; visual-caption
    /// needs them
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub sounds: Vec<PathBuf>,
    /// Have the content of every text judged by the language model; a text of it that is rejected is written anew
    #[arg(long)]
    pub judge: bool,
    /// Write about N clips alone, drawn by the seed
    #[arg(long, value_name = "N")]
    pub sample: Option<usize>,
    /// Give semantic elements as an object of nine lists, too (field semantic_categories)
    #[arg(long)]
    pub semantic_object: bool,
    /// Sampling temperature of the writer
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub temperature: f32,
    /// Maximum number of tokens of an answer, reasoning included [default: 1024 for captions, 2048 for questions]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// How often a clip is asked about, each time with the reason for which the last answer was rejected
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_attempts: u32,
    /// Clips per shard, which are asked about and committed together
    #[arg(long = "per-shard", alias = "clips-per-shard", value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub clips_per_shard: u32,
    /// The language model that writes or judges.
    #[command(flatten)]
    pub language_model: OptionalLanguageModelArgs,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
}

/// A command without anybody who could write.
const NO_WRITER: Error =
    Error::NoLanguageModel { who: "is to write", or: ", or let rules write with --backend template" };

/// `--judge` beside rules, without a model.
const NO_JUDGE: Error = Error::NoLanguageModel { who: "is to judge what rules write", or: ", or omit --judge" };

impl WriteArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, product: Product, options: &RunOptions) -> Result<Summary, Error> {
        self.refuse_contradictions(product)?;
        let config = self.config(product)?;
        let model = match &self.language_model.0 {
            Some(model) => Some(model.open(&options.output, options.dry_run)?),
            None => None,
        };
        let generator = model.as_ref().map(|model: &LanguageModel| &*model.generator);
        // Rules do not judge: beside them, the judge is the model.
        let models = WritingModels {
            writer: match self.backend {
                Backend::Template => &TemplateWriter,
                Backend::Model => generator.ok_or(NO_WRITER)?,
            },
            reviewer: generator.filter(|_| self.judge),
            fingerprints: model.as_ref().map(|model| model.fingerprints.clone()).unwrap_or_default(),
        };
        run(&config, models, options)
    }

    /// Refuses flags that contradict each other before anything is opened.
    fn refuse_contradictions(&self, product: Product) -> Result<(), Error> {
        let model = self.language_model.0.as_ref();
        match (self.backend, self.judge, model) {
            (Backend::Model, _, None) => return Err(NO_WRITER),
            (Backend::Template, true, None) => return Err(NO_JUDGE),
            (Backend::Template, false, Some(_)) => return Err(Error::IdleLanguageModel),
            _ => {}
        }
        if !self.sounds.is_empty() && model.is_some_and(|model| !model.may_hear()) {
            return Err(Error::NoHearing { flag: "--sounds" });
        }
        if product == Product::VisualCaption && (self.sounds.is_empty() || self.backend == Backend::Template) {
            let problem = "visual-caption needs --sounds and a model that can hear them (--server)";
            return Err(audsem_core::error::Error::Config { what: "--sounds".into(), problem: problem.into() }.into());
        }
        Ok(())
    }

    fn config(&self, product: Product) -> Result<Config, Error> {
        let source = self.prompt.source();
        let author = match self.backend {
            Backend::Model => Author::Model(Box::new(source.writer(product)?)),
            Backend::Template => Author::Template,
        };
        let judge = self.judge.then(|| source.judge(product)).transpose()?;
        let hears = !self.sounds.is_empty();
        Ok(Config {
            style: self.prompt.style,
            judge: judge.map(|prompt| ContentJudge { prompt, with_facts: self.prompt.judge_with_facts }),
            sounds: hears.then(|| ClipSounds::index(&self.sounds)).transpose()?,
            sample: self.sample,
            limits: self.prompt.limits(),
            with_ast: self.prompt.with_ast,
            grounded: self.prompt.grounded,
            semantic_object: self.semantic_object,
            temperature: self.temperature,
            max_tokens: self.max_tokens.unwrap_or_else(|| product.max_tokens()),
            max_attempts: self.max_attempts,
            clips_per_shard: self.clips_per_shard as usize,
            unanswered: self.language_model.0.as_ref().map(|model| model.unanswered()).unwrap_or_default(),
            ..Config::new(self.input.clone(), product, author)
        })
    }
}

/// Flags of `prompt`.
#[derive(Debug, Clone, Args)]
pub struct ShowPromptArgs {
    /// Kind of text
    #[arg(value_enum)]
    pub product: Product,
    /// Run folder of `combine` or `filter`, or any file or folder of such tables (Parquet); may be repeated, and the first row
    /// of the key counts
    #[arg(short, long, value_name = "PATH", required = true)]
    pub input: Vec<PathBuf>,
    /// Key of the clip, as its row has it
    #[arg(long, value_name = "KEY")]
    pub show: String,
    /// Show the judge's prompt instead, with a placeholder for the text to be judged
    #[arg(long)]
    pub judge: bool,
    /// What prompts say.
    #[command(flatten)]
    pub prompt: PromptArgs,
}

impl ShowPromptArgs {
    /// The prompt of one clip, as the model gets it.
    ///
    /// # Errors
    /// No table has the clip, or a template is wrong.
    pub fn text(&self) -> Result<String, Error> {
        let clip = self.clip()?;
        let settings = PromptSettings {
            product: self.product,
            style: self.prompt.style,
            limits: self.prompt.limits(),
            with_ast: self.prompt.with_ast,
            grounded: self.prompt.grounded,
        };
        let source = self.prompt.source();
        let prompt = if self.judge {
            let template = source.judge(self.product)?;
            settings.ask_judge(&template, &clip, "(the text to be judged)", self.prompt.judge_with_facts)?
        } else {
            settings.ask_writer(&source.writer(self.product)?, &clip)?
        };
        Ok(as_text(&prompt))
    }

    fn clip(&self) -> Result<Evidence, Error> {
        for path in parquet_under_all(&self.input, TABLE_HINT)? {
            let rows: Vec<ClipMetadata> = read_parquet(&path)?;
            if let Some(row) = rows.iter().find(|row| row.key == self.show) {
                return Ok(Evidence::of(row));
            }
        }
        let problem = format!("no clip has the key {:?}\nhint: give it as the column `key` has it", self.show);
        let all = self.input.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        Err(audsem_core::error::Error::input(Path::new(&all), problem).into())
    }
}
