//! Rubrics: what a judge is asked, and which ratings it may give. They are data files that users can replace.

use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::input;
use audsem_llm::PromptTemplate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The rubrics that are built in, by name.
const BUILT_IN: [(&str, &str); 6] = [
    ("graded", include_str!("rubrics/graded.toml")),
    ("graded-without-refusal", include_str!("rubrics/graded-without-refusal.toml")),
    ("binary", include_str!("rubrics/binary.toml")),
    ("one-to-five", include_str!("rubrics/one-to-five.toml")),
    ("mmar", include_str!("rubrics/mmar.toml")),
    ("mmau-pro", include_str!("rubrics/mmau-pro.toml")),
];

/// The scale of a rubric, which scores need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatingScale {
    /// Lowest rating.
    pub lowest: f64,
    /// Highest rating.
    pub highest: f64,
    /// Whether ratings are whole numbers.
    pub whole: bool,
    /// What a mean rating is multiplied with for the score.
    pub scale: f64,
}

impl RatingScale {
    /// Whether a judge may give this rating.
    #[must_use]
    pub fn allows(&self, rating: f64) -> bool {
        (self.lowest..=self.highest).contains(&rating) && (!self.whole || rating.fract() == 0.0)
    }
}

/// The fields of a file of a rubric.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RubricFile {
    about: String,
    lowest: f64,
    highest: f64,
    whole: bool,
    scale: f64,
    #[serde(default = "one")]
    runs: u32,
    #[serde(default)]
    only_right: bool,
    #[serde(default)]
    only_open: bool,
    published: Option<String>,
    prompt: String,
}

fn one() -> u32 {
    1
}

/// What a judge is asked about an answer, and what it may say.
#[derive(Debug, Clone)]
pub struct Rubric {
    /// Its name, or that of its file.
    pub name: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// What it grades, for people.
    pub about: String,
    /// The ratings.
    pub scale: RatingScale,
    /// How often each answer is judged, with as many seeds. Of three or more ratings the lowest and the highest are left
    /// out, and the mean of the others counts.
    pub runs: u32,
    /// Whether only answers that are right by the official rule are judged; others get 0.
    pub only_right: bool,
    /// The field of the published record that the prompt shows, if any.
    pub published: Option<String>,
    /// Whether only open questions are judged, and others by the rules of their kind.
    pub only_open: bool,
    /// The prompt.
    pub prompt: PromptTemplate,
    /// The text of the prompt, with its slots.
    pub prompt_text: String,
}

impl Rubric {
    /// The rubrics that are built in.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).collect()
    }

    /// Opens a rubric that is built in, by its name, or a file.
    ///
    /// # Errors
    /// There is neither, or the file is no rubric.
    pub fn open(name_or_file: &str) -> Result<Self, Error> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_file) {
            return Self::parse(name, text);
        }
        let path = Path::new(name_or_file);
        if !input::is_file(path)? {
            let problem = format!("neither a file nor one of the rubrics {}: {name_or_file}", Self::names().join(", "));
            return Err(config_error(problem));
        }
        let text = String::from_utf8(input::read_whole(path)?)
            .map_err(|_| CoreError::input(path, "this rubric is not UTF-8"))?;
        Self::parse(name_or_file, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let file: RubricFile =
            toml::from_str(text).map_err(|error| config_error(format!("{name} is no rubric: {error}")))?;
        let RubricFile { lowest, highest, whole, scale, .. } = file;
        if !(lowest < highest && lowest >= 0.0 && scale > 0.0 && highest.is_finite() && scale.is_finite())
            || file.runs == 0
        {
            let problem = "needs 0 ≤ lowest < highest, scale > 0 and runs > 0";
            return Err(config_error(format!("{name} {problem}")));
        }
        Ok(Self {
            name: name.to_owned(),
            sha256: audsem_core::files::hex(&Sha256::digest(text.as_bytes())),
            about: file.about,
            scale: RatingScale { lowest, highest, whole, scale },
            runs: file.runs,
            only_right: file.only_right,
            only_open: file.only_open,
            published: file.published,
            prompt: PromptTemplate::parse(name, file.prompt.trim_start())?,
            prompt_text: file.prompt.trim().to_owned(),
        })
    }

    /// The rating that follows from those of all runs: their mean, of three or more without the lowest and the highest.
    #[must_use]
    pub fn combined(&self, ratings: &[f64]) -> Option<f64> {
        let mut sorted = ratings.to_vec();
        sorted.sort_by(f64::total_cmp);
        let counted = match sorted.as_slice() {
            [] => return None,
            [_, middle @ .., _] if !middle.is_empty() => middle,
            all => all,
        };
        Some(counted.iter().sum::<f64>() / counted.len() as f64)
    }
}

fn config_error(problem: String) -> Error {
    CoreError::Config { what: "--rubric".to_owned(), problem }.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn every_rubric_that_is_built_in_asks_for_a_rating_of_its_scale() {
        let slots =
            json!({"question": "q", "reference": "r", "answer": "a", "thinking": "t", "published": "one criterion"});
        for (name, _) in BUILT_IN {
            let rubric = Rubric::open(name).unwrap();
            let prompt = format!("{:?}", rubric.prompt.render(&slots).unwrap());
            assert!(prompt.contains("Rating:") && prompt.contains("[Question]"), "{name}");
            assert!(rubric.scale.allows(rubric.scale.highest) && !rubric.scale.allows(rubric.scale.highest + 1.0));
        }
        assert!(!Rubric::open("binary").unwrap().scale.allows(0.5));
    }

    #[test]
    fn of_several_ratings_the_middle_counts() {
        let rubric = Rubric::open("mmar").unwrap();
        assert_eq!(rubric.combined(&[]), None);
        assert_eq!(rubric.combined(&[0.4]), Some(0.4));
        assert_eq!(rubric.combined(&[0.5, 1.0]), Some(0.75));
        assert_eq!(rubric.combined(&[1.0, 0.25, 0.75, 0.5, 0.25]), Some(0.5));
    }

    #[test]
    fn a_rubric_that_makes_no_sense_is_refused() {
        assert!(Rubric::open("no-such-rubric").unwrap_err().to_string().contains("graded, graded-without-refusal"));
        let text = "about = 'x'\nlowest = 2\nhighest = 1\nwhole = true\nscale = 1\nprompt = 'x'";
        assert!(Rubric::parse("mine", text).unwrap_err().to_string().contains("lowest < highest"));
        assert!(Rubric::parse("mine", "about = 1").unwrap_err().to_string().contains("mine is no rubric"));
    }
}
