//! What `torch.save` writes.

mod archive;
mod legacy;
mod state;

use super::{Contents, ConvertError};

/// Reads a file of either format.
pub(super) fn read(bytes: &[u8], key: Option<&str>) -> Result<Contents, ConvertError> {
    if bytes.starts_with(b"PK\x03\x04") {
        let (pickle, storages) = archive::read(bytes)?;
        return state::contents(&pickle, &storages, key);
    }
    let (pickle, storages) = legacy::read(bytes)?;
    state::contents(&pickle, &storages, key)
}
