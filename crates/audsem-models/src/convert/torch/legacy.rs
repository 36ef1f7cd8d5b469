//! The format before zip archives, which torch wrote until version 1.5: a pickled magic number, version and description
//! of the machine, the pickled object, the pickled keys of the storages, then each storage behind its number of elements.

use std::collections::BTreeMap;

use audsem_core::pickle::{Node, Pickle, PickledValue};

use super::ConvertError;
use super::state::{StorageRef, walk};

/// 0x1950a86a20f9469cfc6c, little endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;

/// The pickle, and the bytes of storages by their keys.
pub(super) fn read(mut bytes: &[u8]) -> Result<(Pickle, BTreeMap<String, Vec<u8>>), ConvertError> {
    let rest = &mut bytes;
    let magic = Pickle::read(rest).ok().filter(|pickle| *pickle.root().node() == Node::Long(MAGIC.to_vec()));
    if magic.is_none() {
        return Err(ConvertError::content(
            "the file is no zip archive and does not start with the magic number of torch",
        ));
    }
    let protocol = Pickle::read(rest)?;
    if protocol.root().as_i64() != Some(PROTOCOL) {
        return Err(ConvertError::content(format!("the version of the format is not {PROTOCOL}")));
    }
    let machine = Pickle::read(rest)?;
    if machine.root().get("little_endian").map(|value| value.node()) != Some(&Node::Bool(true)) {
        return Err(ConvertError::content("the file was written by a big-endian machine"));
    }
    let object = Pickle::read(rest)?;
    let keys = Pickle::read(rest)?;
    let sizes = element_sizes(object.root())?;
    let mut storages = BTreeMap::new();
    for key in keys.root().items() {
        let key = key.as_str().ok_or_else(|| ConvertError::content("a storage has a key that is no text"))?;
        let size = sizes.get(key).ok_or_else(|| ConvertError::content(format!("no tensor uses storage `{key}`")))?;
        storages.insert(key.to_owned(), storage(rest, key, *size)?);
    }
    Ok((object, storages))
}

/// Bytes of an element of each storage that the object refers to.
fn element_sizes(root: PickledValue<'_>) -> Result<BTreeMap<String, usize>, ConvertError> {
    let mut sizes = BTreeMap::new();
    for id in walk(root).into_iter().filter_map(PickledValue::persistent) {
        let storage = StorageRef::of(id)?;
        sizes.insert(storage.key.to_owned(), storage.dtype.size());
    }
    Ok(sizes)
}

fn storage(rest: &mut &[u8], key: &str, size: usize) -> Result<Vec<u8>, ConvertError> {
    let cut = || ConvertError::content(format!("the file ends within storage `{key}`"));
    let (count, after) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    let length = usize::try_from(i64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(size));
    let (bytes, after) = length.and_then(|length| after.split_at_checked(length)).ok_or_else(cut)?;
    *rest = after;
    Ok(bytes.to_vec())
}
