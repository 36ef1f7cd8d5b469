//! What the network is asked, and what is made of its answer.

/// The prompt of a chat in ChatML: the text before the frames' vectors and the text behind them, which are tokenised
/// apart. `user` follows the frames on a line of its own.
#[must_use]
pub fn video_prompt(system: &str, user: &str) -> [String; 2] {
    [
        format!("<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n"),
        format!("\n{user}<|im_end|>\n<|im_start|>assistant\n"),
    ]
}

/// A decoded answer as one line: line breaks, with the blanks around them, become one space.
#[must_use]
pub fn caption_text(answer: &str) -> String {
    let lines = answer.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_stand_between_the_users_turn_and_its_text() {
        let [before, after] = video_prompt("You help.", "What is seen?");
        assert_eq!(before, "<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\n");
        assert_eq!(after, "\nWhat is seen?<|im_end|>\n<|im_start|>assistant\n");
    }

    #[test]
    fn line_breaks_do_not_glue_words_together() {
        assert_eq!(caption_text(" A dog.\nIt barks.\r\n\r\n  Then it runs.\n"), "A dog. It barks. Then it runs.");
        assert_eq!(caption_text("\n"), "");
    }
}
