//! Zip archives, which torch has written since version 1.6: `NAME/data.pkl`, and `NAME/data/KEY` for each storage.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use audsem_core::pickle::Pickle;
use zip::ZipArchive;

use super::ConvertError;

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// The pickle, and the bytes of storages by their keys.
pub(super) fn read(bytes: &[u8]) -> Result<(Pickle, BTreeMap<String, Vec<u8>>), ConvertError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let names = archive.file_names().map(|name| name.map(|name| name.into_owned()));
    let names = names.collect::<Result<Vec<String>, _>>().map_err(broken)?;
    let root = names.iter().find_map(|name| name.strip_suffix("data.pkl")).map(str::to_owned);
    let root = root.ok_or_else(|| ConvertError::content("the archive has no data.pkl"))?;
    if names.iter().any(|name| name.starts_with(&format!("{root}code/"))) {
        return Err(ConvertError::content("the archive is a TorchScript program, not a dictionary of tensors"));
    }
    let order = format!("{root}byteorder");
    if names.contains(&order) && member(&mut archive, &order, bytes.len())? != b"little" {
        return Err(ConvertError::content("the archive was written by a big-endian machine"));
    }
    let pickle = Pickle::read(&mut &member(&mut archive, &format!("{root}data.pkl"), bytes.len())?[..])?;
    let data = format!("{root}data/");
    let mut storages = BTreeMap::new();
    for name in &names {
        if let Some(key) = name.strip_prefix(&data) {
            storages.insert(key.to_owned(), member(&mut archive, name, bytes.len())?);
        }
    }
    Ok((pickle, storages))
}

/// A member of the archive, which torch never compresses: none is larger than the file.
fn member(archive: &mut Archive<'_>, name: &str, most: usize) -> Result<Vec<u8>, ConvertError> {
    let mut member = archive.by_name(name).map_err(broken)?;
    if member.size() > most as u64 {
        return Err(ConvertError::content(format!("`{name}` claims {} bytes in a file of {most}", member.size())));
    }
    let mut bytes = Vec::new();
    member.read_to_end(&mut bytes).map_err(|error| ConvertError::content(format!("`{name}`: {error}")))?;
    Ok(bytes)
}

fn broken(error: zip::result::ZipError) -> ConvertError {
    ConvertError::content(format!("the zip archive is broken: {error}"))
}
