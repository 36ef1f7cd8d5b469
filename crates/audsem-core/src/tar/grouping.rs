//! Which members are one sample.

use super::{Member, is_metadata, split_key};

/// What a member is to the samples of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberRole {
    /// A folder, link or device, or metadata of the archive.
    Ignored,
    /// A regular file whose name has no key.
    Keyless,
    /// A part of the sample that [`Grouping::key`] names.
    Part {
        /// Its suffix in lower case.
        suffix: String,
        /// Whether a new sample begins with it.
        begins: bool,
    },
}

/// Groups the members of a tar into samples: consecutive members of one key, each suffix once. A suffix that the
/// sample has already begins another sample of the same key.
///
/// ```
/// use audsem_core::tar::{Grouping, Member, MemberRole};
///
/// let mut grouping = Grouping::default();
/// let begins = ["1.flac", "1.json", "2.flac", "1.txt", "1.txt"].map(|name| {
///     let member = Member { name: name.to_owned(), size: 0, offset: 0, is_file: true };
///     matches!(grouping.role(&member), MemberRole::Part { begins: true, .. })
/// });
/// assert_eq!(begins, [true, false, true, true, true]);
/// assert_eq!(grouping.key(), "1");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Grouping {
    key: String,
    suffixes: Vec<String>,
}

impl Grouping {
    /// Takes the next member.
    pub fn role(&mut self, member: &Member) -> MemberRole {
        if !member.is_file || is_metadata(&member.name) {
            return MemberRole::Ignored;
        }
        let Some((key, suffix)) = split_key(&member.name) else { return MemberRole::Keyless };
        let begins = self.suffixes.is_empty() || self.key != key || self.suffixes.contains(&suffix);
        if begins {
            key.clone_into(&mut self.key);
            self.suffixes.clear();
        }
        self.suffixes.push(suffix.clone());
        MemberRole::Part { suffix, begins }
    }

    /// The key of the sample that the last part belongs to; empty before the first.
    pub fn key(&self) -> &str {
        &self.key
    }
}
