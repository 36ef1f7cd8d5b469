//! `model.bin` of CTranslate2, version 6: the name and revision of a specification, then variables with their names,
//! shapes, types and bytes, then second names of variables.

use serde_json::json;

use super::{Contents, ConvertError, SourceDtype, SourceTensor};

const VERSION: u32 = 6;

/// Reads all variables; scalars go to the metadata, as they are settings.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, ConvertError> {
    let mut reader = Reader { rest: bytes };
    let version = u32::from_le_bytes(reader.array()?);
    if version != VERSION {
        return Err(ConvertError::content(format!(
            "version {version} of the container; version {VERSION} is supported"
        )));
    }
    let mut contents = Contents::default();
    contents.metadata.insert("specification".to_owned(), json!(reader.text()?));
    contents.metadata.insert("revision".to_owned(), json!(u32::from_le_bytes(reader.array()?)));
    for _ in 0..u32::from_le_bytes(reader.array()?) {
        let (name, tensor) = reader.variable()?;
        match tensor.shape() {
            [] => _ = contents.metadata.insert(name, setting(&tensor)),
            _ => contents.insert(name, tensor)?,
        }
    }
    for _ in 0..u32::from_le_bytes(reader.array()?) {
        let (alias, of) = (reader.text()?, reader.text()?);
        contents.metadata.insert(alias, json!({ "same_as": of }));
    }
    match reader.rest {
        [] => Ok(contents),
        rest => Err(ConvertError::content(format!("{} bytes after the last variable", rest.len()))),
    }
}

fn setting(tensor: &SourceTensor) -> serde_json::Value {
    if tensor.dtype().is_float() { json!(tensor.values().first()) } else { json!(tensor.integers().first()) }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ConvertError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| ConvertError::content("the file ends within a variable"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ConvertError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| ConvertError::content("the file ends within a variable"))
    }

    /// A text behind its length, closed by a zero.
    fn text(&mut self) -> Result<String, ConvertError> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        let text =
            std::str::from_utf8(self.take(length)?).map_err(|_| ConvertError::content("a name that is no text"))?;
        Ok(text.trim_end_matches('\0').to_owned())
    }

    fn variable(&mut self) -> Result<(String, SourceTensor), ConvertError> {
        let name = self.text()?;
        let [rank] = self.array()?;
        let dims = (0..rank).map(|_| Ok(u32::from_le_bytes(self.array()?) as usize));
        let shape = dims.collect::<Result<Vec<_>, ConvertError>>()?;
        let [dtype] = self.array()?;
        let dtype = match dtype {
            0 => SourceDtype::F32,
            1 => SourceDtype::I8,
            2 => SourceDtype::I16,
            3 => SourceDtype::I32,
            4 => SourceDtype::F16,
            5 => SourceDtype::Bf16,
            other => return Err(ConvertError::content(format!("`{name}` holds numbers of the unknown type {other}"))),
        };
        let length = u32::from_le_bytes(self.array()?) as usize;
        let tensor = SourceTensor::new(dtype, shape, self.take(length)?.to_vec());
        tensor.map(|tensor| (name.clone(), tensor)).map_err(|error| ConvertError::content(format!("`{name}`: {error}")))
    }
}
