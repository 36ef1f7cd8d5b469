//! The OpenAI protocol: request bodies out, answers in.

mod answer;

use serde_json::{Map, Value, json};

pub(super) use answer::response;

use super::{AudioForm, Media, Message, MessageContent, Part, Prompt, Request, Role, SchemaFormat, TextError};

/// Route of a prompt below the server's address.
pub(super) fn route(prompt: &Prompt) -> &'static str {
    match prompt {
        Prompt::Chat(_) => "chat/completions",
        Prompt::Raw(_) => "completions",
    }
}

/// The body of a request, with its schema and its sounds in these forms. `extra` are the user's own parameters; they win, and
/// one that is null takes the field out: some servers refuse `max_tokens` or `temperature`.
pub(super) fn body(
    model: &str,
    request: &Request,
    (schema_format, audio_form): (SchemaFormat, AudioForm),
    extra: &Map<String, Value>,
) -> Value {
    let mut body = Map::new();
    let mut put = |key: &str, value: Value| {
        body.insert(key.to_owned(), value);
    };
    put("model", json!(model));
    put("max_tokens", json!(request.max_tokens));
    put("temperature", json!(request.temperature));
    if let Some(top_p) = request.top_p {
        put("top_p", json!(top_p));
    }
    if let Some(seed) = request.seed {
        put("seed", json!(seed));
    }
    if !request.stop.is_empty() {
        put("stop", json!(request.stop));
    }
    match &request.prompt {
        Prompt::Chat(messages) => {
            put("messages", messages.iter().map(|turn| message(turn, audio_form)).collect());
            if request.top_logprobs > 0 {
                put("logprobs", json!(true));
                put("top_logprobs", json!(request.top_logprobs));
            }
        }
        Prompt::Raw(text) => {
            put("prompt", json!(text));
            if request.top_logprobs > 0 {
                put("logprobs", json!(request.top_logprobs));
            }
        }
    }
    if let Some((name, value)) = request.schema.clone().and_then(|schema| schema_field(schema_format, schema)) {
        put(name, value);
    }
    for (key, value) in extra {
        match value {
            Value::Null => drop(body.shift_remove(key)),
            value => drop(body.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(body)
}

/// The field that tells a server of a schema.
fn schema_field(format: SchemaFormat, schema: Value) -> Option<(&'static str, Value)> {
    let (name, value) = match format {
        SchemaFormat::GuidedJson => ("guided_json", schema),
        SchemaFormat::JsonSchema => {
            let named = json!({"name": "answer", "strict": true, "schema": schema});
            ("response_format", json!({"type": "json_schema", "json_schema": named}))
        }
        SchemaFormat::TopLevel => ("json_schema", schema),
        SchemaFormat::JsonObject => ("response_format", json!({"type": "json_object", "schema": schema})),
        SchemaFormat::AnyJson => ("response_format", json!({"type": "json_object"})),
        SchemaFormat::None => return None,
    };
    Some((name, value))
}

fn message(message: &Message, audio_form: AudioForm) -> Value {
    let content = match &message.content {
        MessageContent::Text(text) => json!(text),
        MessageContent::Parts(parts) => parts.iter().map(|one| part(one, audio_form)).collect(),
    };
    json!({"role": message.role, "content": content})
}

/// A part as OpenAI writes it; sounds by address are an extension that vLLM and SGLang read.
fn part(part: &Part, audio_form: AudioForm) -> Value {
    match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Audio(media) => audio(media, audio_form),
        Part::Image(media) => json!({"type": "image_url", "image_url": {"url": image_url(media)}}),
    }
}

fn audio(media: &Media, form: AudioForm) -> Value {
    match media.base64() {
        Some((format, data)) if form == AudioForm::AudioUrl => {
            json!({"type": "audio_url", "audio_url": {"url": format!("data:audio/{format};base64,{data}")}})
        }
        Some((format, data)) => json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}),
        None => json!({"type": "audio_url", "audio_url": {"url": media.url()}}),
    }
}

fn image_url(media: &Media) -> String {
    match media.base64() {
        Some((format, data)) => format!("data:image/{format};base64,{data}"),
        None => media.url().unwrap_or_default().to_owned(),
    }
}

/// Turns a chat into raw text, for models without a chat template.
pub(super) fn as_raw(prompt: &Prompt) -> Result<Prompt, TextError> {
    let messages = match prompt {
        Prompt::Raw(text) => return Ok(Prompt::Raw(text.clone())),
        Prompt::Chat(messages) => messages,
    };
    let mut text = String::new();
    for message in messages {
        if !message.content.is_text() {
            return Err(TextError::Prompt {
                reason: "the raw route takes text only, no sounds or pictures",
                hint: "omit --api raw",
            });
        }
        let name = match message.role {
            Role::System => "Instructions",
            Role::User => "Question",
            Role::Assistant => "Answer",
        };
        text.push_str(&format!("{name}:\n{}\n\n", message.content.text()));
    }
    text.push_str("Answer:\n");
    Ok(Prompt::Raw(text))
}
