//! The text inside revert data: `Error(string)` and `Panic(uint256)` of Solidity and Vyper.

use alloy_sol_types::{Panic, Revert, SolError};

/// Give the reason that a contract stated, or `None` for custom errors and other data.
pub(crate) fn decode(output: &[u8]) -> Option<String> {
    if let Ok(revert) = Revert::abi_decode(output) {
        return Some(revert.reason);
    }
    let panic = Panic::abi_decode(output).ok()?;
    let text = match u64::try_from(panic.code).ok() {
        Some(0x00) => "generic panic",
        Some(0x01) => "assert(false)",
        Some(0x11) => "arithmetic underflow or overflow",
        Some(0x12) => "division or modulo by zero",
        Some(0x21) => "enum overflow",
        Some(0x22) => "invalid encoded storage byte array accessed",
        Some(0x31) => "out-of-bounds array access; popping on an empty array",
        Some(0x32) => "out-of-bounds access of an array or bytesN",
        Some(0x41) => "out of memory",
        Some(0x51) => "uninitialized function",
        _ => return Some(format!("unknown panic code: {:#x}", panic.code)),
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{U256, hex};

    use super::*;

    #[test]
    fn a_reason_is_read_from_error_and_panic_and_from_nothing_else() {
        let panic = |code: u64| Panic::from(U256::from(code)).abi_encode();
        let cases = [
            (
                Revert::from("user error").abi_encode(),
                Some("user error"),
            ),
            // The official case: a string that ends where the data ends, without padding.
            (
                hex!("08c379a00000000000000000000000000000000000000000000000000000000000000020000000000000000000000000000000000000000000000000000000000000000a75736572206572726f72").to_vec(),
                Some("user error"),
            ),
            (panic(0x01), Some("assert(false)")),
            (panic(0x11), Some("arithmetic underflow or overflow")),
            (panic(0x12), Some("division or modulo by zero")),
            (panic(0x32), Some("out-of-bounds access of an array or bytesN")),
            (panic(0x99), Some("unknown panic code: 0x99")),
            (Vec::new(), None),
            (hex!("08c379a0").to_vec(), None),
            (hex!("deadbeef").to_vec(), None),
            (hex!("08c379a0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff").to_vec(), None),
        ];
        for (output, expected) in cases {
            assert_eq!(
                decode(&output).as_deref(),
                expected,
                "{}",
                hex::encode(&output)
            );
        }
    }
}
