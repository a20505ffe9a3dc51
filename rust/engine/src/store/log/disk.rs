//! The log in segment files: `00000000.log`, `00000001.log`, ... A segment begins with its magic and number.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};

use super::{
    Location, Position,
    record::{
        FRAME_BYTES, HEAD_READ_BYTES, decode_header, frame_length, holds_a_frame, whole_frame,
    },
};
use crate::{EngineError, Result};

const SEGMENT_MAGIC: [u8; 8] = *b"MNLOG\x00\x00\x01";
/// Magic and segment number.
const SEGMENT_HEADER_BYTES: u64 = 12;
/// A new segment begins after this many bytes: files that can be copied and checked one by one.
const SEGMENT_BYTES: u64 = 256 << 20;

pub(crate) struct DiskLog {
    directory: PathBuf,
    segments: RwLock<HashMap<u32, Arc<File>>>,
    end: Mutex<End>,
}

/// Where the next record goes.
struct End {
    position: Position,
    file: Arc<File>,
    /// Set when the file may hold what we did not mean to write; nothing is appended after that.
    failed: Option<EngineError>,
    synced: bool,
}

impl DiskLog {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .map_err(|error| fault("create the directory", &error))?;
        let mut numbers = Vec::new();
        let entries = std::fs::read_dir(directory).map_err(|error| fault("list", &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| fault("list", &error))?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
            if let Some(number) = number.and_then(|digits| digits.parse::<u32>().ok()) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        if let Some(missing) = (0..).zip(&numbers).find(|(at, number)| at != *number) {
            let missing = missing.0;
            return Err(EngineError::Corruption(format!(
                "segment {missing} of the block log is missing"
            )));
        }
        let mut segments = HashMap::new();
        for number in &numbers {
            let is_last = Some(number) == numbers.last();
            let file = open_segment(directory, *number, is_last)?;
            segments.insert(*number, Arc::new(file));
        }
        let last = match numbers.last() {
            Some(last) => *last,
            None => {
                segments.insert(0, Arc::new(open_segment(directory, 0, true)?));
                0
            }
        };
        let file = Arc::clone(&segments[&last]);
        let offset = length_of(&file)?;
        Ok(Self {
            directory: directory.to_path_buf(),
            segments: RwLock::new(segments),
            end: Mutex::new(End {
                position: Position {
                    segment: last,
                    offset,
                },
                file,
                failed: None,
                synced: true,
            }),
        })
    }

    pub(crate) fn recover(&self, from: Position) -> Result<Vec<Location>> {
        let last = self.end.lock().position;
        if from > last {
            return Err(EngineError::Corruption(format!(
                "the block log ends at {last:?}, before what the state was made from ({from:?})"
            )));
        }
        let mut found = Vec::new();
        for segment in from.segment..=last.segment {
            let file = self.segment(segment)?;
            let mut offset = SEGMENT_HEADER_BYTES;
            if segment == from.segment {
                offset = offset.max(from.offset);
            }
            let length = length_of(&file)?;
            while offset < length {
                match read_frame(&file, offset, length)? {
                    Some(bytes) => {
                        found.push(Location {
                            segment,
                            offset,
                            length: bytes,
                        });
                        offset += u64::from(bytes);
                    }
                    None if segment == last.segment && is_torn_tail(&file, offset, length)? => {
                        self.cut(Position { segment, offset })?;
                        break;
                    }
                    None => {
                        return Err(EngineError::Corruption(format!(
                            "segment {segment} of the block log is damaged at byte {offset}, with blocks after it"
                        )));
                    }
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn append(&self, frame: &[u8]) -> Result<Location> {
        let mut end = self.end.lock();
        if let Some(error) = &end.failed {
            return Err(error.clone());
        }
        if end.position.offset >= SEGMENT_BYTES {
            end.file
                .sync_data()
                .map_err(|error| fault("sync", &error))?;
            let segment = end.position.segment + 1;
            let file = Arc::new(open_segment(&self.directory, segment, true)?);
            self.segments.write().insert(segment, Arc::clone(&file));
            end.file = file;
            end.position = Position {
                segment,
                offset: SEGMENT_HEADER_BYTES,
            };
        }
        let position = end.position;
        if let Err(error) = end.file.write_all_at(frame, position.offset) {
            let error = fault("append", &error);
            // Half a record must not stay before the next one.
            if end.file.set_len(position.offset).is_err() {
                end.failed = Some(error.clone());
            }
            return Err(error);
        }
        end.synced = false;
        end.position.offset += frame.len() as u64;
        Ok(Location {
            segment: position.segment,
            offset: position.offset,
            length: frame.len() as u32,
        })
    }

    pub(crate) fn sync(&self) -> Result<()> {
        let mut end = self.end.lock();
        if let Some(error) = &end.failed {
            return Err(error.clone());
        }
        if !end.synced {
            if let Err(error) = end.file.sync_data() {
                // After a failed sync the kernel may have dropped the pages: a second try would lie.
                let error = fault("sync", &error);
                end.failed = Some(error.clone());
                return Err(error);
            }
            end.synced = true;
        }
        Ok(())
    }

    pub(crate) fn read(&self, location: Location) -> Result<Vec<u8>> {
        self.read_front(location, location.length as usize)
    }

    pub(crate) fn read_header(&self, location: Location) -> Result<Vec<u8>> {
        let length = (location.length as usize).min(HEAD_READ_BYTES);
        decode_header(&self.read_front(location, length)?)
    }

    fn read_front(&self, location: Location, length: usize) -> Result<Vec<u8>> {
        let file = self.segment(location.segment)?;
        let mut bytes = vec![0; length];
        match file.read_exact_at(&mut bytes, location.offset) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(EngineError::Corruption(format!(
                    "the block log ends before the record at {location:?}"
                )))
            }
            Err(error) => Err(fault("read", &error)),
        }
    }

    pub(crate) fn cut(&self, position: Position) -> Result<()> {
        let mut end = self.end.lock();
        for segment in position.segment + 1..=end.position.segment {
            self.segments.write().remove(&segment);
            std::fs::remove_file(segment_path(&self.directory, segment))
                .map_err(|error| fault("remove a segment", &error))?;
        }
        let file = self.segment(position.segment)?;
        let offset = position.offset.max(SEGMENT_HEADER_BYTES);
        file.set_len(offset)
            .and_then(|()| file.sync_all())
            .map_err(|error| fault("cut", &error))?;
        sync_directory(&self.directory)?;
        end.position = Position {
            segment: position.segment,
            offset,
        };
        end.file = file;
        end.synced = true;
        Ok(())
    }

    pub(crate) fn bytes(&self) -> u64 {
        let segments = self.segments.read();
        let lengths = segments.values().map(|file| length_of(file).unwrap_or(0));
        lengths.sum()
    }

    fn segment(&self, number: u32) -> Result<Arc<File>> {
        let file = self.segments.read().get(&number).cloned();
        file.ok_or_else(|| {
            EngineError::Corruption(format!("segment {number} of the block log is missing"))
        })
    }
}

/// Open a segment, making it when it is not there. The last one may have been torn while it was made.
fn open_segment(directory: &Path, number: u32, may_be_new: bool) -> Result<File> {
    let path = segment_path(directory, number);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(may_be_new)
        .truncate(false)
        .open(&path)
        .map_err(|error| fault("open a segment", &error))?;
    let mut expected = SEGMENT_MAGIC.to_vec();
    expected.extend_from_slice(&number.to_le_bytes());
    let length = length_of(&file)?;
    if may_be_new && length < SEGMENT_HEADER_BYTES {
        file.set_len(0)
            .and_then(|()| file.write_all(&expected))
            .and_then(|()| file.sync_all())
            .map_err(|error| fault("begin a segment", &error))?;
        sync_directory(directory)?;
        return Ok(file);
    }
    let mut header = Vec::new();
    (&file)
        .take(SEGMENT_HEADER_BYTES)
        .read_to_end(&mut header)
        .map_err(|error| fault("read", &error))?;
    if header != expected {
        return Err(EngineError::Corruption(format!(
            "{} is not segment {number} of a block log of this version",
            path.display()
        )));
    }
    Ok(file)
}

/// The length of the valid frame at `offset`.
fn read_frame(file: &File, offset: u64, end: u64) -> Result<Option<u32>> {
    let mut front = [0; FRAME_BYTES];
    if offset + FRAME_BYTES as u64 > end {
        return Ok(None);
    }
    file.read_exact_at(&mut front, offset)
        .map_err(|error| fault("read", &error))?;
    let Some(length) = frame_length(&front) else {
        return Ok(None);
    };
    if offset + length as u64 > end {
        return Ok(None);
    }
    let mut frame = vec![0; length];
    file.read_exact_at(&mut frame, offset)
        .map_err(|error| fault("read", &error))?;
    Ok(whole_frame(&frame).map(|length| length as u32))
}

/// Whether nothing valid follows: then the damage at `offset` is a write that a crash cut short.
fn is_torn_tail(file: &File, offset: u64, end: u64) -> Result<bool> {
    let mut tail = vec![0; (end - offset) as usize];
    file.read_exact_at(&mut tail, offset)
        .map_err(|error| fault("read", &error))?;
    Ok(!holds_a_frame(&tail))
}

fn segment_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:08}.log"))
}

fn length_of(file: &File) -> Result<u64> {
    let metadata = file.metadata().map_err(|error| fault("inspect", &error))?;
    Ok(metadata.len())
}

fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| fault("sync the directory", &error))
}

fn fault(what: &str, error: &std::io::Error) -> EngineError {
    EngineError::Storage(format!("{what} (block log): {error}"))
}
