//! `tokenizer_config.json` and its companions, read in the order and with the defaults of transformers.

use std::collections::BTreeMap;

use audsem_core::hub::ModelDir;
use serde_json::{Map, Value};
use tokenizers::{AddedToken, TruncationDirection};

use super::failed;
use crate::error::Result;

/// Which class of transformers reads the files. Those of BERT and RoBERTa take the vocabulary of `tokenizer.json`
/// only, and build everything around it from the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Bert,
    Roberta,
    /// `tokenizer.json` as it is.
    General,
}

/// Everything besides the vocabulary.
pub(super) struct Settings {
    pub(super) class: Class,
    values: Map<String, Value>,
    /// Tokens besides the vocabulary, by the ids they were saved with.
    added: BTreeMap<u32, AddedToken>,
}

/// Roles of special tokens, in the order in which transformers adds them.
const ROLES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

impl Settings {
    /// Reads the settings beside `tokenizer`, the content of `tokenizer.json` if there is one.
    pub(super) fn open(dir: &ModelDir, tokenizer: Option<&Value>) -> Result<Self> {
        let mut values = object(dir, "tokenizer_config.json")?;
        let network = object(dir, "config.json")?;
        let class = class(&values, &network, tokenizer.is_some() || !dir.has("vocab.txt")?);
        let mut added = BTreeMap::new();
        if let Some(Value::Object(saved)) = values.get("added_tokens_decoder") {
            for (id, token) in saved {
                added.extend(id.parse().ok().zip(parse(token, false)));
            }
        } else {
            // The files of older versions; what they say of special tokens comes before the settings.
            values.extend(object(dir, "special_tokens_map.json")?);
            for (content, id) in object(dir, "added_tokens.json")? {
                let special = ROLES.iter().any(|role| values.get(*role).and_then(content_of) == Some(content.as_str()));
                added.extend(id.as_u64().map(|id| (id as u32, AddedToken::from(content, special))));
            }
            let saved = tokenizer.and_then(|tokenizer| tokenizer.get("added_tokens")?.as_array());
            for token in saved.into_iter().flatten() {
                added.extend(token.get("id").and_then(Value::as_u64).map(|id| id as u32).zip(parse(token, false)));
            }
        }
        Ok(Self { class, values, added })
    }

    /// Whether a switch is on.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.values.get(name).and_then(Value::as_bool)
    }

    /// The token of a role: what the files say, else the default of the class.
    pub(super) fn token(&self, role: &str) -> Option<String> {
        match self.values.get(role) {
            Some(value) => content_of(value).map(str::to_owned),
            None => default_token(self.class, role).map(str::to_owned),
        }
    }

    /// All tokens to add to a tokenizer that has those in `known`, in the order that decides ids of new ones.
    pub(super) fn tokens_to_add(&self, known: impl Fn(&str) -> bool) -> Vec<AddedToken> {
        let mut tokens: Vec<AddedToken> = self.added.values().cloned().collect();
        let further = self.named().into_iter().chain(self.extra());
        for token in further {
            match tokens.iter_mut().find(|other| other.content == token.content) {
                Some(other) => other.special = true,
                None if known(&token.content) => {}
                None => tokens.push(token),
            }
        }
        tokens
    }

    /// Tokens with a role, those of roles that transformers does not know included.
    fn named(&self) -> Vec<AddedToken> {
        let own = ROLES.iter().filter_map(|role| match self.values.get(*role) {
            Some(value) => parse(value, true),
            None => default_token(self.class, role).map(|content| AddedToken::from(content, true)),
        });
        let others = self.values.iter().filter(|(key, _)| key.ends_with("_token") && !ROLES.contains(&key.as_str()));
        own.chain(others.filter_map(|(_, value)| parse(value, true))).collect()
    }

    fn extra(&self) -> Vec<AddedToken> {
        let list = |name| self.values.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
        let found = list("extra_special_tokens").or_else(|| list("additional_special_tokens"));
        found.into_iter().flatten().filter_map(|token| parse(token, true)).collect()
    }

    /// Which end of a text is cut off.
    pub(super) fn direction(&self) -> TruncationDirection {
        match self.values.get("truncation_side").and_then(Value::as_str) {
            Some("left") => TruncationDirection::Left,
            _ => TruncationDirection::Right,
        }
    }

    /// The limit of a text: the least of what the network has `positions` for, what the tokenizer is
    /// configured to, and what the caller asks for.
    pub(super) fn max_tokens(&self, positions: usize, limit: Option<usize>) -> usize {
        // Often 1e30, which means no limit: it saturates.
        let own = self.values.get("model_max_length").and_then(Value::as_f64).filter(|length| *length >= 1.0);
        positions.min(own.map_or(usize::MAX, |length| length as usize)).min(limit.unwrap_or(usize::MAX))
    }
}

/// The class that is named, else that of the network. A folder with nothing but `vocab.txt` is BERT's.
fn class(settings: &Map<String, Value>, network: &Map<String, Value>, whole: bool) -> Class {
    let text = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
    let named = text(settings, "tokenizer_class").or_else(|| text(network, "tokenizer_class"));
    let class = match named.as_deref().map(|name| name.trim_end_matches("Fast")) {
        Some("BertTokenizer" | "DistilBertTokenizer" | "ElectraTokenizer") => Class::Bert,
        Some("RobertaTokenizer") => Class::Roberta,
        Some(_) => Class::General,
        None => match text(network, "model_type").as_deref() {
            Some("bert" | "distilbert" | "electra") => Class::Bert,
            Some("roberta" | "clap") => Class::Roberta,
            _ => Class::General,
        },
    };
    if class == Class::General && !whole { Class::Bert } else { class }
}

fn default_token(class: Class, role: &str) -> Option<&'static str> {
    match (class, role) {
        (Class::Bert, "unk_token") => Some("[UNK]"),
        (Class::Bert, "sep_token") => Some("[SEP]"),
        (Class::Bert, "pad_token") => Some("[PAD]"),
        (Class::Bert, "cls_token") => Some("[CLS]"),
        (Class::Bert, "mask_token") => Some("[MASK]"),
        (Class::Roberta, "bos_token" | "cls_token") => Some("<s>"),
        (Class::Roberta, "eos_token" | "sep_token") => Some("</s>"),
        (Class::Roberta, "unk_token") => Some("<unk>"),
        (Class::Roberta, "pad_token") => Some("<pad>"),
        (Class::Roberta, "mask_token") => Some("<mask>"),
        _ => None,
    }
}

/// The text of a token that is written out or alone.
fn content_of(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

/// A token as the files write it; one with a role is special whatever they say.
fn parse(token: &Value, special: bool) -> Option<AddedToken> {
    let flag = |name: &str| token.get(name).and_then(Value::as_bool);
    let special = special || flag("special").unwrap_or(false);
    let mut parsed = AddedToken::from(content_of(token)?, special);
    parsed.single_word = flag("single_word").unwrap_or(false);
    parsed.lstrip = flag("lstrip").unwrap_or(false);
    parsed.rstrip = flag("rstrip").unwrap_or(false);
    parsed.normalized = flag("normalized").unwrap_or(parsed.normalized);
    Some(parsed)
}

/// A JSON object of the folder; empty if the file is not there.
fn object(dir: &ModelDir, name: &str) -> Result<Map<String, Value>> {
    match dir.optional_json(name)? {
        None => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(_) => Err(failed(&dir.root().join(name), &"not a JSON object")),
    }
}
