//! Conversations about sounds.

use audsem_llm::{Media, Message, MessageContent, Part, Role};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// One part of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnPart {
    /// Text.
    Text(String),
    /// The next sound of the conversation.
    Sound,
}

/// One turn of a conversation. Sounds are counted through all turns; they themselves are given beside the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatTurn {
    /// Who speaks.
    pub role: Role,
    /// What is said and heard, in order.
    pub parts: Vec<TurnPart>,
}

impl ChatTurn {
    /// A turn of text.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![TurnPart::Text(text.into())] }
    }

    /// A question about sounds, which stand in front of it.
    #[must_use]
    pub fn question(sounds: usize, text: impl Into<String>) -> Self {
        let mut parts = vec![TurnPart::Sound; sounds];
        parts.push(TurnPart::Text(text.into()));
        Self { role: Role::User, parts }
    }

    /// Turns of messages, and their sounds in the order in which they are heard.
    ///
    /// # Errors
    /// [`Error::NoPictures`] if a message holds a picture.
    pub fn of_messages(messages: &[Message]) -> Result<(Vec<Self>, Vec<&Media>)> {
        let mut sounds = Vec::new();
        let mut turns = Vec::with_capacity(messages.len());
        for Message { role, content } in messages {
            let parts = match content {
                MessageContent::Text(text) => vec![TurnPart::Text(text.clone())],
                MessageContent::Parts(parts) => {
                    parts.iter().map(|part| of_part(part, &mut sounds)).collect::<Result<_>>()?
                }
            };
            turns.push(Self { role: *role, parts });
        }
        Ok((turns, sounds))
    }

    /// The turn as templates see it: a turn of one text is a string, as templates for text alone want it.
    pub(super) fn to_json(&self) -> Value {
        let part = |part: &TurnPart| match part {
            TurnPart::Text(text) => json!({"type": "text", "text": text}),
            TurnPart::Sound => json!({"type": "audio", "audio": ""}),
        };
        let content = match self.parts.as_slice() {
            [TurnPart::Text(text)] => Value::from(text.as_str()),
            parts => parts.iter().map(part).collect(),
        };
        json!({"role": self.role, "content": content})
    }
}

fn of_part<'a>(part: &'a Part, sounds: &mut Vec<&'a Media>) -> Result<TurnPart> {
    match part {
        Part::Text(text) => Ok(TurnPart::Text(text.clone())),
        Part::Audio(sound) => {
            sounds.push(sound);
            Ok(TurnPart::Sound)
        }
        Part::Image(_) => Err(Error::NoPictures),
    }
}
