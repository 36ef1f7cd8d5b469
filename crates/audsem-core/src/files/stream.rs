//! Output streams: bytes are hashed by the producer and written to disk by a separate thread.
//!
//! A large file goes past the page cache (`O_DIRECT`) where the disk allows it. Copying into the cache and
//! writing back later costs more than the disk itself, the final flush then waits for all of it at once, and
//! files of this size are not read again soon enough to be found there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};
use sha2::{Digest, Sha256};

use super::{Written, hex};

/// Bytes handed to the disk at once: few enough to stay in a core's cache while they are hashed, enough
/// to keep the disk busy (a solid-state disk gave as much with 0.5, 1 and 4 MiB).
const BLOCK_BYTES: usize = 1 << 20;

/// Blocks of a file that may be in flight. More of them would only smooth out longer pauses of the disk.
const BLOCKS: usize = 8;

/// What memory and length of a direct write must be a multiple of; the largest sector and page size in use.
const ALIGNMENT: usize = 4096;

/// Without direct writes, data is flushed each time this many bytes have accumulated, so that
/// the final flush has little left to do.
const FLUSH_BYTES: u64 = 64 << 20;

/// A file being filled from its beginning to its end.
#[derive(Debug)]
pub(super) struct Stream {
    file: Arc<File>,
    hasher: Sha256,
    bytes: u64,
    block: Block,
    /// Started when the first block is full: small files need no thread.
    disk: Option<Disk>,
}

impl Stream {
    /// Starts on an empty file.
    pub(super) fn new(file: File) -> Self {
        Self { file: Arc::new(file), hasher: Sha256::new(), bytes: 0, block: Block::new(), disk: None }
    }

    /// Takes some of `bytes` and says how many. An error may be that of bytes taken earlier.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.block.take(bytes);
        self.bytes += taken as u64;
        if self.block.is_full() {
            self.hasher.update(self.block.bytes());
            let disk = match &mut self.disk {
                Some(disk) => disk,
                none => none.insert(Disk::start(Arc::clone(&self.file))?),
            };
            disk.swap(&mut self.block)?;
        }
        Ok(taken)
    }

    /// Waits until the disk has everything.
    pub(super) fn finish(mut self) -> io::Result<(Arc<File>, Written)> {
        self.hasher.update(self.block.bytes());
        let written_by_disk = self.bytes - self.block.bytes().len() as u64;
        if let Some(disk) = self.disk.take() {
            disk.finish()?;
            direct(&self.file, false)?;
        }
        self.file.write_all_at(self.block.bytes(), written_by_disk)?;
        self.file.sync_all()?;
        Ok((self.file, Written { bytes: self.bytes, sha256: hex(&self.hasher.finalize()) }))
    }
}

/// Memory for one write, aligned as direct writes need it.
#[derive(Debug)]
struct Block {
    memory: Vec<u8>,
    start: usize,
    filled: usize,
}

impl Block {
    fn new() -> Self {
        let memory = vec![0; BLOCK_BYTES + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, start, filled: 0 }
    }

    fn take(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(BLOCK_BYTES - self.filled);
        let at = self.start + self.filled;
        self.memory[at..at + n].copy_from_slice(&bytes[..n]);
        self.filled += n;
        n
    }

    fn is_full(&self) -> bool {
        self.filled == BLOCK_BYTES
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.filled]
    }
}

/// The thread that writes full blocks, in order.
#[derive(Debug)]
struct Disk {
    /// `None` once no more blocks will come.
    full: Option<Sender<Block>>,
    empty: Receiver<Block>,
    /// Blocks made for this file, the one being filled included.
    blocks: usize,
    /// `None` once it has been waited for.
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Disk {
    fn start(file: Arc<File>) -> io::Result<Self> {
        let (full, to_write) = unbounded();
        let (written, empty) = unbounded();
        let thread =
            thread::Builder::new().name("disk".to_owned()).spawn(move || write_blocks(&file, &to_write, &written))?;
        Ok(Self { full: Some(full), empty, blocks: 1, thread: Some(thread) })
    }

    /// Hands over a full block and puts an empty one in its place, waiting for one if need be.
    fn swap(&mut self, block: &mut Block) -> io::Result<()> {
        let next = match self.empty.try_recv() {
            Ok(empty) => empty,
            Err(_) if self.blocks < BLOCKS => {
                self.blocks += 1;
                Block::new()
            }
            Err(_) => match self.empty.recv() {
                Ok(empty) => empty,
                Err(_) => return Err(self.failure()),
            },
        };
        let full = std::mem::replace(block, next);
        match self.full.as_ref().map(|disk| disk.send(full)) {
            Some(Ok(())) => Ok(()),
            _ => Err(self.failure()),
        }
    }

    /// Why the writer thread ended early.
    fn failure(&mut self) -> io::Error {
        match self.wait() {
            Err(error) => error,
            Ok(()) => io::Error::other("the file could not be written"),
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.wait()
    }

    fn wait(&mut self) -> io::Result<()> {
        self.full = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The file is discarded, so its result does not matter; but the thread must not write to it any more.
        self.full = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_blocks(file: &File, blocks: &Receiver<Block>, written: &Sender<Block>) -> io::Result<()> {
    let mut is_direct = direct(file, true).is_ok();
    let (mut position, mut flushed) = (0, 0);
    for mut block in blocks {
        let bytes = block.bytes();
        match file.write_all_at(bytes, position) {
            // Some disks accept the flag and then refuse to write so.
            Err(error) if is_direct && error.kind() == io::ErrorKind::InvalidInput => {
                direct(file, false)?;
                is_direct = false;
                file.write_all_at(bytes, position)?;
            }
            result => result?,
        }
        position += bytes.len() as u64;
        if !is_direct && position - flushed >= FLUSH_BYTES {
            file.sync_data()?;
            flushed = position;
        }
        block.filled = 0;
        // Refused when the file is given up.
        let _ = written.send(block);
    }
    Ok(())
}

/// Turns writing past the page cache on or off; an error where the disk cannot.
#[cfg(target_os = "linux")]
fn direct(file: &File, on: bool) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, on);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn direct(_file: &File, on: bool) -> io::Result<()> {
    if on { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use std::fs;

    use super::*;

    /// Bytes that differ from block to block.
    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n ^ n >> 8 ^ n >> 20) as u8).collect()
    }

    fn write_all(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = stream.write(bytes)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    #[test]
    fn every_length_arrives_whole_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let block = BLOCK_BYTES;
        for length in [0, 1, ALIGNMENT, block - 1, block, block + 1, 2 * block, 3 * block + 4097, 20 * block + 1] {
            for step in [1000, 4096, 300_001, usize::MAX] {
                let bytes = pattern(length);
                let mut stream = Stream::new(File::create(&path).unwrap());
                bytes.chunks(step).for_each(|chunk| write_all(&mut stream, chunk).unwrap());
                let (_, written) = stream.finish().unwrap();
                assert_eq!(written, Written { bytes: length as u64, sha256: hex(&Sha256::digest(&bytes)) });
                assert!(fs::read(&path).unwrap() == bytes, "{length} bytes in steps of {step}");
            }
        }
    }

    #[test]
    fn a_refusal_of_the_disk_is_an_error_of_a_later_write_or_of_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        fs::write(&path, "").unwrap();
        for blocks in [1, 2, BLOCKS, 3 * BLOCKS] {
            // Opened for reading only.
            let mut stream = Stream::new(File::open(&path).unwrap());
            let written = write_all(&mut stream, &pattern(blocks * BLOCK_BYTES + 10));
            // More blocks than may be in flight, so that the error shows before the end.
            assert!(blocks <= BLOCKS || written.is_err());
            if written.is_ok() {
                stream.finish().unwrap_err();
            }
        }
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_file_given_up_midway_is_not_written_to_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let mut stream = Stream::new(File::create(&path).unwrap());
        write_all(&mut stream, &pattern(3 * BLOCK_BYTES)).unwrap();
        drop(stream);
        let length = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(fs::metadata(&path).unwrap().len(), 0, "{length} bytes had been written");
    }
}
