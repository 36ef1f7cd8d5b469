//! Texts of speech in one form before their words are compared.
//!
//! [`Compat::Reference`] gives what the published evaluation gives, with its faults; [`Compat::Fixed`] what it means.
//!
//! ```
//! use audsem_metrics::normalise::{Compat, TextProfile, normalise};
//!
//! let english = |text, compat| normalise(text, TextProfile::English, compat);
//! assert_eq!(english("Mr. Smith won't pay $20 million!", Compat::Reference), "mister smith will not pay $20000000");
//! assert_eq!(english("It's 3.14.", Compat::Reference), "it is threefourteen");
//! assert_eq!(english("It’s 3.14.", Compat::Fixed), "it is 3.14");
//! ```

mod numbers;
mod profile;
pub(crate) mod python_text;
mod thai;
mod whisper;

pub use profile::{Compat, TextProfile, normalise};
pub use thai::ThaiWords;

use whisper::Symbols;

/// English text as the normaliser that was published with Whisper leaves it.
#[must_use]
pub fn whisper_english(text: &str) -> String {
    whisper::normalise(text, Symbols::Removed)
}

/// The words between white space, as Python splits them.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    python_text::split(text)
}
