//! RLP: one encoding for each value, and a decoder that accepts only that one.
//!
//! Source: Ethereum Yellow Paper, appendix B. Made for the bytes of strangers: every length is checked before anything is copied,
//! nesting and the number of items are bounded, and a form that is not canonical is refused.

use std::fmt;

/// Strings and lists up to here have their length in the prefix.
const SHORT_MAX: usize = 55;
const STRING: u8 = 0x80;
const LIST: u8 = 0xc0;

/// Nesting beyond which nothing is decoded or encoded, whatever a caller allows: the stack's bound.
pub const DEPTH_MAX: usize = 256;

/// Why bytes are not canonical RLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Missing,
    LengthCutOff,
    LengthWithLeadingZeros,
    LongFormOfShort(usize),
    /// An item's length, which may be more than a machine can address, and the bytes that are left for it.
    CutOff(u64, usize),
    SingleByteWithPrefix,
    TooManyItems,
    TooDeep,
    Trailing(usize),
}

impl fmt::Display for Malformed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(to, "rlp: an item is missing at the end"),
            Self::LengthCutOff => write!(to, "rlp: a length is cut off"),
            Self::LengthWithLeadingZeros => write!(to, "rlp: a length has leading zeros"),
            Self::LongFormOfShort(length) => {
                write!(to, "rlp: a length of {length} is written in the long form")
            }
            Self::CutOff(length, left) => {
                write!(to, "rlp: an item of {length} bytes where {left} are left")
            }
            Self::SingleByteWithPrefix => {
                write!(to, "rlp: a single byte below 0x80 carries a prefix")
            }
            Self::TooManyItems => write!(to, "rlp: too many items"),
            Self::TooDeep => write!(to, "rlp: lists are nested too deeply"),
            Self::Trailing(count) => {
                write!(to, "rlp: {count} bytes after the end of the value")
            }
        }
    }
}

impl std::error::Error for Malformed {}

/// Where an item's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub is_list: bool,
    pub start: usize,
    pub end: usize,
}

/// Find the content of the item at `start`, which has to end at or before `end`, without looking into it.
pub fn span(data: &[u8], start: usize, end: usize) -> Result<Span, Malformed> {
    let item = data.get(start..end).ok_or(Malformed::Missing)?;
    let (&first, rest) = item.split_first().ok_or(Malformed::Missing)?;
    if first < STRING {
        return Ok(Span {
            is_list: false,
            start,
            end: start + 1,
        });
    }
    let is_list = first >= LIST;
    let short = usize::from(first - if is_list { LIST } else { STRING });
    let (length, length_bytes) = if short <= SHORT_MAX {
        (short, 0)
    } else {
        let size = short - SHORT_MAX;
        let written = rest.get(..size).ok_or(Malformed::LengthCutOff)?;
        (long_length(written, rest.len() - size)?, size)
    };
    let left = rest.len() - length_bytes;
    if length > left {
        return Err(Malformed::CutOff(length as u64, left));
    }
    let content = start + 1 + length_bytes;
    if !is_list && length == 1 && data[content] < STRING {
        return Err(Malformed::SingleByteWithPrefix);
    }
    Ok(Span {
        is_list,
        start: content,
        end: content + length,
    })
}

/// The length that one to eight bytes say.
fn long_length(written: &[u8], left: usize) -> Result<usize, Malformed> {
    if written.first() == Some(&0) {
        return Err(Malformed::LengthWithLeadingZeros);
    }
    let length = written
        .iter()
        .fold(0u64, |length, &byte| length << 8 | u64::from(byte));
    let length = usize::try_from(length).map_err(|_| Malformed::CutOff(length, left))?;
    if length <= SHORT_MAX {
        return Err(Malformed::LongFormOfShort(length));
    }
    Ok(length)
}

/// Makes values of what a decoder finds.
pub trait Build {
    type Value;
    type Error: From<Malformed>;

    fn string(&self, content: &[u8]) -> Result<Self::Value, Self::Error>;
    fn list(&self, items: Vec<Self::Value>) -> Result<Self::Value, Self::Error>;
}

/// How much one value may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Strings and lists.
    pub items: usize,
    /// Lists in lists, and never more than [`DEPTH_MAX`].
    pub depth: usize,
}

/// Build the value of canonical RLP; anything else is refused, trailing bytes included.
pub fn decode<B: Build>(data: &[u8], limits: Limits, build: &B) -> Result<B::Value, B::Error> {
    let mut items_left = limits.items;
    let depth = limits.depth.min(DEPTH_MAX);
    let (value, end) = decode_item(data, 0, data.len(), depth, &mut items_left, build)?;
    if end != data.len() {
        return Err(Malformed::Trailing(data.len() - end).into());
    }
    Ok(value)
}

fn decode_item<B: Build>(
    data: &[u8],
    start: usize,
    end: usize,
    depth: usize,
    items_left: &mut usize,
    build: &B,
) -> Result<(B::Value, usize), B::Error> {
    let found = span(data, start, end)?;
    *items_left = items_left.checked_sub(1).ok_or(Malformed::TooManyItems)?;
    if !found.is_list {
        return Ok((build.string(&data[found.start..found.end])?, found.end));
    }
    let below = depth.checked_sub(1).ok_or(Malformed::TooDeep)?;
    let mut items = Vec::new();
    let mut position = found.start;
    while position < found.end {
        let (item, after) = decode_item(data, position, found.end, below, items_left, build)?;
        items.push(item);
        position = after;
    }
    Ok((build.list(items)?, found.end))
}

/// Append the encoding of a string.
pub fn encode_string(content: &[u8], to: &mut Vec<u8>) {
    if content.len() != 1 || content[0] >= STRING {
        put_prefix(content.len(), STRING, to);
    }
    to.extend_from_slice(content);
}

/// Append the prefix of a list whose encoded items have so many bytes.
pub fn encode_list_prefix(length: usize, to: &mut Vec<u8>) {
    put_prefix(length, LIST, to);
}

/// Make a list of the encoded items that `to` has from `start` on.
pub fn close_list(start: usize, to: &mut Vec<u8>) {
    let end = to.len();
    encode_list_prefix(end - start, to);
    let prefix_bytes = to.len() - end;
    to[start..].rotate_right(prefix_bytes);
}

fn put_prefix(length: usize, kind: u8, to: &mut Vec<u8>) {
    if let Ok(short) = u8::try_from(length)
        && length <= SHORT_MAX
    {
        to.push(kind + short);
        return;
    }
    let bytes = (length as u64).to_be_bytes();
    let zeros = length.leading_zeros() as usize / 8;
    // A length has at most eight bytes: 0xbf and 0xff at most.
    to.push(kind + SHORT_MAX as u8 + (8 - zeros) as u8);
    to.extend_from_slice(&bytes[zeros..]);
}

/// The string that RLP uses for a number: big-endian without leading zeros, empty for zero.
pub fn number_bytes(big_endian: &[u8]) -> &[u8] {
    let zeros = big_endian.iter().take_while(|&&byte| byte == 0).count();
    &big_endian[zeros..]
}

/// Why a string is not a number of some bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotANumber {
    LeadingZeros,
    TooManyBytes(usize),
    TooManyBits(usize),
}

/// Check that a string is a number of at most so many bits.
pub fn check_number(content: &[u8], bits: usize) -> Result<(), NotANumber> {
    let Some(&first) = content.first() else {
        return Ok(());
    };
    if first == 0 {
        return Err(NotANumber::LeadingZeros);
    }
    if content.len() > bits.div_ceil(8) {
        return Err(NotANumber::TooManyBytes(content.len()));
    }
    let found = content.len() * 8 - first.leading_zeros() as usize;
    if found > bits {
        return Err(NotANumber::TooManyBits(found));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Value {
        Text(Vec<u8>),
        List(Vec<Value>),
    }

    struct Values;

    impl Build for Values {
        type Value = Value;
        type Error = Malformed;

        fn string(&self, content: &[u8]) -> Result<Value, Malformed> {
            Ok(Value::Text(content.to_vec()))
        }

        fn list(&self, items: Vec<Value>) -> Result<Value, Malformed> {
            Ok(Value::List(items))
        }
    }

    const LIMITS: Limits = Limits {
        items: 1_000,
        depth: 16,
    };

    fn read(data: &[u8]) -> Result<Value, Malformed> {
        decode(data, LIMITS, &Values)
    }

    fn write(value: &Value, to: &mut Vec<u8>) {
        match value {
            Value::Text(content) => encode_string(content, to),
            Value::List(items) => {
                let start = to.len();
                for item in items {
                    write(item, to);
                }
                close_list(start, to);
            }
        }
    }

    fn written(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(value, &mut bytes);
        bytes
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = proptest::collection::vec(any::<u8>(), 0..80).prop_map(Value::Text);
        text.prop_recursive(6, 40, 6, |inner| {
            proptest::collection::vec(inner, 0..6).prop_map(Value::List)
        })
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_to_itself(value in values()) {
            prop_assert_eq!(read(&written(&value)), Ok(value));
        }

        #[test]
        fn bytes_that_decode_are_the_canonical_encoding(data in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(value) = read(&data) {
                prop_assert_eq!(written(&value), data);
            }
        }

        #[test]
        fn a_changed_encoding_is_another_value_or_refused(value in values(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut data = written(&value);
            let at = at.index(data.len());
            data[at] = byte;
            if let Ok(found) = read(&data) {
                prop_assert_eq!(written(&found), data);
            }
        }

        #[test]
        fn a_string_is_encoded_as_others_encode_it(content in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = Vec::new();
            encode_string(&content, &mut bytes);
            prop_assert_eq!(bytes, alloy_rlp::encode(content.as_slice()));
        }

        #[test]
        fn numbers_are_those_of_others(number in any::<u64>(), bits in 0usize..80) {
            let big_endian = number.to_be_bytes();
            let content = number_bytes(&big_endian);
            let mut bytes = Vec::new();
            encode_string(content, &mut bytes);
            prop_assert_eq!(bytes, alloy_rlp::encode(number));
            let fits = bits >= 64 || number >> bits == 0;
            prop_assert_eq!(check_number(content, bits).is_ok(), fits);
        }
    }

    #[test]
    fn every_span_of_any_bytes_lies_within_them() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let data = [
                    first, second, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                ];
                for end in 0..=data.len() {
                    if let Ok(found) = span(&data, 0, end) {
                        assert!(found.start <= found.end && found.end <= end);
                    }
                }
            }
        }
        assert_eq!(span(&[0x80], 1, 0), Err(Malformed::Missing));
        assert_eq!(span(&[0x80], 0, 2), Err(Malformed::Missing));
        assert_eq!(
            span(&[0x80], usize::MAX, usize::MAX),
            Err(Malformed::Missing)
        );
    }

    #[test]
    fn each_bad_form_has_its_reason() {
        let long = [&[0xb9, 0x00, 0x38][..], &[0; 56]].concat();
        let could_be_short = [&[0xb8, 0x37][..], &[0; 55]].concat();
        for (data, reason) in [
            (&b""[..], Malformed::Missing),
            (b"\x81\x7f", Malformed::SingleByteWithPrefix),
            (b"\xb8", Malformed::LengthCutOff),
            (b"\xb8\x00", Malformed::LengthWithLeadingZeros),
            (&long, Malformed::LengthWithLeadingZeros),
            (&could_be_short, Malformed::LongFormOfShort(55)),
            (b"\xb8\x01\x00", Malformed::LongFormOfShort(1)),
            (
                b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff",
                Malformed::CutOff(u64::MAX, 0),
            ),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                Malformed::CutOff(u64::MAX, 0),
            ),
            (b"\xc2\x82\x00", Malformed::CutOff(2, 1)),
            (b"\xc1", Malformed::CutOff(1, 0)),
            (b"\x80\x80\x80", Malformed::Trailing(2)),
        ] {
            assert_eq!(read(data), Err(reason), "{data:02x?}");
        }
    }

    #[test]
    fn depth_and_items_are_bounded() {
        let mut deep = vec![0xc0];
        for _ in 0..100_000 {
            close_list(0, &mut deep);
        }
        let endless = Limits {
            items: usize::MAX,
            depth: usize::MAX,
        };
        assert_eq!(
            decode(&deep, endless, &Values).err(),
            Some(Malformed::TooDeep)
        );

        let eleven = Value::List(vec![Value::Text(vec![]); 11]);
        let limits = |items, depth| Limits { items, depth };
        let data = written(&eleven);
        assert_eq!(decode(&data, limits(12, 1), &Values), Ok(eleven));
        assert_eq!(
            decode(&data, limits(11, 1), &Values),
            Err(Malformed::TooManyItems)
        );
        assert_eq!(
            decode(&data, limits(12, 0), &Values),
            Err(Malformed::TooDeep)
        );
        assert_eq!(
            decode(&data, limits(0, 0), &Values),
            Err(Malformed::TooManyItems)
        );
    }
}
