//! Keys of sounds and captions outside of shards: one rule for lists and folders.

use std::collections::HashMap;

use super::clip_key;
use crate::clip_id::ClipId;

/// What a record's key is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naming<'a> {
    /// The key the user gave.
    pub key: Option<&'a str>,
    /// The sound's path, from which the key comes where none is given.
    pub path: Option<&'a str>,
}

/// Where a name occurs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen<'a> {
    /// As a key that the user gave.
    Given,
    /// In one folder.
    In(&'a str),
    /// In more than one of these.
    Apart,
}

/// The keys of records that lie in one list or one folder, in their order; empty where nothing names a record.
///
/// A key that was given stays as it is; where it names a clip it is that clip's tar key, as everywhere. Without one the
/// file's name is the key, and sounds of one name in different folders get the folders in front. The name of a clip
/// is not prefixed, because it names the same clip in every folder.
pub(super) fn keys(records: &[Naming<'_>]) -> Vec<String> {
    let named: Vec<String> = records.iter().map(own_key).collect();
    let mut seen: HashMap<&str, Seen<'_>> = HashMap::new();
    for (record, key) in records.iter().zip(&named) {
        let place = match (given(record), record.path) {
            (Some(_), _) => Seen::Given,
            (None, Some(path)) => Seen::In(folder(path)),
            (None, None) => continue,
        };
        let before = seen.entry(key).or_insert(place);
        if *before != place {
            *before = Seen::Apart;
        }
    }
    let shared: Vec<bool> = named.iter().map(|key| seen.get(key.as_str()) == Some(&Seen::Apart)).collect();
    let qualified = records.iter().zip(named).zip(shared).map(|((record, key), shared)| match record.path {
        Some(path) if shared && given(record).is_none() && !folder(path).is_empty() && !names_clip(path) => {
            format!("{}/{key}", folder(path).replace('.', "_"))
        }
        _ => key,
    });
    qualified.collect()
}

fn given<'a>(record: &Naming<'a>) -> Option<&'a str> {
    record.key.map(str::trim).filter(|key| !key.is_empty())
}

fn own_key(record: &Naming<'_>) -> String {
    match given(record) {
        Some(key) => key.parse::<ClipId>().map_or_else(|_| key.to_owned(), |clip| clip.tar_key()),
        None => clip_key(record.path.unwrap_or_default()),
    }
}

fn names_clip(path: &str) -> bool {
    path.parse::<ClipId>().is_ok()
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(records: &[(&str, &str)], expected: &[&str]) {
        let namings: Vec<Naming<'_>> = records
            .iter()
            .map(|(key, path)| Naming {
                key: Some(*key).filter(|key| !key.is_empty()),
                path: Some(*path).filter(|path| !path.is_empty()),
            })
            .collect();
        assert_eq!(keys(&namings), expected, "{records:?}");
    }

    #[test]
    fn a_given_key_is_never_changed() {
        check(&[("k1", "a/x.wav"), ("k1", "b/x.wav")], &["k1", "k1"]);
        check(&[("a/k.1", "x.wav"), (" k 2 ", "")], &["a/k.1", "k 2"]);
        check(&[("V (1.0-2.5).mp4", "x.wav")], &["V (1_0-2_5)"]);
    }

    #[test]
    fn only_names_in_different_folders_get_the_folders_in_front() {
        check(&[("", "a/x.wav"), ("", "b.c/x.wav"), ("", "y.wav")], &["a/x", "b_c/x", "y"]);
        check(&[("", "a/x.wav"), ("", "a/x.wav"), ("", "x.wav")], &["a/x", "a/x", "x"]);
        check(&[("", "a/x.wav"), ("", "a/x.flac")], &["x", "x"]);
        check(&[("x", "b/y.wav"), ("", "a/x.wav")], &["x", "a/x"]);
    }

    #[test]
    fn a_clip_is_the_same_in_every_folder() {
        check(&[("", "a/V (1.0-2.0).wav"), ("", "b/V (1.0-2.0).flac")], &["V (1_0-2_0)", "V (1_0-2_0)"]);
    }

    #[test]
    fn what_nothing_names_has_no_key() {
        check(&[("", ""), (" ", "")], &["", ""]);
    }
}
