//! The values of a Parquet page of vectors, if the page stores them contiguously and uncompressed.
//!
//! A list column carries, for every number, whether it begins a row (repetition level 0) and whether
//! anything is absent (definition level below the largest). Where the levels say "every row has `dim`
//! numbers", the page's values are rows already, and looking at the levels is a comparison of bits.

use polars_parquet::parquet::encoding::Encoding;
use polars_parquet::parquet::page::{DataPage, split_buffer};

/// The little-endian numbers of a page that holds whole rows of `dim` plainly encoded `f32`, without
/// absent ones; `None` for any other page, which the general decoder must read.
pub(super) fn plain_rows(page: &DataPage, dim: usize) -> Option<&[u8]> {
    let n_values = page.num_values();
    let plain = page.encoding() == Encoding::Plain
        && page.repetition_level_encoding() == Encoding::Rle
        && page.definition_level_encoding() == Encoding::Rle;
    if !plain || dim == 0 || !n_values.is_multiple_of(dim) {
        return None;
    }
    let parts = split_buffer(page).ok()?;
    let regular = page.descriptor.max_rep_level == 1
        && parts.values.len() == n_values * size_of::<f32>()
        && rows_of(dim, parts.rep, n_values)
        && all_equal(page.descriptor.max_def_level.unsigned_abs(), parts.def, n_values);
    regular.then_some(parts.values)
}

/// A run of levels in Parquet's mix of run lengths and packed bits.
enum Levels<'a> {
    /// So many times the same level.
    Run(usize, u8),
    /// Levels packed with the lowest bits first.
    Packed(&'a [u8]),
}

/// Iterates over the runs of levels. Widths over 8 bits do not occur: nested lists are not vectors.
struct Runs<'a> {
    bytes: &'a [u8],
    width: usize,
}

impl<'a> Runs<'a> {
    /// The next run; `None` at the end or where the bytes make no sense.
    fn next(&mut self) -> Option<Levels<'a>> {
        let header = self.header()?;
        if header & 1 == 0 {
            let (&level, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            return Some(Levels::Run(header >> 1, level));
        }
        // Groups of eight levels; the last ones may be padding that the writer left out.
        let n_bytes = (header >> 1).checked_mul(self.width)?.min(self.bytes.len());
        let (packed, rest) = self.bytes.split_at(n_bytes);
        self.bytes = rest;
        Some(Levels::Packed(packed))
    }

    /// An unsigned number in seven bits a byte.
    fn header(&mut self) -> Option<usize> {
        let mut value = 0usize;
        for shift in (0..35).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// Whether the repetition levels begin a row at each multiple of `dim` and nowhere else.
fn rows_of(dim: usize, bytes: &[u8], n_values: usize) -> bool {
    let mut runs = Runs { bytes, width: 1 };
    let mut at = 0;
    while at < n_values {
        let fits = match runs.next() {
            None => return false,
            Some(Levels::Run(n, level)) => {
                let end = (at + n).min(n_values);
                let next_row = at.next_multiple_of(dim);
                let fits = if level == 0 { dim == 1 || (n == 1 && next_row == at) } else { next_row >= end };
                at = end;
                fits
            }
            Some(Levels::Packed(packed)) => {
                let fits = packed
                    .iter()
                    .enumerate()
                    .all(|(i, byte)| *byte | beyond(at + 8 * i, n_values) == begins(dim, at + 8 * i, n_values));
                at += 8 * packed.len();
                fits && !packed.is_empty()
            }
        };
        if !fits {
            return false;
        }
    }
    true
}

/// The eight repetition levels from value `at` as they should be, those beyond the end all ones.
fn begins(dim: usize, at: usize, n_values: usize) -> u8 {
    let mut byte = 0xff;
    let mut row = at.next_multiple_of(dim);
    while row < (at + 8).min(n_values) {
        byte &= !(1 << (row - at));
        row += dim;
    }
    byte
}

/// Ones for those of the eight values from `at` that are padding.
fn beyond(at: usize, n_values: usize) -> u8 {
    match n_values.saturating_sub(at) {
        n @ 0..8 => 0xff << n,
        _ => 0,
    }
}

/// Whether every definition level is `level`.
fn all_equal(level: u16, bytes: &[u8], n_values: usize) -> bool {
    // Eight levels in a byte, or four: every byte of the packed ones is the same.
    let (width, pattern) = match level {
        0 => return true,
        1 => (1, 0xff),
        2 => (2, 0b1010_1010),
        3 => (2, 0xff),
        _ => return false,
    };
    let mut runs = Runs { bytes, width };
    let mut at = 0;
    while at < n_values {
        at += match runs.next() {
            Some(Levels::Run(n, found)) if u16::from(found) == level && n > 0 => n,
            Some(Levels::Packed(packed)) if !packed.is_empty() => {
                let per_byte = 8 / width;
                let whole = ((n_values - at) / per_byte).min(packed.len());
                let rest = packed.get(whole).is_none_or(|byte| {
                    let mask = beyond_packed(n_values - at - whole * per_byte, width);
                    byte & mask == pattern & mask
                });
                if !rest || packed[..whole].iter().any(|byte| *byte != pattern) {
                    return false;
                }
                packed.len() * per_byte
            }
            _ => return false,
        };
    }
    true
}

/// Ones for the first `n` levels of a byte.
fn beyond_packed(n: usize, width: usize) -> u8 {
    match n * width {
        bits @ 0..8 => !(0xffu8 << bits),
        _ => 0xff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs levels as groups of eight in one run.
    fn packed(levels: &[u8], width: usize) -> Vec<u8> {
        let groups = levels.len().div_ceil(8);
        let mut bytes = vec![u8::try_from(groups << 1 | 1).expect("a small test")];
        let mut all = vec![0u8; groups * width];
        for (i, level) in levels.iter().enumerate() {
            let bit = i * width;
            all[bit / 8] |= level << (bit % 8);
        }
        bytes.append(&mut all);
        bytes
    }

    fn run(n: u8, level: u8) -> Vec<u8> {
        vec![n << 1, level]
    }

    #[test]
    fn rows_are_told_by_their_beginnings() {
        let check =
            |bytes: &[u8], dim, n, expected| assert_eq!(rows_of(dim, bytes, n), expected, "{bytes:?} {dim} {n}");
        check(&packed(&[0, 1, 1, 0, 1, 1], 1), 3, 6, true);
        check(&packed(&[0, 1, 1, 1, 0, 1], 1), 3, 6, false);
        check(&packed(&[1, 1, 1, 0, 1, 1], 1), 3, 6, false);
        check(&packed(&[0, 1, 0, 0, 1, 1], 1), 3, 6, false);
        check(&[run(1, 0), run(11, 1)].concat(), 12, 12, true);
        check(&[run(1, 0), run(11, 1)].concat(), 6, 12, false);
        check(&[run(2, 0), run(10, 1)].concat(), 12, 12, false);
        check(&[run(1, 0), run(11, 1), run(1, 0), run(11, 1)].concat(), 12, 24, true);
        check(&[packed(&[0, 1, 1, 1, 1, 1, 1, 1], 1), run(4, 1)].concat(), 12, 12, true);
        check(&run(5, 0), 1, 5, true);
        check(&run(4, 0), 1, 5, false);
        check(&[], 2, 2, false);
        check(&[0x80], 2, 2, false);
    }

    #[test]
    fn absent_numbers_are_seen() {
        let check =
            |bytes: &[u8], level, n, expected| assert_eq!(all_equal(level, bytes, n), expected, "{bytes:?} {level}");
        check(&run(12, 3), 3, 12, true);
        check(&run(12, 2), 3, 12, false);
        check(&run(11, 3), 3, 12, false);
        check(&packed(&[3; 12], 2), 3, 12, true);
        check(&packed(&[2; 12], 2), 2, 12, true);
        check(&packed(&[1; 12], 1), 1, 12, true);
        check(&packed(&[3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2], 2), 3, 12, false);
        check(&packed(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1], 1), 1, 12, false);
        check(&[], 0, 12, true);
    }
}
