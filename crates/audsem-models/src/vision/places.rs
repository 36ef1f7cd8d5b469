//! Places365: what kind of place a picture shows (Zhou et al., 2017), by a [`ResNet`].

use audsem_media::image::{ImageError, ResizeFilter, RgbImage};
use candle_core::{D, Device, Tensor};

use super::PixelNormalisation;
use super::resnet::ResNet;
use crate::error::{Error, Result};
use crate::nn::softmax;

/// Side of the picture before its middle is cut out.
const RESIZED: usize = 256;

/// Side of the picture that the network sees.
const SIDE: usize = 224;

/// A likeliest place below this probability is no answer.
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
}

impl PlaceClassifier {
    /// Takes a network and the names of its classes, in their order.
    #[must_use]
    pub fn new(network: ResNet, names: Vec<String>) -> Self {
        Self { network, names }
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
    /// There is no picture or no name of a class, memory, device.
    pub fn classify(&self, pictures: &[RgbImage], k: usize, device: &Device) -> Result<Vec<Vec<PlaceGuess>>> {
        let logits = self.network.forward(&PixelNormalisation::IMAGENET.tensor(pictures, device)?)?;
        if logits.dim(D::Minus1)? != self.names.len() {
            let classes = logits.dim(D::Minus1)?;
            return Err(Error::unsupported("num_classes", &classes, &format!("{} names", self.names.len())));
        }
        self.ranked(&logits, k)
    }

    fn ranked(&self, logits: &Tensor, k: usize) -> Result<Vec<Vec<PlaceGuess>>> {
        let rows = softmax(logits)?.to_vec2::<f32>()?;
        let guesses = |row: Vec<f32>| {
            let mut ranked: Vec<(usize, f32)> = row.into_iter().enumerate().collect();
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let guess =
                |(class, probability): (usize, f32)| PlaceGuess { class, name: self.names[class].clone(), probability };
            ranked.into_iter().take(k).map(guess).collect()
        };
        Ok(rows.into_iter().map(guesses).collect())
    }
}

/// The answer of ranked guesses: the likeliest, if its probability is above [`MIN_PROBABILITY`].
#[must_use]
pub fn answer(ranked: &[PlaceGuess]) -> Option<&PlaceGuess> {
    ranked.first().filter(|guess| guess.probability > MIN_PROBABILITY)
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
        assert_eq!(answer(&[guess(0, 0.8), guess(3, 0.1)]), Some(&guess(0, 0.8)));
        assert_eq!(answer(&[guess(0, 0.3)]), None);
        assert_eq!(answer(&[]), None);
    }
}
