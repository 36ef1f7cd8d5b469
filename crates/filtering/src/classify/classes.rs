//! Which class of a classifier means *names a sound*.

use std::collections::BTreeMap;

use audsem_models::bert::Config;
use audsem_models::{Error, Result};

/// Names of the class of sounds, in lower case with `_` between words.
const SOUND: [&str; 9] = ["sound", "sounds", "is_sound", "sdh", "yes", "true", "positive", "1", "matches_condition"];

/// Names of its opposite, besides those of [`SOUND`] with *not*, *no* or *non* before them.
const OTHER: [&str; 9] = ["other", "others", "no_sdh", "no", "false", "negative", "0", "speech", "none"];

/// The number of the class that means *names a sound*: the one called `chosen`, else the one whose name says so.
/// Names that transformers gives unnamed classes (`LABEL_0`, `LABEL_1`) mean what the published scripts mean by them:
/// number 1 is the sound.
///
/// # Errors
/// The names do not tell, or no class is called `chosen`; the message lists them.
pub(super) fn sound_class(config: &Config, chosen: Option<&str>) -> Result<usize> {
    let names = &config.id2label;
    let numbered = names.keys().copied().eq(0..names.len() as u32);
    let contradicted = names.iter().any(|(id, name)| config.label2id.get(name).is_some_and(|other| other != id));
    if names.len() < 2 || !numbered || contradicted {
        return Err(refused(names, "two classes or more, numbered from 0, with consistent label2id and id2label"));
    }
    let found = match chosen {
        Some(chosen) => names.values().position(|name| name == chosen),
        None if names.len() == 2 => by_name(&names[&0], &names[&1]),
        None => None,
    };
    found.ok_or_else(|| {
        refused(names, "classes whose names tell which one means a sound; name it with --sound-label NAME")
    })
}

/// Which of two classes is called a sound, if the other is called the opposite.
fn by_name(first: &str, second: &str) -> Option<usize> {
    let (first, second) = (normalised(first), normalised(second));
    match () {
        () if (first.as_str(), second.as_str()) == ("label_0", "label_1") => Some(1),
        () if is_other(&first) && is_sound(&second) => Some(1),
        () if is_sound(&first) && is_other(&second) => Some(0),
        () => None,
    }
}

fn is_sound(name: &str) -> bool {
    SOUND.contains(&name)
}

fn is_other(name: &str) -> bool {
    let negated = ["not_a_", "not_", "no_", "non_", "non"].iter().find_map(|not| name.strip_prefix(not));
    OTHER.contains(&name) || negated.is_some_and(is_sound)
}

/// Lower case, with one `_` for whatever stands between words.
fn normalised(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}

fn refused(names: &BTreeMap<u32, String>, supported: &str) -> Error {
    let list: Vec<String> = names.iter().map(|(id, name)| format!("{id}: `{name}`")).collect();
    Error::Unsupported { key: "id2label", value: list.join(", "), supported: supported.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(names: &[&str]) -> Config {
        let id2label: BTreeMap<u32, String> = (0..).zip(names.iter().map(|name| (*name).to_owned())).collect();
        let label2id = id2label.iter().map(|(id, name)| (name.clone(), *id)).collect();
        Config { id2label, label2id, ..Config::default() }
    }

    #[test]
    fn names_tell_which_class_is_the_sound() {
        let check = |names: &[&str], expected: usize| {
            assert_eq!(sound_class(&config(names), None).ok(), Some(expected), "{names:?}");
        };
        check(&["LABEL_0", "LABEL_1"], 1);
        check(&["other", "sound"], 1);
        check(&["sound", "not_sound"], 0);
        check(&["not_sound", "sound"], 1);
        check(&["Sound", "Non-Sound"], 0);
        check(&["no sound", "SOUND"], 1);
        check(&["nonsound", "sound"], 1);
        check(&["True", "False"], 0);
        check(&["sdh", "no_sdh"], 0);
        check(&["0", "1"], 1);
        assert_eq!(sound_class(&Config::default(), None).ok(), Some(1), "classes without names");
    }

    #[test]
    fn unclear_names_are_refused_and_can_be_chosen() {
        for names in [["music", "noise"], ["LABEL_1", "LABEL_0"], ["sound", "sounds"], ["sound", "music"], ["a", "b"]] {
            let error = sound_class(&config(&names), None).map_err(|error| error.to_string());
            let error = error.err().unwrap_or_default();
            assert!(names.iter().all(|name| error.contains(name)) && error.contains("--sound-label"), "{error}");
            assert_eq!(sound_class(&config(&names), Some(names[0])).ok(), Some(0), "{names:?}");
            assert_eq!(sound_class(&config(&names), Some(names[1])).ok(), Some(1), "{names:?}");
        }
        assert!(sound_class(&config(&["other", "sound"]), Some("noise")).is_err());
    }

    #[test]
    fn other_numbers_of_classes_need_a_name() {
        assert!(sound_class(&config(&["sound"]), Some("sound")).is_err(), "a single logit is no probability");
        assert!(sound_class(&config(&["speech", "sound", "music"]), None).is_err());
        assert_eq!(sound_class(&config(&["speech", "sound", "music"]), Some("music")).ok(), Some(2));
    }

    #[test]
    fn contradictions_are_refused() {
        let mut twisted = config(&["other", "sound"]);
        twisted.label2id = [("other".to_owned(), 1), ("sound".to_owned(), 0)].into();
        assert!(sound_class(&twisted, None).is_err());
    }
}
