//! Reading bits, most significant first.

use super::Fault;

/// A position in a run of bits.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte that is not counted in `held`.
    next: usize,
    /// The next bits, from the highest down. Below the `held` ones may lie some more of the same data,
    /// never anything else.
    cache: u64,
    held: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, next: 0, cache: 0, held: 0 }
    }

    /// How many bytes have been begun.
    pub(super) fn bytes_begun(&self) -> usize {
        self.next - (self.held / 8) as usize
    }

    /// The next `n` bits, at most 56, as an unsigned number.
    pub(super) fn unsigned(&mut self, n: u32) -> Result<u64, Fault> {
        self.want(n)?;
        let value = if n == 0 { 0 } else { self.cache >> (64 - n) };
        self.consume(n);
        Ok(value)
    }

    /// The next `n` bits, at most 56, as a number in two's complement.
    pub(super) fn signed(&mut self, n: u32) -> Result<i64, Fault> {
        self.want(n)?;
        let value = if n == 0 { 0 } else { self.cache.cast_signed() >> (64 - n) };
        self.consume(n);
        Ok(value)
    }

    /// How many zeros are before the next one, which is skipped too.
    pub(super) fn zeros(&mut self) -> Result<u64, Fault> {
        let mut zeros = 0;
        loop {
            self.want(1)?;
            let here = self.cache.leading_zeros();
            if here < self.held {
                self.consume(here + 1);
                return Ok(zeros + u64::from(here));
            }
            zeros += u64::from(self.held);
            self.consume(self.held);
        }
    }

    /// A Rice code: a number of zeros and a one, then `parameter` bits (at most 30).
    #[inline(always)]
    pub(super) fn rice(&mut self, parameter: u32) -> Result<u64, Fault> {
        self.refill();
        let zeros = self.cache.leading_zeros();
        let length = zeros + 1 + parameter;
        if length <= self.held {
            let rest = self.cache << (zeros + 1);
            // In two steps, because shifting by 64 is undefined.
            let low = rest >> 1 >> (63 - parameter);
            self.cache = rest << parameter;
            self.held -= length;
            return Ok(u64::from(zeros) << parameter | low);
        }
        let zeros = self.zeros()?;
        Ok(zeros << parameter | self.unsigned(parameter)?)
    }

    #[inline(always)]
    fn want(&mut self, n: u32) -> Result<(), Fault> {
        if self.held < n {
            self.refill();
            if self.held < n {
                return Err(Fault::Cut);
            }
        }
        Ok(())
    }

    /// `n` at most `held`, which is below 64.
    #[inline(always)]
    fn consume(&mut self, n: u32) {
        self.cache <<= n;
        self.held -= n;
    }

    /// Holds 56 to 63 bits afterwards, unless the data end before.
    #[inline(always)]
    fn refill(&mut self) {
        match self.bytes.get(self.next..self.next + 8).and_then(|word| word.first_chunk()) {
            Some(word) => {
                self.cache |= u64::from_be_bytes(*word) >> self.held;
                let taken = (63 - self.held) / 8;
                self.next += taken as usize;
                self.held += 8 * taken;
            }
            None => self.refill_at_the_end(),
        }
    }

    #[cold]
    fn refill_at_the_end(&mut self) {
        while self.held < 56
            && let Some(&byte) = self.bytes.get(self.next)
        {
            self.cache |= u64::from(byte) << (56 - self.held);
            self.next += 1;
            self.held += 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_sequence_of_reads_gives_the_bits_in_order() {
        let bytes: Vec<u8> = (0..200_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let bit = |at: usize| u64::from(bytes[at / 8] >> (7 - at % 8) & 1);
        for first in 1..=56_u32 {
            let mut bits = Bits::new(&bytes);
            let (mut at, mut n) = (0, first);
            while at + n as usize <= 8 * bytes.len() {
                let expected = (at..at + n as usize).fold(0, |value, at| value << 1 | bit(at));
                assert_eq!(bits.unsigned(n), Ok(expected), "{n} bits at {at}");
                at += n as usize;
                assert_eq!(bits.bytes_begun(), at.div_ceil(8));
                n = (n * 7 + 3) % 56 + 1;
            }
            assert_eq!(bits.unsigned(n), Err(Fault::Cut));
        }
    }

    #[test]
    fn numbers_have_signs_and_zeros_are_counted_over_any_distance() {
        let mut bits = Bits::new(&[0b1011_0000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0b0001_0111, 0b1000_0000]);
        assert_eq!(bits.signed(3), Ok(-3));
        assert_eq!(bits.signed(0), Ok(0));
        assert_eq!(bits.zeros(), Ok(0));
        assert_eq!(bits.zeros(), Ok(4 + 9 * 8 + 3));
        assert_eq!(bits.signed(4), Ok(7));
        assert_eq!(bits.zeros(), Ok(0));
        assert_eq!(bits.zeros(), Err(Fault::Cut));
    }

    #[test]
    fn rice_codes_are_read_near_the_end_and_with_long_runs() {
        for parameter in 0..=30_u32 {
            for zeros in [0_u64, 1, 5, 40, 70, 200] {
                let low = 0x2aaa_aaaa & ((1 << parameter) - 1);
                let mut text = "0".repeat(zeros as usize) + "1";
                (0..parameter).rev().for_each(|n| text.push(if low >> n & 1 == 1 { '1' } else { '0' }));
                text = text.repeat(3);
                text += &"0".repeat(text.len().next_multiple_of(8) - text.len());
                let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
                let bytes: Vec<u8> = text.as_bytes().chunks(8).map(byte).collect();
                let mut bits = Bits::new(&bytes);
                for _ in 0..3 {
                    assert_eq!(bits.rice(parameter), Ok(zeros << parameter | low), "{zeros} zeros, {parameter} bits");
                }
                assert_eq!(bits.bytes_begun(), bytes.len());
            }
        }
    }
}
