//! The metrics of answers: what a row adds to each.

use serde::{Deserialize, Serialize};

use crate::score::fense::PENALTY;
use crate::tables::ItemScore;

/// A metric that is a ratio of sums over rows: a mean of scores, or errors by words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricKind {
    /// Official string rule.
    Official,
    /// The option that the answer means.
    Parsed,
    /// lmms-eval's convention.
    LmmsEval,
    /// evalscope's convention.
    Evalscope,
    /// The letter rule, with skipped questions as wrong.
    Letter,
    /// The letter rule over the questions that it does not skip.
    LetterFound,
    /// Instructions that are followed by the published rules.
    Instruction,
    /// Instructions that are followed by what they ask for.
    InstructionAsAsked,
    /// Word error rate.
    Wer,
    /// Character error rate.
    Cer,
    /// BLEU-4 of the corpus.
    Bleu,
    /// METEOR.
    Meteor,
    /// METEOR without synonyms.
    MeteorWithoutSynonyms,
    /// METEOR against each right caption alone.
    MeteorSingle,
    /// The same without synonyms.
    MeteorSingleWithoutSynonyms,
    /// ROUGE-L.
    RougeL,
    /// CIDEr-D.
    CiderD,
    /// BLEU-1 of captions, against several references.
    CaptionBleu1,
    /// BLEU-2 of captions.
    CaptionBleu2,
    /// BLEU-3 of captions.
    CaptionBleu3,
    /// BLEU-4 of captions.
    CaptionBleu4,
    /// SPICE, imported.
    Spice,
    /// Mean of CIDEr-D and SPICE.
    Spider,
    /// SPIDEr, less where the language has a fault.
    SpiderFl,
    /// Similarity of sentences, less where the language has a fault.
    Fense,
    /// Similarity of sentences.
    SentenceSimilarity,
    /// Share of captions whose language has a fault.
    FluencyErrors,
    /// Rating of a judge, a rating that was not given as 0.
    Judge,
    /// Rating of a judge, of those that were given.
    JudgeRated,
    /// All kinds of questions of a benchmark together.
    Overall,
}

impl MetricKind {
    /// Name, what it is, and whether less is better.
    #[must_use]
    pub fn about(self) -> (&'static str, &'static str, bool) {
        match self {
            Self::Official => {
                ("official", "official rule of MMAU: the right option's words, and no other option's", false)
            }
            Self::Parsed => ("parsed", "the option that the answer means is the right one", false),
            Self::LmmsEval => {
                ("lmms-eval", "letter named last; none counts as a random letter, by its expected value", false)
            }
            Self::Evalscope => {
                ("evalscope", "letter named last; none counts as A, and so does a key that is no option", false)
            }
            Self::Letter => ("letter", "letter rule of MMSU and AIR-Bench; without a letter wrong", false),
            Self::LetterFound => ("letter (found)", "the same over the questions whose answers have a letter", false),
            Self::Instruction => {
                ("followed", "the instruction is followed by the rule of MMAU-Pro as published", false)
            }
            Self::InstructionAsAsked => (
                "followed (as asked)",
                "the same by what each instruction asks for, where the published rule is at odds",
                false,
            ),
            Self::Wer => ("WER", "word errors by words of the reference", true),
            Self::Cer => ("CER", "character errors by characters of the reference", true),
            Self::Bleu => ("BLEU", "BLEU-4 of all translations together, 0 to 100, as sacrebleu", false),
            Self::Meteor => ("METEOR", "as NLTK, with the synonyms of WordNet", false),
            Self::MeteorWithoutSynonyms => {
                ("METEOR (no synonyms)", "by exact words and stems alone: no WordNet was given", false)
            }
            Self::MeteorSingle => (
                "METEOR (single)",
                "mean over all right captions, each alone, as the published evaluation has it",
                false,
            ),
            Self::MeteorSingleWithoutSynonyms => {
                ("METEOR (single, no synonyms)", "the same by exact words and stems alone", false)
            }
            Self::RougeL => ("ROUGE-L", "longest common subsequence", false),
            Self::CiderD => ("CIDEr-D", "consensus with the captions of the data set", false),
            Self::CaptionBleu1 => ("BLEU-1", "of all captions together, as the COCO tools", false),
            Self::CaptionBleu2 => ("BLEU-2", "of all captions together, as the COCO tools", false),
            Self::CaptionBleu3 => ("BLEU-3", "of all captions together, as the COCO tools", false),
            Self::CaptionBleu4 => ("BLEU-4", "of all captions together, as the COCO tools", false),
            Self::Spice => ("SPICE", "imported", false),
            Self::Spider => ("SPIDEr", "mean of CIDEr-D and SPICE", false),
            Self::SpiderFl => ("SPIDEr-FL", "SPIDEr, of which a fault of language leaves a tenth", false),
            Self::Fense => ("FENSE", "similarity of sentences, of which a fault of language leaves a tenth", false),
            Self::SentenceSimilarity => ("sentence similarity", "mean cosine with the right captions", false),
            Self::FluencyErrors => ("fluency errors", "captions whose language has a fault", true),
            Self::Judge => ("judge", "mean rating in the scale of the rubric; a missing rating counts as 0", false),
            Self::JudgeRated => ("judge (rated)", "mean rating of the answers that the judge has rated", false),
            Self::Overall => (
                "all kinds",
                "choices by the official rule, instructions that are followed, and grades of open answers; published results \
                 have an embedding model choose the options",
                false,
            ),
        }
    }

    /// The metric that stands for a kind of answer.
    #[must_use]
    pub fn main(kind: &str) -> Self {
        Self::of_kind(kind, false).first().copied().unwrap_or(Self::Official)
    }

    /// Whether it is a rating.
    #[must_use]
    pub fn is_of_judge(self) -> bool {
        matches!(self, Self::Judge | Self::JudgeRated)
    }

    /// The metrics of a kind of answer, the main one first.
    #[must_use]
    pub fn of_kind(kind: &str, wordnet: bool) -> Vec<Self> {
        let [meteor, meteor_single] = match wordnet {
            true => [Self::Meteor, Self::MeteorSingle],
            false => [Self::MeteorWithoutSynonyms, Self::MeteorSingleWithoutSynonyms],
        };
        let mut kinds = match kind {
            "caption" => vec![
                Self::CiderD,
                meteor,
                meteor_single,
                Self::RougeL,
                Self::CaptionBleu1,
                Self::CaptionBleu2,
                Self::CaptionBleu3,
                Self::CaptionBleu4,
                Self::Spice,
                Self::Spider,
                Self::SpiderFl,
                Self::Fense,
                Self::SentenceSimilarity,
                Self::FluencyErrors,
            ],
            "transcript" => vec![Self::Wer, Self::Cer],
            "translation" => vec![Self::Bleu],
            "instruction" => vec![Self::Instruction, Self::InstructionAsAsked],
            "open" => Vec::new(),
            _ => vec![Self::Official, Self::Parsed, Self::LmmsEval, Self::Evalscope, Self::Letter, Self::LetterFound],
        };
        kinds.extend([Self::Judge, Self::JudgeRated, Self::Overall]);
        kinds
    }

    /// A value as people read it.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Bleu | Self::Judge | Self::JudgeRated => format!("{value:.2}"),
            Self::CiderD | Self::Spider | Self::SpiderFl => format!("{value:.3}"),
            // Those of `is_in_percent`.
            _ => format!("{:.1} %", value * 100.0),
        }
    }

    /// Whether people read its values in percent.
    #[must_use]
    pub fn is_in_percent(self) -> bool {
        !matches!(self, Self::Bleu | Self::Judge | Self::JudgeRated | Self::CiderD | Self::Spider | Self::SpiderFl)
    }

    /// Whether its scores are shares of right answers, for which there is an interval in closed form.
    #[must_use]
    pub fn is_accuracy(self) -> bool {
        matches!(
            self,
            Self::Official
                | Self::Parsed
                | Self::Evalscope
                | Self::Letter
                | Self::LetterFound
                | Self::Instruction
                | Self::InstructionAsAsked
        )
    }

    /// What a row adds to the sum and to what the sum is divided by; `None` where the metric does not apply.
    #[must_use]
    pub fn share(self, row: &ItemScore) -> Option<(f64, f64)> {
        let one = |score: Option<f64>| score.map(|score| (score, 1.0));
        let counts = |errors: Option<u64>, all: Option<u64>| Some((errors? as f64, all? as f64));
        match self {
            Self::Official => one(row.official),
            Self::Parsed => one(row.parsed),
            Self::LmmsEval => one(row.lmms_eval),
            Self::Evalscope => one(row.evalscope),
            Self::Letter => one(row.letter),
            Self::LetterFound => one(row.letter.filter(|_| !row.letter_skipped)),
            Self::Instruction => one(row.instruction),
            Self::InstructionAsAsked => one(row.instruction_as_asked),
            Self::Wer => counts(row.word_errors, row.reference_words),
            Self::Cer => counts(row.character_errors, row.reference_characters),
            // These are no sums over rows.
            Self::Bleu | Self::CaptionBleu1 | Self::CaptionBleu2 | Self::CaptionBleu3 | Self::CaptionBleu4 => None,
            Self::Meteor | Self::MeteorWithoutSynonyms => one(row.meteor),
            // As many rows as there are right captions.
            Self::MeteorSingle | Self::MeteorSingleWithoutSynonyms => {
                let n = row.references.len() as f64;
                row.meteor_single.map(|mean| (mean * n, n))
            }
            Self::RougeL => one(row.rouge_l),
            Self::CiderD => one(row.cider_d),
            Self::Spice => one(row.spice),
            Self::Spider => one(spider(row)),
            Self::SpiderFl => one(spider(row).zip(row.fluency_error).map(|(spider, error)| penalised(spider, error))),
            Self::Fense => {
                let scores = row.sentence_similarity.zip(row.fluency_error);
                one(scores.map(|(similarity, error)| penalised(similarity, error)))
            }
            Self::SentenceSimilarity => one(row.sentence_similarity),
            Self::FluencyErrors => one(row.fluency_error),
            Self::Judge => one(row.rating.or(row.judgement.as_ref().map(|_| 0.0))),
            Self::JudgeRated => one(row.rating),
            Self::Overall => one(row.overall),
        }
    }
}

fn spider(row: &ItemScore) -> Option<f64> {
    row.cider_d.zip(row.spice).map(|(cider, spice)| (cider + spice) / 2.0)
}

/// A score, and what a fault of language leaves of it.
fn penalised(score: f64, error: f64) -> f64 {
    score * (1.0 - PENALTY * error)
}
