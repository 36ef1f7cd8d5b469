//! Writing deterministic shards.

use std::collections::HashSet;
use std::io::Write;

use super::{BLOCK, TarError, split_key};

/// Longest member name, in bytes: the name field of a USTAR header.
pub const MAX_NAME_BYTES: usize = 100;

/// What is the same for all members of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardOptions {
    /// Modification time of every member, in seconds since 1970.
    pub mtime: u64,
}

/// What a shard holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardCounts {
    /// Samples written.
    pub samples: u64,
    /// Members written.
    pub members: u64,
    /// Payload bytes, without headers and padding.
    pub payload_bytes: u64,
    /// Bytes of the tar, end marker included once it is finished.
    pub tar_bytes: u64,
}

/// Writes whole samples to a tar: USTAR headers, mode 0644, uid and gid 0, no user names, one fixed
/// time. Equal samples in equal order give equal bytes.
///
/// Payloads are handed on as they are, in one write each; `out` should gather the small writes in
/// between, as the files of a run and `BufWriter` do.
pub struct ShardWriter<W: Write> {
    out: W,
    options: ShardOptions,
    keys: HashSet<String>,
    counts: ShardCounts,
}

impl<W: Write> ShardWriter<W> {
    /// Starts a shard on `out`.
    pub fn new(out: W, options: ShardOptions) -> Self {
        Self { out, options, keys: HashSet::new(), counts: ShardCounts::default() }
    }

    /// Appends a sample: its members as (suffix, payload) in the order given.
    ///
    /// Members of a sample always lie together, so keys are contiguous by construction.
    ///
    /// # Errors
    /// [`TarError::BadKey`], [`TarError::LongName`] and [`TarError::DuplicateKey`] before anything
    /// is written; [`TarError::Write`], after which the shard is unusable.
    pub fn write_sample(&mut self, key: &str, members: &[(&str, &[u8])]) -> Result<(), TarError> {
        let names = checked_names(key, members)?;
        if !self.keys.insert(key.to_owned()) {
            return Err(TarError::DuplicateKey { key: key.to_owned() });
        }
        for (name, (_, payload)) in names.iter().zip(members) {
            self.write_member(name, payload).map_err(|source| TarError::Write { source })?;
        }
        self.counts.samples += 1;
        Ok(())
    }

    /// Counts so far.
    pub fn counts(&self) -> ShardCounts {
        self.counts
    }

    /// Writes the end marker and gives the writer back.
    ///
    /// # Errors
    /// [`TarError::Write`].
    pub fn finish(mut self) -> Result<(W, ShardCounts), TarError> {
        let failed = |source| TarError::Write { source };
        self.out.write_all(&[0; 2 * BLOCK]).map_err(failed)?;
        self.counts.tar_bytes += 2 * BLOCK as u64;
        self.out.flush().map_err(failed)?;
        Ok((self.out, self.counts))
    }

    fn write_member(&mut self, name: &str, payload: &[u8]) -> std::io::Result<()> {
        let header = self.header(name, payload.len() as u64);
        let padding = payload.len().next_multiple_of(BLOCK) - payload.len();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(payload)?;
        self.out.write_all(&[0; BLOCK][..padding])?;
        self.counts.members += 1;
        self.counts.payload_bytes += payload.len() as u64;
        self.counts.tar_bytes += (BLOCK + payload.len() + padding) as u64;
        Ok(())
    }

    fn header(&self, name: &str, size: u64) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        // Written byte by byte: the crate's `set_path` rewrites `./` and doubled slashes.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.options.mtime);
        header.set_size(size);
        header.set_cksum();
        header
    }
}

/// Member names of a sample, provided that reading them back gives the same key and suffixes.
fn checked_names(key: &str, members: &[(&str, &[u8])]) -> Result<Vec<String>, TarError> {
    let bad = |suffix: &str, detail: &str| TarError::BadKey {
        key: key.to_owned(),
        suffix: suffix.to_owned(),
        detail: detail.to_owned(),
    };
    if members.is_empty() {
        return Err(bad("", "it has no members"));
    }
    let mut names = Vec::with_capacity(members.len());
    for (index, (suffix, _)) in members.iter().enumerate() {
        let name = format!("{key}.{suffix}");
        if split_key(&name) != Some((key, (*suffix).to_owned())) {
            return Err(bad(
                suffix,
                "the key must not be empty or have a dot in its last component, the suffix must be lower-case without slashes",
            ));
        }
        if super::is_metadata(&name) || name.contains('\0') {
            return Err(bad(suffix, "readers would skip it or cut the name"));
        }
        if members[..index].iter().any(|(earlier, _)| earlier == suffix) {
            return Err(bad(suffix, "the suffix comes twice"));
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(TarError::LongName { length: name.len(), name });
        }
        names.push(name);
    }
    Ok(names)
}
