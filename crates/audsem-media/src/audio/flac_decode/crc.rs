//! The two checksums of a frame.

/// `x^8 + x^2 + x + 1` (RFC 9639, section 9.1.8).
const CRC8: u8 = 0x07;

/// `x^16 + x^15 + x^2 + 1` (RFC 9639, section 9.3).
const CRC16: u16 = 0x8005;

/// `TABLES[k][byte]`: what a byte does to the sum when `k` more bytes follow it.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 0x8000 != 0 { sum << 1 ^ CRC16 } else { sum << 1 };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut distance = 1;
    while distance < 8 {
        let mut byte = 0;
        while byte < 256 {
            let nearer = tables[distance - 1][byte];
            tables[distance][byte] = nearer << 8 ^ tables[0][(nearer >> 8) as usize];
            byte += 1;
        }
        distance += 1;
    }
    tables
}

/// The sum of a frame without its last two bytes; eight bytes at once, because every byte passes here.
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(0_u16, |sum, word| {
        let [high, low] = sum.to_be_bytes();
        let after = |byte: u8, distance: usize| TABLES[distance][usize::from(byte)];
        after(word[0] ^ high, 7)
            ^ after(word[1] ^ low, 6)
            ^ after(word[2], 5)
            ^ after(word[3], 4)
            ^ after(word[4], 3)
            ^ after(word[5], 2)
            ^ after(word[6], 1)
            ^ after(word[7], 0)
    });
    rest.iter().fold(sum, |sum, byte| sum << 8 ^ TABLES[0][usize::from((sum >> 8) as u8 ^ byte)])
}

/// The sum of a frame header without its last byte.
pub(super) fn crc8(bytes: &[u8]) -> u8 {
    let bit = |sum: u8| if sum & 0x80 != 0 { sum << 1 ^ CRC8 } else { sum << 1 };
    bytes.iter().fold(0, |sum, byte| (0..8).fold(sum ^ byte, |sum, _| bit(sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_check_values_come_out() {
        // CRC-8/SMBUS and CRC-16/UMTS in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc8(b"123456789"), 0xf4);
        assert_eq!(crc16(b"123456789"), 0xfee8);
    }

    #[test]
    fn eight_bytes_at_once_are_the_same_as_one_by_one() {
        let bytes: Vec<u8> = (0..100_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        let bit = |sum: u16| if sum & 0x8000 != 0 { sum << 1 ^ CRC16 } else { sum << 1 };
        for length in 0..bytes.len() {
            let one_by_one = |sum: u16, byte: &u8| (0..8).fold(sum ^ u16::from(*byte) << 8, |sum, _| bit(sum));
            assert_eq!(crc16(&bytes[..length]), bytes[..length].iter().fold(0, one_by_one), "{length}");
        }
    }
}
