//! Places365: what kind of place a picture shows (Zhou et al., 2017), by a [`ResNet`].

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::image::{ImageError, ResizeFilter, RgbImage};
use candle_core::{DType, Device};

use super::resnet::{Config, ResNet};
use super::{Eye, PixelNormalisation};
use crate::audio::{ClassScore, top_classes};
use crate::error::{Error, Result};
use crate::nn::softmax;

/// The names of the classes in their order, one on each line, as `categories_places365.txt` of the data set has them.
pub const NAMES: &str = include_str!("../../data/places365.txt");

/// Side of the picture before its middle is cut out.
const RESIZED: usize = 256;

/// Side of the picture that the network sees.
const SIDE: usize = 224;

/// A likeliest place that is not above this probability is no answer, by default.
pub const MIN_PROBABILITY: f32 = 0.3;

/// A place with its probability.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceGuess {
    /// Its number among the classes.
    pub class: usize,
    /// Its name, as the list of classes has it.
    pub name: String,
    /// Its probability among all classes.
    pub probability: f32,
}

/// A network with the names of its classes.
#[derive(Debug, Clone)]
pub struct PlaceClassifier {
    network: ResNet,
    names: Vec<String>,
    eye: Eye,
}

impl PlaceClassifier {
    /// Opens a folder with weights under the names of torchvision and, for sizes other than those of ResNet-50, a
    /// `config.json`. `names` is a list as [`parse_names`] reads it.
    ///
    /// # Errors
    /// A file cannot be read, the list does not fit, or tensors are missing, unused or of another shape.
    pub fn open(dir: &ModelDir, names: &str, device: &Device, dtype: DType) -> Result<Self> {
        let config: Config = dir.optional_json("config.json")?.unwrap_or_default();
        let names = parse_names(names, config.num_classes)?;
        let weights = Weights::open(dir, device, dtype)?;
        let network = ResNet::load(&weights.var_builder(), &config)?;
        weights.finish(|name| name.ends_with("num_batches_tracked"))?;
        Ok(Self { network, names, eye: Eye::new(PixelNormalisation::IMAGENET, device, dtype) })
    }

    /// What the network sees of a picture: resized to a square whatever the proportions, of which the middle is kept.
    ///
    /// # Errors
    /// Never for pictures of an accepted size.
    pub fn prepare(picture: &RgbImage) -> std::result::Result<RgbImage, ImageError> {
        picture.resized(RESIZED, RESIZED, ResizeFilter::Bilinear)?.centre_crop(SIDE, SIDE)
    }

    /// The `k` likeliest places of each prepared picture, the likeliest first, equal ones in the order of classes. No
    /// picture depends on the others.
    ///
    /// # Errors
    /// There is no picture; memory, device.
    pub fn classify(&self, pictures: &[RgbImage], k: usize) -> Result<Vec<Vec<PlaceGuess>>> {
        let rows = self.probabilities(pictures)?;
        Ok(rows.iter().map(|row| self.likeliest(row, k)).collect())
    }

    /// The probability of each class, for each prepared picture. No picture depends on the others.
    ///
    /// # Errors
    /// There is no picture; memory, device.
    pub fn probabilities(&self, pictures: &[RgbImage]) -> Result<Vec<Vec<f32>>> {
        Ok(softmax(&self.network.forward(&self.eye.tensor(pictures)?)?)?.to_vec2()?)
    }

    /// The `k` likeliest places by the probabilities of all classes.
    #[must_use]
    pub fn likeliest(&self, probabilities: &[f32], k: usize) -> Vec<PlaceGuess> {
        let guess = |ClassScore { index, probability }| PlaceGuess {
            class: index,
            name: self.names[index].clone(),
            probability,
        };
        top_classes(probabilities, k).into_iter().map(guess).collect()
    }
}

/// The answer of ranked guesses: the likeliest, if its probability is above `least`, which is [`MIN_PROBABILITY`] as a rule.
#[must_use]
pub fn answer(ranked: &[PlaceGuess], least: f32) -> Option<&PlaceGuess> {
    ranked.first().filter(|guess| guess.probability > least)
}

/// Parses the list of classes in either of its two layouts: a bare name on each line (`airfield`), or the name behind the
/// letter of its folder, with its number (`/a/airfield 0`). A name may hold a slash (`arena/hockey`).
///
/// # Errors
/// The number of names is not `classes`, layouts are mixed, numbers do not count from 0, or a name occurs twice.
pub fn parse_names(text: &str, classes: usize) -> Result<Vec<String>> {
    let refuse = |value: &str, wanted: &str| Err(Error::unsupported("list of classes", &value, wanted));
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let numbered = lines.first().is_some_and(|line| line.starts_with('/'));
    let mut names: Vec<String> = Vec::with_capacity(lines.len());
    for (number, line) in lines.iter().enumerate() {
        let name = match numbered {
            true => numbered_name(line, number),
            false => Some(*line).filter(|line| !line.starts_with('/') && !line.contains(char::is_whitespace)),
        };
        let Some(name) = name else {
            return refuse(line, "a name on each line, or `/LETTER/NAME NUMBER` with numbers from 0");
        };
        if names.iter().any(|other| other == name) {
            return refuse(name, "names that occur once");
        }
        names.push(name.to_owned());
    }
    match names.len() == classes {
        true => Ok(names),
        false => refuse(&format!("{} names", names.len()), &format!("{classes} names")),
    }
}

/// `airfield` of `/a/airfield 0`.
fn numbered_name(line: &str, number: usize) -> Option<&str> {
    let (path, counted) = line.split_once(' ')?;
    let (letter, name) = path.strip_prefix('/')?.split_once('/')?;
    let fits = counted.parse::<usize>() == Ok(number) && letter.len() == 1 && name.starts_with(letter);
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn both_layouts_of_the_list_load() {
        let bare = parse_names("airfield\narena/hockey\nzen_garden\n", 3).unwrap();
        let numbered = parse_names("/a/airfield 0\n/a/arena/hockey 1\r\n/z/zen_garden 2\n\n", 3).unwrap();
        assert_eq!(bare, ["airfield", "arena/hockey", "zen_garden"]);
        assert_eq!(bare, numbered);
    }

    fn sha256(text: &str) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        audsem_core::run::FileFingerprint::of(file.path()).unwrap().sha256
    }

    /// The published list, `/a/airfield 0` and so on, has this SHA-256.
    #[test]
    fn the_list_is_the_published_one() {
        let names = parse_names(NAMES, 365).unwrap();
        let lines = names.iter().enumerate().map(|(n, name)| format!("/{}/{name} {n}", &name[..1]));
        let published = lines.collect::<Vec<_>>().join("\n");
        assert_eq!(published.len(), 6833);
        assert_eq!(sha256(&published), "2affba635eb657e7ca95f4e6cc69bd9fac29ef4c32aeb83cafdfcd06ec6a1ea6");
        assert_eq!(parse_names(&published, 365).unwrap(), names);
    }

    #[test]
    fn a_list_that_could_shift_names_is_refused() {
        for (text, part) in [
            ("airfield\nalley\n", "2 names"),
            ("airfield\nalley\nalley\n", "occur once"),
            ("airfield\n/a/alley 1\nattic\n", "on each line"),
            ("/a/airfield 0\nalley\n/a/attic 2\n", "on each line"),
            ("/a/airfield 1\n/a/alley 2\n/a/attic 3\n", "from 0"),
            ("/b/airfield 0\n/a/alley 1\n/a/attic 2\n", "on each line"),
            ("an airfield\nalley\nattic\n", "on each line"),
        ] {
            let error = parse_names(text, 3).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_first_class_is_a_place_like_any_other() {
        let guess = |class, probability| PlaceGuess { class, name: "airfield".to_owned(), probability };
        assert_eq!(answer(&[guess(0, 0.8), guess(3, 0.1)], MIN_PROBABILITY), Some(&guess(0, 0.8)));
        assert_eq!(answer(&[guess(0, 0.3)], MIN_PROBABILITY), None);
        assert_eq!(answer(&[], MIN_PROBABILITY), None);
    }
}
