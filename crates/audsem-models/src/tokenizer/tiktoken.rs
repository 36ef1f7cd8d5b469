//! Byte pair encoding as `tiktoken` does it: pairs of any bytes, by rank, inside the pieces that a pattern cuts.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fancy_regex::Regex;
use serde::Deserialize;

use super::failed;
use crate::error::{Error, Result};

/// Largest piece, in bytes. The work grows with the square of its length, and a word has far fewer.
const MAX_PIECE_BYTES: usize = 1 << 12;

/// Most bytes of a file of ranks; the largest vocabularies have a tenth of it.
const MAX_FILE_BYTES: u64 = 1 << 26;

/// What is in the file beside the ranks.
#[derive(Deserialize)]
struct Encoding {
    pat_str: String,
    #[serde(default)]
    special_tokens: BTreeMap<String, u32>,
}

/// An encoding of tiktoken. Special tokens are not looked for in texts.
#[derive(Debug, Clone)]
pub struct Tiktoken {
    ranks: HashMap<Vec<u8>, u32>,
    pattern: Regex,
    n_vocab: u32,
}

impl Tiktoken {
    /// Reads the ranks of byte sequences, which are their token ids, and the pattern, as `open_clip` writes both.
    ///
    /// # Errors
    /// A file cannot be read or is not as expected, or a byte has no rank.
    pub fn open(ranks: &Path, encoding: &Path) -> Result<Self> {
        let parsed = fs::read(encoding).map_err(|error| failed(encoding, &error))?;
        let Encoding { pat_str, special_tokens } = serde_json::from_slice(&parsed).map_err(|e| failed(encoding, &e))?;
        let pattern = Regex::new(&pat_str).map_err(|error| failed(encoding, &error))?;
        let by_bytes = read_ranks(ranks)?;
        let highest = by_bytes.values().chain(special_tokens.values()).max().copied().unwrap_or(0);
        // Three tokens come above them.
        let n_vocab = highest.checked_add(1).filter(|n| *n < u32::MAX - 3);
        let n_vocab = n_vocab.ok_or_else(|| failed(ranks, &format!("a token has the number {highest}")))?;
        if let Some(byte) = (0..=u8::MAX).find(|byte| !by_bytes.contains_key([*byte].as_slice())) {
            return Err(failed(ranks, &format!("there is no token for the byte {byte}")));
        }
        Ok(Self { ranks: by_bytes, pattern, n_vocab })
    }

    /// One more than the highest token id, special tokens included.
    #[must_use]
    pub fn n_vocab(&self) -> u32 {
        self.n_vocab
    }

    /// The first tokens of a text, and perhaps a few more than `most`: all, where there are not so many.
    ///
    /// # Errors
    /// A piece is too long, or the pattern gives up.
    pub fn encode(&self, text: &str, most: usize) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for piece in self.pattern.find_iter(text) {
            let piece = piece.map_err(|error| failed(Path::new(""), &error))?.as_str().as_bytes();
            if piece.len() > MAX_PIECE_BYTES {
                return Err(Error::TextBytes { bytes: text.len(), most: MAX_PIECE_BYTES });
            }
            self.encode_piece(piece, &mut ids);
            if ids.len() > most {
                break;
            }
        }
        Ok(ids)
    }

    fn encode_piece(&self, piece: &[u8], ids: &mut Vec<u32>) {
        if let Some(id) = self.ranks.get(piece) {
            ids.push(*id);
            return;
        }
        // Where each part starts; the last is the end of the piece.
        let mut starts: Vec<usize> = (0..=piece.len()).collect();
        let rank = |starts: &[usize], n: usize| match (starts.get(n), starts.get(n + 2)) {
            (Some(&from), Some(&to)) => self.ranks.get(&piece[from..to]).copied(),
            _ => None,
        };
        while let Some((_, n)) = (0..starts.len()).filter_map(|n| Some((rank(&starts, n)?, n))).min() {
            starts.remove(n + 1);
        }
        ids.extend(starts.windows(2).filter_map(|part| self.ranks.get(&piece[part[0]..part[1]]).copied()));
    }
}

/// The lines of a file of ranks: bytes in base64, and a number.
fn read_ranks(path: &Path) -> Result<HashMap<Vec<u8>, u32>> {
    let bytes = fs::metadata(path).map_err(|error| failed(path, &error))?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(failed(path, &format!("it has {bytes} bytes, more than {MAX_FILE_BYTES}")));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(path, &error))?;
    let mut ranks = HashMap::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = line
            .split_once(' ')
            .and_then(|(token, rank)| Some((STANDARD.decode(token).ok()?, rank.trim().parse::<u32>().ok()?)));
        let Some((token, rank)) = parsed else {
            return Err(failed(path, &format!("line {} is not a token in base64 and a number", n + 1)));
        };
        if ranks.insert(token, rank).is_some() {
            return Err(failed(path, &format!("line {} has the token of an earlier one", n + 1)));
        }
    }
    Ok(ranks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use super::*;

    fn open(more: &[(&[u8], u32)], encoding: &str) -> Result<Tiktoken> {
        let folder = tempfile::tempdir().unwrap();
        let (ranks, config) = (folder.path().join("a.tiktoken"), folder.path().join("a.json"));
        let bytes = (0..=u8::MAX).map(|byte| (vec![byte], u32::from(byte)));
        let all = bytes.chain(more.iter().map(|(token, rank)| (token.to_vec(), *rank)));
        let lines: String = all.map(|(token, rank)| format!("{} {rank}\n", STANDARD.encode(token))).collect();
        fs::write(&ranks, lines).unwrap();
        fs::write(&config, encoding).unwrap();
        Tiktoken::open(&ranks, &config)
    }

    #[test]
    fn the_pair_of_the_lowest_rank_is_joined_first() {
        let encoding = r#"{"pat_str": "\\S+|\\s+", "special_tokens": {"<|end|>": 300}}"#;
        let tokens: [(&[u8], u32); 3] = [(b"bc", 256), (b"ab", 257), (b"abc", 258)];
        let tiktoken = open(&tokens, encoding).unwrap();
        assert_eq!(tiktoken.n_vocab(), 301);
        assert_eq!(tiktoken.encode("abc", 9).unwrap(), [258], "a whole piece");
        assert_eq!(tiktoken.encode("abcd", 9).unwrap(), [258, 100]);
        assert_eq!(tiktoken.encode("bcabbc", 9).unwrap(), [256, 257, 256]);
        assert_eq!(tiktoken.encode("<|end|> ab", 1).unwrap().len(), 7, "plain bytes, to the end of the piece");
        let long = "x".repeat(MAX_PIECE_BYTES + 1);
        assert!(matches!(tiktoken.encode(&long, 9), Err(Error::TextBytes { .. })));
    }

    #[test]
    fn broken_files_say_what_is_wrong() {
        for (tokens, encoding, wanted) in [
            (vec![(b"a".as_slice(), 300)], r#"{"pat_str": "."}"#, "line 257 has the token of an earlier one"),
            (vec![], r#"{"pat_str": "("}"#, "a.json"),
            (vec![], "{}", "pat_str"),
            (vec![(b"ab".as_slice(), u32::MAX)], r#"{"pat_str": "."}"#, "4294967295"),
        ] {
            let error = open(&tokens, encoding).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
