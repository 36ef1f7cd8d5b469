//! The WebDataset key rule.
//!
//! The rule as the Python package `webdataset` (1.0.2) applies it: the key is everything before the
//! first dot of the last path component, folders included; the rest, lower-cased, is the suffix.

/// Splits a member name into key and lower-cased suffix; `None` if the name carries no key.
///
/// A name whose last component starts with a dot belongs to the key of its folder, trailing slash
/// included, provided that folder's own name has no dot. That is a consequence of the regular
/// expression used there, kept so that both sides group alike.
///
/// ```
/// use audsem_core::tar::split_key;
///
/// assert_eq!(split_key("tar/VID (1_0-3_5).mp4"), Some(("tar/VID (1_0-3_5)", "mp4".to_owned())));
/// assert_eq!(split_key("abc (1.0-2.5).mp4"), Some(("abc (1", "0-2.5).mp4".to_owned())));
/// assert_eq!(split_key("VID (1_0-3_5)/mp4"), None);
/// ```
pub fn split_key(name: &str) -> Option<(&str, String)> {
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = last + name[last..].find('.')?;
    if dot == last {
        let folder = name[..last].strip_suffix('/')?;
        let parent = folder.rfind('/').map_or(0, |slash| slash + 1);
        if folder[parent..].contains('.') {
            return None;
        }
    }
    Some((&name[..dot], name[dot + 1..].to_lowercase()))
}

/// Whether a member is no content but metadata: of the archive (`__name__` or below it), which WebDataset readers skip, or of
/// a file on a Mac, whose `tar` puts a member `._x` in front of a file `x`.
pub fn is_metadata(name: &str) -> bool {
    if name.rsplit('/').next().is_some_and(|last| last.starts_with("._")) {
        return true;
    }
    let Some(rest) = name.strip_prefix("__") else {
        return false;
    };
    rest.split('/').next().is_some_and(|first| first.ends_with("__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values come from the regular expression `^((?:.*/|)[^.]+)[.]([^/]*)$`.
    #[test]
    fn names_split_as_webdataset_splits_them() {
        let check = |name: &str, expected: Option<(&str, &str)>| {
            let got = split_key(name);
            let got = got.as_ref().map(|(key, suffix)| (*key, suffix.as_str()));
            assert_eq!(got, expected, "{name}");
        };
        check("a.flac", Some(("a", "flac")));
        check("1.FLAC", Some(("1", "flac")));
        check("tar/a.mp4", Some(("tar/a", "mp4")));
        check("d.x/a.seg.json", Some(("d.x/a", "seg.json")));
        check("./a.json", Some(("./a", "json")));
        check("abc (1.0-2.5).mp4", Some(("abc (1", "0-2.5).mp4")));
        check("a.", Some(("a", "")));
        check("x/y/.h", Some(("x/y/", "h")));
        check("/.h", Some(("/", "h")));
        check("a.b/c/.h", Some(("a.b/c/", "h")));
        check("é (1_0-2_0).flac", Some(("é (1_0-2_0)", "flac")));
        check("a.b/.h", None);
        check("./.h", None);
        check(".h", None);
        check("VID (1_0-3_5)/mp4", None);
        check("d.x/a", None);
        check("", None);
        check("/", None);
    }

    #[test]
    fn metadata_names() {
        let check = |name: &str, expected: bool| assert_eq!(is_metadata(name), expected, "{name}");
        check("__meta__", true);
        check("__meta__/a.json", true);
        check("a/__meta__", false);
        check("__meta.json", false);
        check("__a__.json", false);
        check("._a.flac", true);
        check("clips/._a.flac", true);
        check("._clips/a.flac", false);
        check("a._b.flac", false);
    }
}
