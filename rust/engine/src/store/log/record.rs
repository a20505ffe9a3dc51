//! A block as a checksummed frame.
//!
//! Frame: magic (4), length of the payload (4), CRC-32 of length and payload (4), payload. Payload: CRC-32 of the head (4), length of
//! the head as stored (4), head, body. Head: number (8), raw length (4), header RLP. Body: raw length (4), fields. Header and
//! fields are LZ4 where that is shorter. Numbers are little-endian.

use alloy_primitives::{Address, Bytes};

use crate::{EngineError, Result};

const MAGIC: [u8; 4] = *b"MNB1";
/// Magic, length, checksum.
pub(crate) const FRAME_BYTES: usize = 12;
/// Far over any block within the protocol's size cap, with its receipts; a longer record is damage.
const PAYLOAD_BYTES_MAX: usize = 1 << 30;
/// What of a frame is read at first when only the header is asked for: holds every header there is.
pub(crate) const HEAD_READ_BYTES: usize = 4 << 10;

/// A block in the parts the log keeps it in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) header: Bytes,
    /// The RLP of transactions, ommers and withdrawals, as they follow the header in a block.
    pub(crate) rest: Bytes,
    pub(crate) senders: Vec<Address>,
    pub(crate) requests: Vec<Bytes>,
    /// The RLP list of receipts.
    pub(crate) receipts: Bytes,
}

impl Record {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(
            self.rest.len() + self.receipts.len() + 20 * self.senders.len() + 16,
        );
        put_field(&mut fields, &self.rest);
        put_field(&mut fields, &self.receipts);
        let senders: Vec<u8> = self.senders.iter().flatten().copied().collect();
        put_field(&mut fields, &senders);
        for request in &self.requests {
            put_field(&mut fields, request);
        }

        let mut head = self.number.to_le_bytes().to_vec();
        put_packed(&mut head, &self.header);
        let mut frame = vec![0; FRAME_BYTES];
        frame.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
        frame.extend_from_slice(&(head.len() as u32).to_le_bytes());
        frame.append(&mut head);
        put_packed(&mut frame, &fields);

        let length = (frame.len() - FRAME_BYTES) as u32;
        let checksum = checksum(length, &frame[FRAME_BYTES..]);
        frame[..4].copy_from_slice(&MAGIC);
        frame[4..8].copy_from_slice(&length.to_le_bytes());
        frame[8..12].copy_from_slice(&checksum.to_le_bytes());
        frame
    }

    /// Decode a whole frame, all checks made.
    pub(crate) fn decode(frame: &[u8]) -> Result<Self> {
        if whole_frame(frame) != Some(frame.len()) {
            return Err(damaged("checksum"));
        }
        let mut input = &frame[FRAME_BYTES..];
        let (number, header) = take_head(&mut input)?;
        let fields = unpack(input)?;
        let mut input = &fields[..];
        let rest = take_field(&mut input)?;
        let receipts = take_field(&mut input)?;
        let senders = take_field(&mut input)?;
        if !senders.len().is_multiple_of(20) {
            return Err(damaged("senders"));
        }
        let senders = senders.chunks_exact(20).map(Address::from_slice).collect();
        let mut requests = Vec::new();
        while !input.is_empty() {
            requests.push(take_field(&mut input)?);
        }
        Ok(Self {
            number,
            header: header.into(),
            rest,
            senders,
            requests,
            receipts,
        })
    }
}

/// The header out of the front of a frame, checked by the head's own checksum.
pub(crate) fn decode_header(front: &[u8]) -> Result<Vec<u8>> {
    let mut input = front
        .get(FRAME_BYTES..)
        .ok_or_else(|| damaged("too short"))?;
    Ok(take_head(&mut input)?.1)
}

/// The length of the valid frame that `bytes` begins with; `None` when there is none.
pub(crate) fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let length = frame_length(bytes)?;
    let payload = bytes.get(FRAME_BYTES..length)?;
    let stated = u32::from_le_bytes(bytes[8..12].try_into().ok()?);
    (checksum(payload.len() as u32, payload) == stated).then_some(length)
}

/// The length is covered too: or a magic with zeros after it would be a valid record of nothing.
fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The length that the frame's front states; `None` when it is no front of a frame.
pub(crate) fn frame_length(front: &[u8]) -> Option<usize> {
    if front.get(..4)? != MAGIC {
        return None;
    }
    let length = u32::from_le_bytes(front.get(4..8)?.try_into().ok()?) as usize;
    (length <= PAYLOAD_BYTES_MAX).then_some(FRAME_BYTES + length)
}

/// Whether a valid frame begins anywhere in `bytes`.
pub(crate) fn holds_a_frame(bytes: &[u8]) -> bool {
    bytes
        .windows(MAGIC.len())
        .enumerate()
        .any(|(at, window)| window == MAGIC && whole_frame(&bytes[at..]).is_some())
}

fn take_head(input: &mut &[u8]) -> Result<(u64, Vec<u8>)> {
    let checksum = take_number(input)?;
    let length = take_number(input)? as usize;
    let (head, rest) = input
        .split_at_checked(length)
        .ok_or_else(|| damaged("head"))?;
    if crc32fast::hash(head) != checksum || head.len() < 8 {
        return Err(damaged("head checksum"));
    }
    *input = rest;
    let (number, packed) = head.split_at(8);
    let number = number.try_into().map(u64::from_le_bytes);
    Ok((number.map_err(|_| damaged("number"))?, unpack(packed)?))
}

/// The raw length, and the bytes themselves or shorter.
fn put_packed(out: &mut Vec<u8>, bytes: &[u8]) {
    let packed = lz4_flex::block::compress(bytes);
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    if packed.len() < bytes.len() {
        out.extend_from_slice(&packed);
    } else {
        out.extend_from_slice(bytes);
    }
}

fn unpack(mut packed: &[u8]) -> Result<Vec<u8>> {
    let length = take_number(&mut packed)? as usize;
    if length > PAYLOAD_BYTES_MAX {
        return Err(damaged("length"));
    }
    if packed.len() == length {
        return Ok(packed.to_vec());
    }
    let raw = lz4_flex::block::decompress(packed, length).map_err(|_| damaged("compression"))?;
    if raw.len() == length {
        Ok(raw)
    } else {
        Err(damaged("raw length"))
    }
}

fn put_field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn take_field(input: &mut &[u8]) -> Result<Bytes> {
    let length = take_number(input)? as usize;
    let (field, rest) = input
        .split_at_checked(length)
        .ok_or_else(|| damaged("field"))?;
    *input = rest;
    Ok(Bytes::copy_from_slice(field))
}

fn take_number(input: &mut &[u8]) -> Result<u32> {
    let (number, rest) = input
        .split_first_chunk::<4>()
        .ok_or_else(|| damaged("too short"))?;
    *input = rest;
    Ok(u32::from_le_bytes(*number))
}

fn damaged(what: &str) -> EngineError {
    EngineError::Corruption(format!("a record of the block log is damaged ({what})"))
}
