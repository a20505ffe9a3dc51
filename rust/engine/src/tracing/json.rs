//! Small parts of JSON texts, written without going through values.

use alloy_primitives::{U256, hex};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::EngineError;

/// Write a value of plain fields; an error would be a fault of the serializer.
pub(super) fn write<T: Serialize + ?Sized>(value: &T) -> Result<Box<RawValue>, EngineError> {
    to_raw_value(value).map_err(|error| EngineError::Storage(format!("a trace as JSON: {error}")))
}

/// Take a finished text as it is.
pub(super) fn raw(text: String) -> Result<Box<RawValue>, EngineError> {
    RawValue::from_string(text)
        .map_err(|error| EngineError::Storage(format!("a trace as JSON: {error}")))
}

pub(super) fn push_number(out: &mut String, number: u64) {
    let mut buffer = [0_u8; 20];
    let mut at = buffer.len();
    let mut rest = number;
    loop {
        at -= 1;
        // A digit fits into a byte.
        buffer[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push_str(str::from_utf8(&buffer[at..]).unwrap_or_default());
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn push_byte(out: &mut String, byte: u8) {
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// `"0x"` and the number without leading zeros, in quotes.
pub(super) fn push_quantity(out: &mut String, number: U256) {
    out.push_str("\"0x");
    let bytes = number.to_be_bytes::<32>();
    match bytes.iter().position(|byte| *byte != 0) {
        None => out.push('0'),
        Some(first) => {
            if bytes[first] < 16 {
                out.push(char::from(DIGITS[usize::from(bytes[first])]));
            } else {
                push_byte(out, bytes[first]);
            }
            bytes[first + 1..]
                .iter()
                .for_each(|byte| push_byte(out, *byte));
        }
    }
    out.push('"');
}

/// `"0x"` and all bytes, in quotes.
pub(super) fn push_data(out: &mut String, data: &[u8]) {
    out.push_str("\"0x");
    out.push_str(&hex::encode(data));
    out.push('"');
}

/// A text of our own making, quoted.
pub(super) fn push_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_the_formatter_writes_them(number: u64, limbs: [u64; 4]) {
            let mut out = String::new();
            push_number(&mut out, number);
            prop_assert_eq!(&out, &number.to_string());
            let wide = U256::from_limbs(limbs);
            for number in [wide, U256::from(number), U256::from(number % 16), U256::ZERO] {
                let mut out = String::new();
                push_quantity(&mut out, number);
                prop_assert_eq!(out, format!("\"{number:#x}\""));
            }
        }
    }
}
