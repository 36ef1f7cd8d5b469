//! The classes of AudioSet: Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", 2017.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// The list as a file.
const TABLE: &str = include_str!("../../data/audioset_classes.tsv");

/// Number of classes that CED, BEATs and AST tell apart.
pub const N_CLASSES: usize = 527;
/// Number of classes that YAMNet tells apart.
pub const N_YAMNET_CLASSES: usize = 521;

/// The first and the last of the classes below "Music" in AudioSet's ontology, whose order the list follows.
const MUSIC: [&str; 2] = ["Music", "Scary music"];

/// A class of AudioSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AudioSetClass {
    /// Its machine identifier, which is the same in all lists: `/m/0bt9lr`.
    pub mid: &'static str,
    /// Its name: `Dog`.
    pub name: &'static str,
}

struct Lists {
    all: Vec<AudioSetClass>,
    yamnet: Vec<AudioSetClass>,
    by_mid: HashMap<&'static str, AudioSetClass>,
    music: HashSet<&'static str>,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let rows: Vec<[&str; 4]> = TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            cells.try_into().expect("a line of the list has four cells")
        })
        .collect();
    let class = |[_, mid, name, _]: &[&'static str; 4]| AudioSetClass { mid, name };
    let mut yamnet: Vec<_> = rows.iter().filter_map(|row| Some((row[3].parse::<usize>().ok()?, class(row)))).collect();
    yamnet.sort_by_key(|(index, _)| *index);
    let all: Vec<_> = rows.iter().map(class).collect();
    let by_mid = all.iter().map(|class| (class.mid, *class)).collect();
    let music = all.iter().skip_while(|class| class.name != MUSIC[0]).map(|class| class.name);
    let music = music.take_while(|name| *name != MUSIC[1]).chain([MUSIC[1]]).collect();
    Lists { music, all, yamnet: yamnet.into_iter().map(|(_, class)| class).collect(), by_mid }
});

/// All classes in the order of AudioSet's `class_labels_indices.csv`, which most classifiers use.
pub fn classes() -> &'static [AudioSetClass] {
    &LISTS.all
}

/// The classes of YAMNet in its order.
pub fn yamnet_classes() -> &'static [AudioSetClass] {
    &LISTS.yamnet
}

/// Whether a name is "Music" or that of a class below it in AudioSet's ontology: instruments, genres, moods. Bells and
/// chimes are instruments there, and singing is not below it.
pub fn is_music(name: &str) -> bool {
    LISTS.music.contains(name)
}

/// The class of a machine identifier.
pub fn class_of_mid(mid: &str) -> Option<AudioSetClass> {
    LISTS.by_mid.get(mid).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_complete_and_in_order() {
        assert_eq!((classes().len(), yamnet_classes().len()), (N_CLASSES, N_YAMNET_CLASSES));
        for (index, line) in TABLE.lines().filter(|line| !line.starts_with('#')).enumerate() {
            assert_eq!(line.split('\t').next(), Some(index.to_string().as_str()));
        }
        let dog = AudioSetClass { mid: "/m/0bt9lr", name: "Dog" };
        assert_eq!((classes()[74], yamnet_classes()[69]), (dog, dog));
        for (name, expected) in [
            ("Music", true),
            ("Piano", true),
            ("Wind chime", true),
            ("Scary music", true),
            ("Singing", false),
            ("Whale vocalization", false),
            ("Wind", false),
            ("music", false),
        ] {
            assert_eq!(is_music(name), expected, "{name}");
        }
        assert_eq!(classes().iter().filter(|class| is_music(class.name)).count(), 146);
        assert_eq!((class_of_mid("/m/0bt9lr"), class_of_mid("/m/none")), (Some(dog), None));
    }
}
