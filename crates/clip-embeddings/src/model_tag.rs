//! How tables of embeddings name the model that made them, and which of them may be compared.

use std::fmt;

/// Hexadecimal digits of a hash that a tag keeps.
const DIGITS: usize = 16;

/// `NAME@WEIGHTS+FILES-DTYPE`: what people call the model, the hash of its first weight file, the hash of all files that
/// decide its vectors, and the type of its numbers.
///
/// Older tables have no `+FILES`; other programs may write any text, which is then a name and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelTag {
    name: String,
    known: Option<Known>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    weights: String,
    files: Option<String>,
    dtype: String,
}

impl ModelTag {
    /// A tag of the hashes in hex.
    pub fn new(name: &str, weights: &str, files: &str, dtype: &str) -> Self {
        let short = |hash: &str| hash[..hash.len().min(DIGITS)].to_owned();
        let known = Known { weights: short(weights), files: Some(short(files)), dtype: dtype.to_owned() };
        Self { name: name.rsplit('/').next().unwrap_or_default().to_owned(), known: Some(known) }
    }

    /// Parses a tag; any text is valid.
    pub fn parse(text: &str) -> Self {
        Self::parse_known(text).unwrap_or_else(|| Self { name: text.to_owned(), known: None })
    }

    fn parse_known(text: &str) -> Option<Self> {
        let (name, rest) = text.rsplit_once('@')?;
        let (hashes, dtype) = rest.rsplit_once('-')?;
        let (weights, files) = hashes.split_once('+').map_or((hashes, None), |(weights, files)| (weights, Some(files)));
        let is_hash = |hash: &str| hash.len() == DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let known = Known { weights: weights.to_owned(), files: files.map(str::to_owned), dtype: dtype.to_owned() };
        let whole = is_hash(weights) && files.is_none_or(is_hash);
        whole.then(|| Self { name: name.to_owned(), known: Some(known) })
    }

    /// Whether vectors of both models may be compared: their files are the same or, for older tables,
    /// their weights are. Names of folders and the number type do not matter.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        match (&self.known, &other.known) {
            (Some(a), Some(b)) => match (&a.files, &b.files) {
                (Some(a), Some(b)) => a == b,
                _ => a.weights == b.weights,
            },
            _ => self == other,
        }
    }

    /// Whether both ran with numbers of the same type, as far as is known.
    #[must_use]
    pub fn same_dtype(&self, other: &Self) -> bool {
        match (&self.known, &other.known) {
            (Some(a), Some(b)) => a.dtype == b.dtype,
            _ => true,
        }
    }

    /// Whether it names all files that decide the vectors.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.files.is_some())
    }
}

impl fmt::Display for ModelTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let Some(Known { weights, files, dtype }) = &self.known else { return Ok(()) };
        write!(f, "@{weights}")?;
        if let Some(files) = files {
            write!(f, "+{files}")?;
        }
        write!(f, "-{dtype}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "clap@0123456789abcdef+00000000000000aa-f32";

    #[test]
    fn tags_survive_being_written() {
        for text in [A, "clap@0123456789abcdef-bf16", "somebody's model", "a@b-c", ""] {
            assert_eq!(ModelTag::parse(text).to_string(), text);
        }
        let tag = ModelTag::new("org/clap", "0123456789abcdef0123", "00000000000000aabb", "f32");
        assert_eq!(tag.to_string(), A);
    }

    #[test]
    fn files_decide_where_both_name_them_and_weights_where_one_does_not() {
        let check = |b: &str, agrees: bool, same_dtype: bool| {
            let (a, b) = (ModelTag::parse(A), ModelTag::parse(b));
            assert_eq!((a.agrees_with(&b), b.agrees_with(&a)), (agrees, agrees), "{b}");
            assert_eq!(a.same_dtype(&b), same_dtype, "{b}");
        };
        check("renamed@0123456789abcdef+00000000000000aa-f32", true, true);
        check("clap@0123456789abcdef+00000000000000aa-bf16", true, false);
        check("clap@0123456789abcdef+00000000000000bb-f32", false, true);
        check("clap@0123456789abcdef-f32", true, true);
        check("clap@fedcba9876543210-f32", false, true);
        check("clap", false, true);
    }
}
