//! Why a precompile refused its input, in go-ethereum's words: the EVM tells only that it did.

use alloy_primitives::{Address, U256, uint};

/// Prime of the field of BN254's coordinates.
const BN254_PRIME: U256 =
    uint!(21888242871839275222246405745257275088696311157297823662689037894645226208583_U256);
/// Prime of the field of BLS12-381's coordinates, big-endian.
const BLS12_381_PRIME: [u8; 48] = alloy_primitives::hex!(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab"
);
/// Longest operand of MODEXP (EIP-7823).
const MODEXP_BYTES_MAX: u64 = 1_024;
const PAIRING_BASE_GAS: u64 = 37_700;

/// The text of an error of a precompile that had enough gas by the EVM's reckoning.
pub(super) fn precompile_error(address: Address, input: &[u8], gas: u64) -> &'static str {
    let number = u16::from_be_bytes([address[18], address[19]]);
    match number {
        0x05 => modexp(input, gas),
        0x06 => points(&padded(input, 128)[..128], &[64]),
        0x07 => points(&padded(input, 64)[..64], &[64]),
        0x08 if !input.len().is_multiple_of(192) => "bad elliptic curve pairing size",
        0x08 => points(input, &[64, 128]),
        0x09 if input.len() != 213 => "invalid input length",
        0x09 => "invalid final flag",
        0x0a if input.len() != 192 => "invalid input length",
        0x0a => "mismatched versioned hash",
        0x0b => bls(input, input.len() == 256, &[64, 64, 64, 64]),
        0x0c => bls(input, is_many(input, 160), &[64, 64, 32]),
        0x0d => bls(input, input.len() == 512, &[64; 8]),
        0x0e => bls(input, is_many(input, 288), &[64, 64, 64, 64, 32]),
        // The price is asked first, and it has a base that no length changes.
        0x0f if gas < PAIRING_BASE_GAS => "out of gas",
        0x0f => bls(input, is_many(input, 384), &[64; 6]),
        0x10 => bls(input, input.len() == 64, &[64]),
        0x11 => bls(input, input.len() == 128, &[64, 64]),
        _ => "precompiled failed",
    }
}

fn is_many(input: &[u8], of: usize) -> bool {
    !input.is_empty() && input.len().is_multiple_of(of)
}

fn padded(input: &[u8], to: usize) -> Vec<u8> {
    let mut padded = input.to_vec();
    padded.resize(to, 0);
    padded
}

/// MODEXP refuses only long operands, and those that are longer still cost more than there is.
fn modexp(input: &[u8], gas: u64) -> &'static str {
    let lengths = padded(input, 96);
    let longest = lengths
        .chunks(32)
        .take(3)
        .map(U256::from_be_slice)
        .max()
        .unwrap_or_default();
    let words = longest.saturating_to::<u64>().div_ceil(8);
    let least = u128::from(words) * u128::from(words) * 2;
    if longest > U256::from(MODEXP_BYTES_MAX) && least <= u128::from(gas) {
        "one or more of base/exponent/modulus length exceeded 1024 bytes"
    } else {
        "out of gas"
    }
}

/// BN254: the first point that is none. `layout` is the sizes of points that repeat.
fn points(input: &[u8], layout: &[usize]) -> &'static str {
    let mut rest = input;
    for size in layout.iter().cycle() {
        let Some((point, after)) = rest
            .split_at_checked(*size)
            .filter(|(_, _)| !rest.is_empty())
        else {
            break;
        };
        rest = after;
        let coordinates: Vec<U256> = point.chunks(32).map(U256::from_be_slice).collect();
        if coordinates.iter().any(|one| *one >= BN254_PRIME) {
            return "invalid fp.Element encoding";
        }
        if let [x, y] = coordinates[..]
            && !is_on_curve(x, y)
        {
            break;
        }
    }
    "point is not on curve"
}

fn is_on_curve(x: U256, y: U256) -> bool {
    let multiply = |one: U256, other: U256| one.mul_mod(other, BN254_PRIME);
    let right = multiply(multiply(x, x), x).add_mod(U256::from(3), BN254_PRIME);
    (x.is_zero() && y.is_zero()) || multiply(y, y) == right
}

/// BLS12-381: lengths, then elements, then points. `layout` is what repeats: 64 bytes are an element of the field.
fn bls(input: &[u8], has_length: bool, layout: &[usize]) -> &'static str {
    if !has_length {
        return "invalid input length";
    }
    let mut rest = input;
    for size in layout.iter().cycle() {
        let Some((part, after)) = rest.split_at_checked(*size) else {
            break;
        };
        rest = after;
        if *size == 64 {
            let (top, element) = part.split_at(16);
            if top.iter().any(|byte| *byte != 0) {
                return "invalid field element top bytes";
            }
            if element >= &BLS12_381_PRIME[..] {
                return "must be less than modulus";
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    "invalid point: not on curve"
}
