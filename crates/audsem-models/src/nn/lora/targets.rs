//! Which layers a setting of PEFT means.

use fancy_regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The pattern that means every linear layer.
const ALL_LINEAR: &str = "all-linear";

/// Layers of a network, by dotted names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Modules {
    /// Those of these names, and those whose names end in a dot and one of these.
    Names(Vec<String>),
    /// Those whose whole name a regular expression matches; `all-linear` means every linear layer but the output.
    Pattern(String),
}

impl Default for Modules {
    fn default() -> Self {
        Self::Names(Vec::new())
    }
}

impl From<&[&str]> for Modules {
    fn from(names: &[&str]) -> Self {
        Self::Names(names.iter().map(|name| (*name).to_owned()).collect())
    }
}

impl Modules {
    pub(super) fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// Names, or the pattern.
    pub(crate) fn entries(&self) -> &[String] {
        match self {
            Self::Names(names) => names,
            Self::Pattern(pattern) => std::slice::from_ref(pattern),
        }
    }

    pub(super) fn is_all_linear(&self) -> bool {
        matches!(self, Self::Pattern(pattern) if pattern.eq_ignore_ascii_case(ALL_LINEAR))
    }

    pub(super) fn validate(&self, key: &'static str) -> Result<()> {
        match self {
            Self::Pattern(pattern) if !self.is_all_linear() => {
                whole(pattern).map(drop).map_err(|error| Error::unsupported(key, pattern, &error))
            }
            _ => Ok(()),
        }
    }

    /// The entry that means `module`.
    pub(super) fn find(&self, module: &str) -> Option<&str> {
        match self {
            Self::Names(names) => {
                let meant = |name: &&String| {
                    module.strip_suffix(name.as_str()).is_some_and(|head| head.is_empty() || head.ends_with('.'))
                };
                // A whole name comes before the end of one, which may be restricted to some layers.
                names.iter().find(|name| *name == module).or_else(|| names.iter().find(meant)).map(String::as_str)
            }
            Self::Pattern(pattern) if self.is_all_linear() => Some(pattern),
            Self::Pattern(pattern) => whole(pattern).is_ok_and(|regex| is_match(&regex, module)).then_some(pattern),
        }
    }
}

/// A setting that is written as a value or as a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One value.
    One(T),
    /// Any number.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// A regular expression for a whole name, as `re.fullmatch` of Python takes it.
fn whole(pattern: &str) -> std::result::Result<Regex, String> {
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(|error| error.to_string())
}

/// A match that is given up, because it takes too many steps, is none.
fn is_match(regex: &Regex, text: &str) -> bool {
    regex.is_match(text).unwrap_or(false)
}

/// Whether a pattern matches a name, or what stands behind a dot of it.
pub(super) fn matches_end(pattern: &str, module: &str) -> std::result::Result<bool, String> {
    let regex = Regex::new(&format!(r"\A(?:.*\.)?(?:{pattern})\z")).map_err(|error| error.to_string())?;
    Ok(is_match(&regex, module))
}

/// The first number between dots of a name, behind a part that `pattern` matches, or behind any.
pub(super) fn layer_index(module: &str, pattern: Option<&str>) -> std::result::Result<Option<usize>, String> {
    let regex = match pattern {
        Some(pattern) => format!(r"\A(?:|.*?\.)(?:{pattern})\.(?P<idx>\d+)\."),
        None => r"\A.*?\.[^.]*\.(?P<idx>\d+)\.".to_owned(),
    };
    let regex = Regex::new(&regex).map_err(|error| error.to_string())?;
    let found = regex.captures(module).ok().flatten();
    Ok(found.and_then(|found| found.name("idx")?.as_str().parse().ok()))
}
