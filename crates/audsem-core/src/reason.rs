//! Reasons for dropping or failing a record.
//!
//! A record that comes in is kept, dropped by a rule, or fails on a fault. Reasons are closed
//! enums, never strings made on the spot, so that every count can be listed before a run.

/// Why a record was left out: one variant of a stage's reason enum.
pub trait Reason: Copy {
    /// The stable name written to `rejects-*.jsonl` and `stats.json`, in snake case.
    fn name(self) -> &'static str;

    /// One sentence for people.
    fn describe(self) -> &'static str;

    /// The flag that changes the rule, if there is one.
    fn flag(self) -> Option<&'static str> {
        None
    }

    /// Where in the configuration of the command, as `run.json` has it, the limit of the rule stands: a JSON pointer.
    fn limit(self) -> Option<&'static str> {
        None
    }
}

/// Declares an enum of reasons: `Variant = "name" : "sentence"`, with `=> "--flag"` behind it where a flag changes
/// the rule, and behind that in brackets the place of its value in the configuration.
///
/// ```
/// audsem_core::reasons! {
///     /// Why a cue is dropped.
///     pub enum DropReason {
///         TooShort = "too_short": "the cue is shorter than the minimum duration" => "--min-duration" ["/duration/min_s"],
///     }
/// }
/// use audsem_core::reason::Reason;
/// assert_eq!(DropReason::TooShort.name(), "too_short");
/// assert_eq!(DropReason::TooShort.flag(), Some("--min-duration"));
/// assert_eq!(DropReason::TooShort.limit(), Some("/duration/min_s"));
/// assert_eq!(DropReason::ALL.len(), 1);
/// ```
#[macro_export]
macro_rules! reasons {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($variant:ident = $text:literal : $sentence:literal $(=> $flag:literal $([$limit:literal])?)?),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name {
            $(#[doc = $sentence] $variant),+
        }

        impl $name {
            /// Every reason, in order of declaration.
            $vis const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl $crate::reason::Reason for $name {
            fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            fn describe(self) -> &'static str {
                match self { $(Self::$variant => $sentence),+ }
            }

            fn flag(self) -> Option<&'static str> {
                match self { $(Self::$variant => None$(.or(Some($flag)))?),+ }
            }

            fn limit(self) -> Option<&'static str> {
                match self { $(Self::$variant => None$($(.or(Some($limit)))?)?),+ }
            }
        }
    };
}
