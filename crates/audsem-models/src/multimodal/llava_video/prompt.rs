//! What the network is asked, and what is made of its answer.

use std::fmt::Write as _;

/// The prompt for a video of `duration_ms` whose frames lie at `times_ms`: the text before the frames' vectors and the
/// text behind them, which are tokenised apart. Times are those of the video itself, in the order of the frames.
#[must_use]
pub fn video_prompt(duration_ms: u64, times_ms: &[u64]) -> [String; 2] {
    let seconds = |ms: u64| format!("{:.2}s", ms as f64 / 1000.0);
    let times = times_ms.iter().map(|ms| seconds(*ms)).collect::<Vec<_>>().join(",");
    let before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n".to_owned();
    let mut after = String::new();
    let n = times_ms.len();
    let duration = seconds(duration_ms);
    // Writing to a string cannot fail.
    let _ = write!(
        after,
        "\nThis video is {duration} long. Above are {n} frames of it, taken at even distances, at these times: {times}. \
         Use the times where they matter.\nDescribe what can be seen in this video in detail.<|im_end|>\n\
         <|im_start|>assistant\n"
    );
    [before, after]
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
    fn the_prompt_names_duration_frames_and_their_own_times() {
        let [before, after] = video_prompt(3_204, &[0, 457, 3_199]);
        assert!(before.ends_with("<|im_start|>user\n") && after.ends_with("<|im_start|>assistant\n"));
        assert!(after.contains("3.20s long") && after.contains("3 frames") && after.contains("0.00s,0.46s,3.20s"));
        assert_eq!((before + &after).matches("<|im_end|>").count(), 2);
    }

    #[test]
    fn line_breaks_do_not_glue_words_together() {
        assert_eq!(caption_text(" A dog.\nIt barks.\r\n\r\n  Then it runs.\n"), "A dog. It barks. Then it runs.");
        assert_eq!(caption_text("\n"), "");
    }
}
