//! The answer inside what a model writes, and the tokens that spell it.

use std::ops::Range;

use crate::{Response, Token};

/// Marks around the reasoning of a model, for servers that leave it in the text.
const MARKS: [(&str, &str); 6] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel|>analysis", "<|channel|>final<|message|>"),
];

impl Response {
    /// The text after the last block of reasoning, trimmed. An unclosed block means that there is no answer; a block with
    /// only a closing mark began in the prompt, where the chat templates of some models open it.
    #[must_use]
    pub fn answer(&self) -> &str {
        &self.text[answer_range(&self.text)]
    }

    /// The token with the character at byte `offset` of [`Response::answer`]. `None` if the server gives no tokens,
    /// or tokens that do not spell the text, for example because the tokens of removed reasoning come first.
    #[must_use]
    pub fn token_at(&self, offset: usize) -> Option<&Token> {
        let spelled: Vec<String> = self.tokens.iter().map(|token| spelling(&token.text)).collect();
        let n = spelled.iter().rposition(|text| !is_special(text)).map_or(0, |last| last + 1);
        let all = spelled[..n].concat();
        // Servers trim the text, not the tokens.
        let (all, own) = (all.trim_end(), self.text.trim_end());
        let start = own.len() - own.trim_start().len();
        all.ends_with(own.trim_start()).then_some(())?;
        let shift = all.len() - own.trim_start().len();
        let wanted = (answer_range(&self.text).start + offset).checked_sub(start)? + shift;
        let mut end = 0;
        self.tokens[..n].iter().zip(&spelled).find_map(|(token, text)| {
            end += text.len();
            (wanted < end).then_some(token)
        })
    }
}

fn answer_range(text: &str) -> Range<usize> {
    let (mut start, mut end) = (0, text.len());
    for (open, close) in MARKS {
        if let Some(at) = text[start..end].rfind(close) {
            start += at + close.len();
        }
        // Text before an unclosed block of reasoning is the beginning of an answer, and usually empty.
        if let Some(at) = text[start..end].find(open) {
            end = start + at;
        }
    }
    let answer = &text[start..end];
    start += answer.len() - answer.trim_start().len();
    start..start + answer.trim().len()
}

/// A token as it appears in the text: some servers return the marks that tokenizers use for blanks and line ends.
fn spelling(token: &str) -> String {
    token.replace(['Ġ', '▁'], " ").replace('Ċ', "\n")
}

/// Whether a token at the end is a mark of the end: `<|im_end|>`, `</s>`, `<end_of_turn>`, `<｜end▁of▁sentence｜>`.
fn is_special(token: &str) -> bool {
    let inner = token.strip_prefix('<').and_then(|token| token.strip_suffix('>'));
    token.is_empty()
        || inner.is_some_and(|inner| {
            inner.starts_with(['|', '｜']) || matches!(inner, "/s" | "eos" | "end_of_turn" | "end_of_text")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FinishReason, Usage};

    fn response(text: &str, tokens: &[&str]) -> Response {
        let token = |text: &&str| Token { text: (*text).into(), logprob: -0.5, alternatives: Vec::new() };
        Response {
            text: text.into(),
            reasoning: None,
            finish: FinishReason::Stop,
            tokens: tokens.iter().map(token).collect(),
            usage: Usage::default(),
            model: "m".into(),
        }
    }

    #[test]
    fn thoughts_are_no_answer() {
        let check = |text: &str, expected: &str| assert_eq!(response(text, &[]).answer(), expected, "{text}");
        check("Yes", "Yes");
        check("<think>\nNo speech, so yes?\n</think>\n\nNo", "No");
        check("No speech here.</think>Yes", "Yes");
        check("<think>no", "");
        check("<think></think>yes", "yes");
        check("<think>a</think>b<think>c</think> yes ", "yes");
        check("[THINK]no[/THINK]Yes", "Yes");
        check("◁think▷no◁/think▷Yes", "Yes");
        check("<|channel|>analysis<|message|>No…<|end|><|start|>assistant<|channel|>final<|message|>Yes", "Yes");
        check("<|channel|>analysis<|message|>No…", "");
        check("Is `</think` a tag?", "Is `</think` a tag?");
        check("", "");
    }

    #[test]
    fn tokens_count_only_if_they_spell_the_answer() {
        let check = |text: &str, tokens: &[&str], offset: usize, expected: Option<&str>| {
            let response = response(text, tokens);
            assert_eq!(response.token_at(offset).map(|token| token.text.as_str()), expected, "{text}");
        };
        check("Yes", &["Yes"], 0, Some("Yes"));
        check("Yes", &[" Yes", "<|im_end|>"], 0, Some(" Yes"));
        check("Yes", &["▁Yes", "</s>"], 0, Some("▁Yes"));
        check("Answer: No.", &["Answer", ":", " No", "."], 8, Some(" No"));
        check("<think>no</think>\n\nYes", &["<think>", "no", "</think>", "ĊĊ", "Yes"], 0, Some("Yes"));
        // Removed from the text, but not from the tokens.
        check("Yes", &["<think>", "No", "</think>", "\n\n", "Yes", "<｜end▁of▁sentence｜>"], 0, Some("Yes"));
        // Tokens of the reasoning, or none that belong to the text.
        check("Yes", &["No", " speech"], 0, None);
        check("♪ Yes", &["\u{fffd}", "\u{fffd}", " Yes"], 4, None);
        check("Yes", &[], 0, None);
        check("", &["No"], 0, None);
    }
}
