//! DATA as callers write it, read as strictly as nodes do, and with their words.

use alloy_primitives::{Bytes, hex};

/// Digits behind a `0x`; as in geth, a text of nothing is no bytes.
pub(crate) fn parse(text: &str) -> Result<Bytes, &'static str> {
    if text.is_empty() {
        return Ok(Bytes::new());
    }
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = digits.ok_or("hex string without 0x prefix")?;
    if digits.len() % 2 == 1 {
        return Err("hex string of odd length");
    }
    // The decoder takes a prefix of its own: of "0x0x01" it would make one byte.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("invalid hex string");
    }
    let bytes = hex::decode(digits).map_err(|_| "invalid hex string")?;
    Ok(bytes.into())
}
