//! Why an example of a manifest is not trained on.

use audsem_core::reason::Reason;
use audsem_core::run::LeftOut;

audsem_core::reasons! {
    /// Why an example of a manifest is not trained on.
    pub enum DataFault {
        Undecodable = "undecodable": "the sound cannot be decoded",
        ShortSound = "short_sound": "the sound is shorter than the minimum" => "--min-samples",
        LongSound = "long_sound": "the sound is longer than the maximum" => "--long-audio",
        LongText = "long_text": "the example has more tokens than the maximum, and is never cut" => "--max-tokens",
        NoSemantic = "no_semantic": "semantic elements are to be learned, and the example has none" => "--target",
        BadText = "bad_text": "the JSON does not hold this example",
        NoTokens = "no_tokens": "the example cannot be turned into tokens",
    }
}

impl DataFault {
    /// The fault of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }

    /// An example that is left out, with the value that decided.
    pub(super) fn left_out(self, detail: impl std::fmt::Display) -> LeftOut {
        LeftOut::fail(self, detail.to_string())
    }
}
