//! The block log: every decided block with its receipts, in order, append-only. It is the source of truth; all else in
//! the store can be computed again from it.
//!
//! A record is durable when `append` and `sync` returned. On opening, a record that was being written when the process or
//! the machine died is cut off; damage anywhere else is an error, never repaired silently.

mod disk;
mod record;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use parking_lot::RwLock;

use disk::DiskLog;
pub(crate) use record::Record;

use crate::{EngineError, Result};

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Location {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    /// Bytes of the whole frame.
    pub(crate) length: u32,
}

impl Location {
    pub(crate) fn end(&self) -> Position {
        Position {
            segment: self.segment,
            offset: self.offset + u64::from(self.length),
        }
    }

    /// Three little-endian base-128 numbers: short for the first gigabytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(10);
        for mut number in [u64::from(self.segment), self.offset, u64::from(self.length)] {
            while number >= 0x80 {
                out.push(number as u8 | 0x80);
                number >>= 7;
            }
            out.push(number as u8);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = || EngineError::Corruption("stored record: a place in the block log".into());
        let mut input = bytes.iter();
        let mut next = || {
            let mut number = 0u64;
            for shift in (0..63).step_by(7) {
                let byte = *input.next().ok_or_else(damaged)?;
                number |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    return Ok(number);
                }
            }
            Err(damaged())
        };
        let (segment, offset, length) = (next()?, next()?, next()?);
        Ok(Self {
            segment: u32::try_from(segment).map_err(|_| damaged())?,
            offset,
            length: u32::try_from(length).map_err(|_| damaged())?,
        })
    }
}

/// A place between records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
}

/// The log in files, or in memory for a store that keeps nothing.
pub(crate) enum BlockLog {
    Disk(DiskLog),
    Memory(RwLock<Vec<Arc<[u8]>>>),
}

impl BlockLog {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        DiskLog::open(path).map(Self::Disk)
    }

    pub(crate) fn in_memory() -> Self {
        Self::Memory(RwLock::default())
    }

    /// All records from `from` on; a torn last one is cut off the file.
    pub(crate) fn recover(&self, from: Position) -> Result<Vec<Location>> {
        match self {
            Self::Disk(log) => log.recover(from),
            Self::Memory(_) => Ok(Vec::new()),
        }
    }

    pub(crate) fn append(&self, record: &Record) -> Result<Location> {
        let frame = record.encode();
        match self {
            Self::Disk(log) => log.append(&frame),
            Self::Memory(records) => {
                let mut records = records.write();
                records.push(frame.into());
                Ok(Location {
                    segment: 0,
                    offset: records.len() as u64 - 1,
                    length: 1,
                })
            }
        }
    }

    /// Wait until everything appended is on disk.
    pub(crate) fn sync(&self) -> Result<()> {
        match self {
            Self::Disk(log) => log.sync(),
            Self::Memory(_) => Ok(()),
        }
    }

    pub(crate) fn read(&self, location: Location) -> Result<Record> {
        match self {
            Self::Disk(log) => Record::decode(&log.read(location)?),
            Self::Memory(_) => Record::decode(&self.in_memory_frame(location)?),
        }
    }

    /// The RLP of the header only, without reading the rest of a large block.
    pub(crate) fn read_header(&self, location: Location) -> Result<Vec<u8>> {
        match self {
            Self::Disk(log) => log.read_header(location),
            Self::Memory(_) => record::decode_header(&self.in_memory_frame(location)?),
        }
    }

    fn in_memory_frame(&self, location: Location) -> Result<Arc<[u8]>> {
        let Self::Memory(records) = self else {
            return Err(EngineError::Corruption("not an in-memory log".into()));
        };
        let records = records.read();
        let frame = records.get(location.offset as usize).cloned();
        frame.ok_or_else(|| EngineError::Corruption("the block log misses a record".into()))
    }

    /// Forget everything from `position` on.
    pub(crate) fn cut(&self, position: Position) -> Result<()> {
        match self {
            Self::Disk(log) => log.cut(position),
            Self::Memory(records) => {
                records.write().truncate(position.offset as usize);
                Ok(())
            }
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Disk(log) => log.bytes(),
            Self::Memory(records) => records.read().iter().map(|frame| frame.len() as u64).sum(),
        }
    }
}
