//! Servers differ in how they take a JSON schema: the form that this one takes is learnt once.

use std::sync::{Mutex, PoisonError};

use super::SchemaFormat;
use crate::TextError;

/// Words in the message of a refusal that is about the schema, not about the prompt.
const ABOUT_SCHEMAS: [&str; 5] = ["schema", "grammar", "response_format", "guided", "json_object"];

/// The form in which schemas are sent, from the one of `--schema-format` to plain text.
#[derive(Debug)]
pub(super) struct SchemaForms(Mutex<Known>);

/// What is known about the server.
#[derive(Debug, Clone, Copy)]
struct Known {
    form: SchemaFormat,
    /// Whether the server has answered a question in this form.
    is_proven: bool,
}

impl SchemaForms {
    pub(super) fn new(first: SchemaFormat) -> Self {
        Self(Mutex::new(Known { form: first, is_proven: false }))
    }

    /// Sends a question in the known form; if the server refuses it, in the next ones. The first form that is answered is
    /// used from then on. A question that is refused in every form is at fault itself, with the first refusal.
    pub(super) fn ask<T>(&self, send: impl Fn(SchemaFormat) -> Result<T, TextError>) -> Result<T, TextError> {
        let first = self.known().form;
        let refusal = match send(first) {
            Ok(answer) => {
                self.prove(first);
                return Ok(answer);
            }
            Err(error) => match refused(&error) {
                Some(body) if self.may_blame(first, body) => error,
                _ => return Err(error),
            },
        };
        let mut form = next(first, refused(&refusal).unwrap_or_default());
        while let Some(candidate) = form {
            match send(candidate) {
                Ok(answer) => {
                    self.learn(candidate, &refusal);
                    return Ok(answer);
                }
                Err(error) => match refused(&error) {
                    Some(body) => form = next(candidate, body),
                    None => return Err(error),
                },
            }
        }
        Err(refusal)
    }

    fn known(&self) -> Known {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a refusal may be about the form: not if the server takes it, unless it says so.
    fn may_blame(&self, form: SchemaFormat, body: &str) -> bool {
        let known = self.known();
        let body = body.to_lowercase();
        !known.is_proven || known.form != form || ABOUT_SCHEMAS.iter().any(|word| body.contains(word))
    }

    fn prove(&self, form: SchemaFormat) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_proven |= known.form == form;
    }

    fn learn(&self, form: SchemaFormat, refusal: &TextError) {
        let earlier = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *known, Known { form, is_proven: true })
        };
        if earlier.form != form {
            let (form, earlier) = (form.name(), earlier.form.name());
            tracing::warn!(
                "the server does not take JSON schemas as --schema-format {earlier}, so that they are sent as {form} \
                 from now on; answers are checked in any case: {refusal}"
            );
        }
    }
}

/// The body of a refusal that another form of the schema may avoid.
fn refused(error: &TextError) -> Option<&str> {
    match error {
        TextError::Rejected { status: 400 | 422, body, .. } => Some(body),
        _ => None,
    }
}

/// The form to try after one that was refused, which may depend on what the server says.
fn next(form: SchemaFormat, body: &str) -> Option<SchemaFormat> {
    // Builds of the llama.cpp server translate `response_format` to a grammar, and then complain that there are both.
    let has_both = body.contains("json_schema") && body.contains("grammar");
    match form {
        SchemaFormat::GuidedJson => Some(SchemaFormat::JsonSchema),
        SchemaFormat::JsonSchema if has_both => Some(SchemaFormat::TopLevel),
        SchemaFormat::JsonSchema | SchemaFormat::TopLevel => Some(SchemaFormat::JsonObject),
        SchemaFormat::JsonObject => Some(SchemaFormat::AnyJson),
        SchemaFormat::AnyJson => Some(SchemaFormat::None),
        SchemaFormat::None => None,
    }
}
