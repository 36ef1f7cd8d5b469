//! What a program says, in words that mean something to others and are the same in equal runs.

use super::input::STDIN;

/// A message with `input` for the file that holds bytes passed through [`super::Call::input_bytes`], and without the addresses
/// that ffmpeg writes after the names of its components (`[mp4 @ 0x55a504da27c0]`), which differ between equal runs.
pub(super) fn repeatable(message: &str) -> String {
    let message = message.replace(&format!("file:{STDIN}"), "input").replace(STDIN, "input");
    let mut parts = message.split(" @ 0x");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_equal_runs_are_equal() {
        for (message, expected) in [
            ("[mov,mp4 @ 0x562cf6b424c0] moov atom not found", "[mov,mp4] moov atom not found"),
            ("[a @ 0x1f] [b @ 0x2] c", "[a] [b] c"),
            ("file:/dev/fd/0: Invalid data", "input: Invalid data"),
            ("nothing of the kind", "nothing of the kind"),
        ] {
            assert_eq!(repeatable(message), expected);
        }
    }
}
