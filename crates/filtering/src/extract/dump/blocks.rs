//! Cuts a byte stream into blocks of whole objects.
//!
//! A reader owns the objects that *begin* in its byte range. It finds its own start and its own end
//! (the first boundary at or after each), so that readers of neighbouring ranges, knowing nothing of
//! each other, cover every object exactly once.

use std::io::{self, Read};

use super::boundary::{LOOK_BACK, first_boundary, last_boundary};

/// How much is read and held at a time.
#[derive(Debug, Clone, Copy)]
pub struct BlockSizes {
    /// Bytes a block is filled to before it is handed on.
    pub block: usize,
    /// Longest object held in memory; a longer one is skipped and reported.
    pub max_object: usize,
}

/// The part of a stream one reader owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// Objects that begin here or later …
    pub start: u64,
    /// … and before this offset; `u64::MAX` for the rest of the stream.
    pub end: u64,
}

impl ByteRange {
    /// The whole stream.
    pub const ALL: Self = Self { start: 0, end: u64::MAX };

    /// Where in the file the reader handed to [`Blocks::new`] must stand: a little before the range,
    /// to see whether an object begins right at its start.
    #[must_use]
    pub fn seek(self) -> u64 {
        self.start.saturating_sub(LOOK_BACK as u64)
    }
}

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// Whole objects (and whatever stands between them).
    Objects {
        /// Where the first byte stands in the stream.
        offset: u64,
        /// The bytes; every boundary of the stream in them is theirs.
        bytes: Vec<u8>,
    },
    /// An object longer than [`BlockSizes::max_object`], not held.
    TooLarge {
        /// Where it begins.
        offset: u64,
        /// Its length in bytes.
        len: u64,
    },
}

impl Block {
    /// Where it begins in the stream.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match self {
            Self::Objects { offset, .. } | Self::TooLarge { offset, .. } => *offset,
        }
    }

    /// How many bytes of the stream it covers.
    #[must_use]
    pub fn n_bytes(&self) -> u64 {
        match self {
            Self::Objects { bytes, .. } => bytes.len() as u64,
            Self::TooLarge { len, .. } => *len,
        }
    }
}

/// Iterator over the blocks of one [`ByteRange`] of a stream.
#[derive(Debug)]
pub struct Blocks<R> {
    reader: R,
    sizes: BlockSizes,
    end: u64,
    /// Bytes read and not yet handed on; begins at an object (once `started`).
    pending: Vec<u8>,
    /// Where `pending` begins in the stream.
    offset: u64,
    /// First byte an object of ours may begin at; `None` once it is found.
    seeking: Option<u64>,
    /// Prefix of `pending` known to hold no boundary.
    searched: usize,
    /// Where an object too long to hold began; its bytes are being skipped.
    skipping: Option<u64>,
    input_ended: bool,
    finished: bool,
    /// What ended the input early, given out after all that was read before.
    error: Option<io::Error>,
}

impl<R: Read> Blocks<R> {
    /// Reads the objects that begin in `range` from `reader`, which stands at [`ByteRange::seek`].
    #[must_use]
    pub fn new(reader: R, range: ByteRange, sizes: BlockSizes) -> Self {
        Self {
            reader,
            sizes,
            end: range.end,
            pending: Vec::new(),
            offset: range.seek(),
            seeking: (range.start > 0).then_some(range.start),
            searched: 0,
            skipping: None,
            input_ended: false,
            finished: range.start >= range.end,
            error: None,
        }
    }

    /// Reads one block more. What came before an error counts.
    fn fill(&mut self) {
        self.pending.reserve(self.sizes.block);
        let want = self.sizes.block as u64;
        let before = self.pending.len();
        self.error = self.reader.by_ref().take(want).read_to_end(&mut self.pending).err();
        self.input_ended = ((self.pending.len() - before) as u64) < want || self.error.is_some();
    }

    /// Index in `pending` of stream offset `at`.
    fn index(&self, at: u64) -> usize {
        usize::try_from(at.saturating_sub(self.offset)).unwrap_or(usize::MAX)
    }

    /// Drops the first `n` pending bytes.
    fn advance(&mut self, n: usize) {
        self.pending.drain(..n);
        self.offset += n as u64;
        self.searched = 0;
    }

    /// Skips bytes up to the first boundary at or after `from`. True once it is reached.
    fn pass_to_boundary(&mut self, from: u64) -> bool {
        let from = self.index(from).max(self.searched);
        if let Some(at) = first_boundary(&self.pending, from) {
            self.advance(at);
            return true;
        }
        // A boundary still to come may look back, so that much stays.
        let drop = self.pending.len().saturating_sub(LOOK_BACK + 1);
        self.advance(drop);
        self.searched = self.pending.len();
        false
    }

    /// One step towards the first object of the range.
    fn seek_start(&mut self, start: u64) {
        if self.pass_to_boundary(start) {
            self.seeking = None;
            self.finished = self.offset >= self.end;
        } else {
            let next = self.offset + self.pending.len() as u64;
            self.finished = self.input_ended || next > self.end;
        }
    }

    /// One step through an object that began at `began` and is too long to hold.
    fn skip(&mut self, began: u64) -> Option<Block> {
        let found = self.pass_to_boundary(began + 1);
        if !found && !self.input_ended {
            return None;
        }
        if !found {
            self.advance(self.pending.len());
        }
        self.skipping = None;
        self.finished = self.offset >= self.end || !found;
        Some(Block::TooLarge { offset: began, len: self.offset - began })
    }

    /// A block, if what is pending holds one.
    fn cut(&mut self) -> Option<Block> {
        let end = self.index(self.end);
        if end < self.pending.len()
            && let Some(stop) = first_boundary(&self.pending, end.max(self.searched))
        {
            self.finished = true;
            return Some(self.take(stop));
        }
        if self.input_ended {
            self.finished = true;
            return (!self.pending.is_empty()).then(|| self.take(self.pending.len()));
        }
        let floor = self.searched.saturating_sub(1);
        if let Some(at) = last_boundary(&self.pending, floor).filter(|&at| at > 0) {
            return Some(self.take(at));
        }
        self.searched = self.pending.len();
        if self.pending.len() > self.sizes.max_object {
            self.skipping = Some(self.offset);
        }
        None
    }

    /// Hands on the first `n` pending bytes.
    fn take(&mut self, n: usize) -> Block {
        let rest = self.pending.split_off(n);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let offset = self.offset;
        self.offset += n as u64;
        self.searched = 0;
        Block::Objects { offset, bytes }
    }
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.finished {
            if !self.input_ended {
                self.fill();
            }
            if let Some(start) = self.seeking {
                self.seek_start(start);
                if self.seeking.is_some() || self.finished {
                    continue;
                }
            }
            let block = match self.skipping {
                Some(began) => self.skip(began),
                None => self.cut(),
            };
            if block.is_some() {
                return block.map(Ok);
            }
        }
        self.error.take().map(Err)
    }
}
