//! The classes of ImageNet-1k: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", 2015.

use std::sync::LazyLock;

/// The synonyms of each class, as WordNet has them, a class in each line.
const NAMES: &str = include_str!("../../data/imagenet_classes.txt");

/// Number of classes.
pub const N_CLASSES: usize = 1000;

static CLASSES: LazyLock<Vec<&str>> = LazyLock::new(|| NAMES.lines().collect());

/// The synonyms of each class, separated by commas, in the order of classifiers: `tench, Tinca tinca` is class 0.
pub fn classes() -> &'static [&'static str] {
    &CLASSES
}

/// The first synonym of a class.
pub fn name(index: usize) -> Option<&'static str> {
    CLASSES.get(index)?.split(", ").next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_complete_and_in_order() {
        assert_eq!(classes().len(), N_CLASSES);
        assert_eq!(
            [0, 7, 98, 281, 999, 1000].map(name),
            [Some("tench"), Some("cock"), Some("red-breasted merganser"), Some("tabby"), Some("toilet tissue"), None,]
        );
    }
}
