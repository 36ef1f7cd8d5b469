//! The wire format of protocol buffers: fields with a number and a value, in any order.

use super::ConvertError;

/// A value of a field, as the wire has it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wire<'a> {
    /// An integer of variable length.
    Varint(u64),
    /// Four bytes.
    Fixed32([u8; 4]),
    /// Eight bytes.
    Fixed64([u8; 8]),
    /// A text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
}

/// The fields of a message in the order of the file.
pub(super) fn fields(mut rest: &[u8]) -> impl Iterator<Item = Result<(u64, Wire<'_>), ConvertError>> {
    std::iter::from_fn(move || (!rest.is_empty()).then(|| field(&mut rest).inspect_err(|_| rest = &[])))
}

fn field<'a>(rest: &mut &'a [u8]) -> Result<(u64, Wire<'a>), ConvertError> {
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Wire::Varint(varint(rest)?),
        1 => Wire::Fixed64(array(rest)?),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| cut())?;
            Wire::Bytes(take(rest, length)?)
        }
        5 => Wire::Fixed32(array(rest)?),
        kind => return Err(ConvertError::content(format!("a field of wire type {kind}, which protocol buffers lack"))),
    };
    Ok((tag >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Result<u64, ConvertError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = array(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(ConvertError::content("an integer of more than ten bytes"))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], ConvertError> {
    let (taken, after) = rest.split_at_checked(length).ok_or_else(cut)?;
    *rest = after;
    Ok(taken)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ConvertError> {
    take(rest, N)?.try_into().map_err(|_| cut())
}

fn cut() -> ConvertError {
    ConvertError::content("a message ends within a field")
}

impl<'a> Wire<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], ConvertError> {
        match self {
            Wire::Bytes(bytes) => Ok(bytes),
            _ => Err(ConvertError::content("a field holds a number where a text or message should be")),
        }
    }

    pub(super) fn text(self) -> Result<String, ConvertError> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| ConvertError::content("a text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    pub(super) fn integer(self) -> Result<i64, ConvertError> {
        match self {
            Wire::Varint(value) => Ok(value as i64),
            _ => Err(ConvertError::content("a field holds something else where an integer should be")),
        }
    }

    /// Integers of a repeated field: one, or several packed ones.
    pub(super) fn integers(self, into: &mut Vec<i64>) -> Result<(), ConvertError> {
        match self {
            Wire::Varint(value) => into.push(value as i64),
            Wire::Bytes(mut packed) => {
                while !packed.is_empty() {
                    into.push(varint(&mut packed)? as i64);
                }
            }
            _ => return Err(ConvertError::content("a field holds something else where integers should be")),
        }
        Ok(())
    }

    /// Numbers of fixed length of a repeated field, as their bytes.
    pub(super) fn fixed(self, into: &mut Vec<u8>) -> Result<(), ConvertError> {
        match self {
            Wire::Fixed32(bytes) => into.extend(bytes),
            Wire::Fixed64(bytes) => into.extend(bytes),
            Wire::Bytes(packed) => into.extend(packed),
            Wire::Varint(_) => return Err(ConvertError::content("a field holds an integer where floats should be")),
        }
        Ok(())
    }
}
