//! Ranged reads with read-ahead and budgets. What was read is also exactly what `ffprobe` gets to see.

use super::{ProbeError, Refusal};
use bytes::Bytes;
use std::{future::Future, io};

/// An object of known size that can be read in ranges.
pub trait RangeReader: Sync {
    /// The object's size in bytes; every read must be of that same version of the object.
    fn size(&self) -> u64;

    /// Exactly the `len` bytes at `offset`; never asked beyond [`size`](Self::size), nor for 0 bytes.
    ///
    /// # Errors
    /// When storage fails. Retries are the reader's own business.
    fn read(&self, offset: u64, len: u64) -> impl Future<Output = io::Result<Bytes>> + Send;
}

/// Bytes read beyond what was asked, since the next header is often near and a request costs milliseconds.
const READ_AHEAD: u64 = 64 << 10;
/// Most requests for one probe: at 15 ms each, 4 of the 7 seconds.
pub(super) const MAX_READS: u32 = 250;
/// Most bytes for one probe: the largest index, two windows of media, the end, and some reserve. They are held in memory
/// until they are in `ffprobe`'s scratch file, so this bounds what one probe takes of ours.
pub(super) const MAX_BYTES: u64 = 52 << 20;

/// A piece of the object.
pub(super) struct Block {
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
}

/// The object as the walkers see it.
pub(super) struct Source<'a, R> {
    reader: &'a R,
    size: u64,
    blocks: Vec<Block>,
    reads_left: u32,
    bytes_left: u64,
}

impl<'a, R: RangeReader> Source<'a, R> {
    pub(super) fn new(reader: &'a R) -> Self {
        let size = reader.size();
        Self { reader, size, blocks: Vec::new(), reads_left: MAX_READS, bytes_left: MAX_BYTES }
    }

    /// The object's size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How many requests may still be made.
    pub(super) fn reads_left(&self) -> u32 {
        self.reads_left
    }

    /// Size and everything that was read.
    pub(super) fn into_parts(self) -> (u64, Vec<Block>) {
        (self.size, self.blocks)
    }

    /// Exactly `len` bytes at `offset`.
    ///
    /// # Errors
    /// [`Refusal::Truncated`] beyond the end, [`Refusal::Damaged`] when the budget is used up: no sound file needs it.
    pub(super) async fn exactly(&mut self, offset: u64, len: u64) -> Result<Bytes, ProbeError> {
        let end = offset.checked_add(len).filter(|end| *end <= self.size);
        let Some(end) = end else {
            return Err(Refusal::Truncated("it ends within a header".into()).into());
        };
        if len == 0 {
            return Ok(Bytes::new());
        }
        for block in self.blocks.iter().rev() {
            if let Some(bytes) = block.slice(offset, end) {
                return Ok(bytes);
            }
        }
        let want = len.max(READ_AHEAD).min(self.size - offset).min(self.bytes_left.max(len));
        if self.reads_left == 0 || want > self.bytes_left {
            return Err(Refusal::Damaged("its parts are scattered beyond reason".into()).into());
        }
        self.reads_left -= 1;
        self.bytes_left -= want;
        let bytes = self.reader.read(offset, want).await.map_err(ProbeError::Reader)?;
        if bytes.len() as u64 != want {
            return Err(ProbeError::Reader(io::ErrorKind::UnexpectedEof.into()));
        }
        let block = Block { offset, bytes };
        let wanted = block.slice(offset, end).unwrap_or_default();
        self.blocks.push(block);
        Ok(wanted)
    }

    /// Up to `len` bytes at `offset`: fewer where the object ends.
    pub(super) async fn upto(&mut self, offset: u64, len: u64) -> Result<Bytes, ProbeError> {
        self.exactly(offset, len.min(self.size.saturating_sub(offset))).await
    }
}

impl Block {
    fn slice(&self, offset: u64, end: u64) -> Option<Bytes> {
        let from = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        let to = usize::try_from(end.checked_sub(self.offset)?).ok()?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}
