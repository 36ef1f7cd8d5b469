//! Flags of `score`, `judge` and `export`.

use std::path::PathBuf;

use audsem_core::cli::RunArgs;
use audsem_core::run::{RunOptions, Summary};
use audsem_metrics::bleu::BleuTokenizer;
use audsem_metrics::normalise::Compat;
use audsem_models::language::LanguageModelArgs;
use clap::Args;

use crate::error::Error;
use crate::export::{self, ExportFormat};
use crate::judge::{self, Rubric};
use crate::score::words::Normaliser;
use crate::score::{self, ExtractionChoice, ExtractionRule, TagsAsked};

/// Flags that decide what of an output is the answer.
#[derive(Debug, Clone, Args)]
pub struct ExtractionArgs {
    /// Which answer of an output counts
    #[arg(long, value_enum, default_value_t)]
    pub extract: ExtractionRule,
    /// Whether the prompts asked for an answer inside tags
    #[arg(long, value_enum, default_value_t)]
    pub tags: TagsAsked,
}

impl ExtractionArgs {
    fn choice(&self) -> ExtractionChoice {
        ExtractionChoice { rule: self.extract, tags: self.tags }
    }
}

/// Whose rules are followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum CompatFlag {
    /// What the rules mean
    #[default]
    Fixed,
    /// What the published scripts do
    Reference,
}

/// How BLEU cuts translations into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TokensFlag {
    /// Rules of mteval-v13a
    #[value(name = "13a")]
    V13a,
    /// Rules of mteval-v14, for other scripts
    Intl,
    /// Each Chinese character a token
    Zh,
    /// Each character a token
    Char,
    /// The text between blanks
    None,
}

impl TokensFlag {
    fn tokenizer(self) -> BleuTokenizer {
        match self {
            Self::V13a => BleuTokenizer::V13a,
            Self::Intl => BleuTokenizer::Intl,
            Self::Zh => BleuTokenizer::Zh,
            Self::Char => BleuTokenizer::Char,
            Self::None => BleuTokenizer::None,
        }
    }
}

/// Flags of `score`.
#[derive(Debug, Clone, Args)]
pub struct ScoreArgs {
    /// Run folders of `predict` or `import`; several are of one model and one way to ask, about different questions
    #[arg(short, long, value_name = "DIR", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// Run folder of `judge` over the same predictions
    #[arg(long, value_name = "DIR")]
    pub judgements: Option<PathBuf>,
    /// What of an output is the answer.
    #[command(flatten)]
    pub extraction: ExtractionArgs,
    /// `reference` follows the published scripts in their faults: those of their text rules, and that questions whose sound
    /// is missing do not count
    #[arg(long, value_enum, default_value_t)]
    pub compat: CompatFlag,
    /// How words of transcripts are compared [default: by the rules of the data set]
    #[arg(long, value_enum)]
    pub normaliser: Option<Normaliser>,
    /// The words of Thai, one on each line, such as words_th.txt of PyThaiNLP; without it Thai is compared as it stands
    #[arg(long, value_name = "FILE", required_if_eq("normaliser", "thai"))]
    pub thai_words: Option<PathBuf>,
    /// Folder of NLTK's model of English sentences (tokenizers/punkt_tab/english), by which the instructions of MMAU-Pro count
    /// them [default: common abbreviations]
    #[arg(long, value_name = "DIR")]
    pub punkt: Option<PathBuf>,
    /// How BLEU cuts translations into tokens, by sacrebleu's names [default: zh for Chinese, else 13a]
    #[arg(long, value_enum)]
    pub bleu_tokens: Option<TokensFlag>,
    /// SentencePiece model whose pieces are the tokens of BLEU: with sacrebleu_tokenizer_spm.model, which sacrebleu downloads,
    /// these are its tokens flores101, as AudioBench has them
    #[arg(long, value_name = "FILE", conflicts_with = "bleu_tokens")]
    pub bleu_model: Option<PathBuf>,
    /// Folder of WordNet's database (dict), for synonyms in METEOR; without it METEOR compares exact words and stems
    #[arg(long, value_name = "DIR")]
    pub wordnet: Option<PathBuf>,
    /// SPICE of captions, made elsewhere: a CSV file with the columns `id` and `spice`
    #[arg(long, value_name = "FILE.csv")]
    pub spice: Option<PathBuf>,
    /// Folder of the encoder of sentences of FENSE, such as paraphrase-TinyBERT-L6-v2; with --fense-errors captions get FENSE
    #[arg(long, value_name = "DIR", requires = "fense_errors")]
    pub fense_sentence: Option<PathBuf>,
    /// Folder of the error detector of FENSE: its weights as safetensors (audsem-metadata-eval convert-weights --network plain),
    /// with the configuration and the vocabulary of bert-base-uncased
    #[arg(long, value_name = "DIR", requires = "fense_sentence")]
    pub fense_errors: Option<PathBuf>,
    /// Resamples of each bootstrap interval
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub resamples: u32,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ScoreArgs {
    /// What the flags ask for.
    #[must_use]
    pub fn config(&self) -> score::Config {
        score::Config {
            inputs: self.input.clone(),
            judgements: self.judgements.clone(),
            extraction: self.extraction.choice(),
            compat: match self.compat {
                CompatFlag::Fixed => Compat::Fixed,
                CompatFlag::Reference => Compat::Reference,
            },
            normaliser: self.normaliser,
            thai_words: self.thai_words.clone(),
            punkt: self.punkt.clone(),
            bleu: self.bleu_tokens.map(TokensFlag::tokenizer),
            bleu_model: self.bleu_model.clone(),
            wordnet: self.wordnet.clone(),
            spice: self.spice.clone(),
            fense: self.fense_sentence.clone().zip(self.fense_errors.clone()).map(<[PathBuf; 2]>::from),
            resamples: self.resamples,
        }
    }
}

/// Flags of `judge`.
#[derive(Debug, Clone, Args)]
pub struct JudgeArgs {
    /// Run folders of `predict` or `import`; several are of one model and one way to ask, about different questions
    #[arg(short, long, value_name = "DIR", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// What the judge is asked: graded, graded-without-refusal, binary, one-to-five, mmar, mmau-pro, or a file in the same form
    /// (TOML) [default: that of the data set, which those of AudioBench, MMAR and MMAU-Pro have]
    #[arg(long, value_name = "NAME|FILE.toml")]
    pub rubric: Option<String>,
    /// What of an output is the answer.
    #[command(flatten)]
    pub extraction: ExtractionArgs,
    /// Maximum number of tokens of a judgement
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: u32,
    /// How often a judgement without a rating is asked for before it counts as missing
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_attempts: u32,
    /// The judge.
    #[command(flatten)]
    pub language_model: LanguageModelArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl JudgeArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Any error that prevents the run.
    pub fn run(&self, options: &RunOptions) -> Result<Summary, Error> {
        let rubric = self.rubric.clone().map_or_else(|| judge::usual_rubric(&self.input), Ok)?;
        let config = judge::Config {
            inputs: self.input.clone(),
            extraction: self.extraction.choice(),
            rubric: Rubric::open(&rubric)?,
            max_tokens: self.max_tokens,
            max_attempts: self.max_attempts,
            unanswered: self.language_model.unanswered(),
        };
        let model = self.language_model.open(&options.output, options.dry_run)?;
        judge::run(&config, &*model.generator, model.fingerprints, options)
    }
}

/// Flags of `export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Run folders of `predict` or `import`; several are of one model and one way to ask, about different questions
    #[arg(short, long, value_name = "DIR", required = true, num_args = 1..)]
    pub input: Vec<PathBuf>,
    /// The files to write
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// What of an output is the answer.
    #[command(flatten)]
    pub extraction: ExtractionArgs,
    /// Run folder of `judge` over the same predictions, for AudioBench
    #[arg(long, value_name = "DIR")]
    pub judgements: Option<PathBuf>,
    /// Folder of WordNet's database (dict), without which no METEOR is written for AudioBench
    #[arg(long, value_name = "DIR")]
    pub wordnet: Option<PathBuf>,
    /// Name of the model's folder, for AudioBench
    #[arg(long, value_name = "NAME", default_value = "model")]
    pub model_name: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment here would replace the help of the subcommand")]
    pub run: RunArgs,
}

impl ExportArgs {
    /// What the flags ask for.
    #[must_use]
    pub fn config(&self) -> export::Config {
        export::Config {
            inputs: self.input.clone(),
            format: self.format,
            extraction: self.extraction.choice(),
            judgements: self.judgements.clone(),
            wordnet: self.wordnet.clone(),
            model_name: self.model_name.clone(),
        }
    }
}
