//! What takes a generator's place where nothing is asked.

use super::{Request, Response, TextError, TextGenerator};

/// The generator of a dry run: it has the identity of the one it replaces and answers nothing.
#[derive(Debug, Clone)]
pub struct Unasked(pub String);

impl TextGenerator for Unasked {
    fn identity(&self) -> String {
        self.0.clone()
    }

    fn generate(&self, _: &Request) -> Result<Response, TextError> {
        Err(TextError::NotSent)
    }
}
