//! Run folders that a command line names.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `NAME=PATH`, or a path whose last component is the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFolder {
    /// What it is called on the page.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
}

impl FromStr for NamedFolder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // An existing path is taken as a path, even if it contains `=`.
        let named = text
            .split_once('=')
            .filter(|(name, _)| !name.contains('/') && !Path::new(text).try_exists().unwrap_or(true));
        let (name, path) = match named {
            Some((name, path)) => (name.to_owned(), PathBuf::from(path)),
            None => {
                let path = PathBuf::from(text);
                let absolute = path.canonicalize().unwrap_or_else(|_| path.clone());
                (absolute.file_name().unwrap_or_default().to_string_lossy().into_owned(), path)
            }
        };
        match name.is_empty() || path.as_os_str().is_empty() {
            true => Err("expected NAME=DIR or DIR".to_owned()),
            false => Ok(Self { name, path }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_names() {
        let check = |text: &str| text.parse::<NamedFolder>().map(|named| (named.name, named.path));
        assert_eq!(check("mine=out/score"), Ok(("mine".to_owned(), "out/score".into())));
        assert_eq!(check("out/score"), Ok(("score".to_owned(), "out/score".into())));
        assert_eq!(check("out/a=b"), Ok(("a=b".to_owned(), "out/a=b".into())));
        assert!(check("=x").is_err() && check("").is_err());
    }
}
