//! Roots of small Merkle-Patricia tries, computed from all entries at once. Source: Yellow Paper, appendix D.
//!
//! The chain's state lives in the engine's trie; this one is for a block's transactions and withdrawals, and for a genesis.

use std::{error, fmt};

use crate::{keccak256, rlp};

/// Keys are hashes or numbers; the bound is the stack's, which goes as deep as a key has nibbles.
pub const KEY_BYTES_MAX: usize = 256;

/// Why entries have no root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsuitable {
    Twice,
    LongKey(usize),
}

impl fmt::Display for Unsuitable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice => write!(to, "trie: a key stands twice"),
            Self::LongKey(found) => write!(
                to,
                "trie: expected a key of at most {KEY_BYTES_MAX} bytes, found {found}"
            ),
        }
    }
}

impl error::Error for Unsuitable {}

/// A key and its value.
type Entry<'a> = (&'a [u8], &'a [u8]);

/// The root of a trie from distinct keys, in any order, to values that are not empty.
pub fn root(mut entries: Vec<Entry<'_>>) -> Result<[u8; 32], Unsuitable> {
    if let Some((key, _)) = entries.iter().find(|(key, _)| key.len() > KEY_BYTES_MAX) {
        return Err(Unsuitable::LongKey(key.len()));
    }
    // The order of bytes is that of nibbles.
    entries.sort_unstable_by_key(|&(key, _)| key);
    if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Unsuitable::Twice);
    }
    let mut encoded = Vec::new();
    if entries.is_empty() {
        rlp::encode_string(&[], &mut encoded);
    } else {
        put_node(&entries, 0, &mut encoded);
    }
    Ok(keccak256(&encoded))
}

/// The root of a trie from rlp(index) to item, as a block's header has it of its transactions.
pub fn ordered_root(items: &[&[u8]]) -> [u8; 32] {
    let mut keys = Vec::with_capacity(items.len() * 3);
    let mut ends = Vec::with_capacity(items.len());
    for index in 0..items.len() as u64 {
        rlp::encode_string(rlp::number_bytes(&index.to_be_bytes()), &mut keys);
        ends.push(keys.len());
    }
    let mut start = 0;
    let entries = ends.iter().zip(items).map(|(&end, &item)| {
        let key = &keys[start..end];
        start = end;
        (key, item)
    });
    // Encodings of different numbers differ, and have nine bytes at most.
    root(entries.collect()).expect("indexes are distinct and short")
}

/// Append the RLP of the node that holds the sorted entries, which agree on their first `depth` nibbles.
fn put_node(entries: &[Entry<'_>], depth: usize, to: &mut Vec<u8>) {
    let start = to.len();
    let (first, value) = entries[0];
    let nibbles = 2 * first.len();
    let (last, _) = entries[entries.len() - 1];
    if entries.len() == 1 {
        put_path(first, depth, nibbles, true, to);
        rlp::encode_string(value, to);
        return rlp::close_list(start, to);
    }
    let mut shared = depth;
    // The first in order is the shortest that the others can begin with.
    while shared < nibbles && nibble(first, shared) == nibble(last, shared) {
        shared += 1;
    }
    if shared > depth {
        put_path(first, depth, shared, false, to);
        put_child(entries, shared, to);
        return rlp::close_list(start, to);
    }
    // A key that the others begin with ends here, and its value has the branch's own place.
    let (own, mut rest) = match nibbles == depth {
        true => (value, &entries[1..]),
        false => (&[][..], entries),
    };
    for turn in 0..16 {
        let count = rest.partition_point(|(key, _)| nibble(key, depth) <= turn);
        let (below, others) = rest.split_at(count);
        match below.is_empty() {
            true => rlp::encode_string(&[], to),
            false => put_child(below, depth + 1, to),
        }
        rest = others;
    }
    rlp::encode_string(own, to);
    rlp::close_list(start, to);
}

/// Append what a parent stores of a node: the node itself when it is short, else its hash.
fn put_child(entries: &[Entry<'_>], depth: usize, to: &mut Vec<u8>) {
    let start = to.len();
    put_node(entries, depth, to);
    if to.len() - start >= 32 {
        let hash = keccak256(&to[start..]);
        to.truncate(start);
        rlp::encode_string(&hash, to);
    }
}

fn nibble(key: &[u8], at: usize) -> u8 {
    let byte = key[at / 2];
    if at.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 15
    }
}

/// Append a part of a key as a node has it: a flag for leaves and for odd lengths, and the nibbles.
fn put_path(key: &[u8], start: usize, end: usize, is_leaf: bool, to: &mut Vec<u8>) {
    let mut path = [0; KEY_BYTES_MAX + 1];
    let count = end - start;
    let is_odd = count % 2 == 1;
    path[0] = (u8::from(is_leaf) * 2 + u8::from(is_odd)) << 4;
    // The nibbles end at a byte's end, so an odd number of them begins in the flag's byte.
    let mut place = if is_odd { 1 } else { 2 };
    for at in start..end {
        let shift = if place % 2 == 0 { 4 } else { 0 };
        path[place / 2] |= nibble(key, at) << shift;
        place += 1;
    }
    rlp::encode_string(&path[..place / 2], to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B256, Bytes, hex};
    use alloy_rlp::BufMut;
    use alloy_trie::{HashBuilder, Nibbles};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn by_alloy(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> B256 {
        let mut builder = HashBuilder::default();
        for (key, value) in entries {
            builder.add_leaf(Nibbles::unpack(key), value);
        }
        builder.root()
    }

    fn ours(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> B256 {
        let entries = entries.iter().map(|(key, value)| (&key[..], &value[..]));
        B256::new(root(entries.rev().collect()).expect("distinct keys"))
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 1..120)
    }

    proptest! {
        #[test]
        fn roots_of_keys_of_one_length_are_those_of_alloy(
            entries in proptest::collection::btree_map(proptest::collection::vec(0u8..4, 3), value(), 0..40)
        ) {
            prop_assert_eq!(ours(&entries), by_alloy(&entries));
        }

        #[test]
        fn roots_of_hashed_keys_are_those_of_alloy(
            entries in proptest::collection::btree_map(proptest::collection::vec(any::<u8>(), 32), value(), 0..40)
        ) {
            prop_assert_eq!(ours(&entries), by_alloy(&entries));
        }

        #[test]
        fn ordered_roots_are_those_of_alloy(items in proptest::collection::vec(value(), 0..300)) {
            let slices: Vec<&[u8]> = items.iter().map(|item| &item[..]).collect();
            let bytes: Vec<Bytes> = items.iter().map(|item| Bytes::copy_from_slice(item)).collect();
            let theirs = alloy_trie::root::ordered_trie_root_with_encoder(&bytes, |item, to| {
                to.put_slice(item)
            });
            prop_assert_eq!(B256::new(ordered_root(&slices)), theirs);
        }

        #[test]
        fn any_keys_have_a_root_whatever_their_order(
            entries in proptest::collection::btree_map(proptest::collection::vec(0u8..3, 0..6), value(), 0..40)
        ) {
            let forwards = entries.iter().map(|(key, value)| (&key[..], &value[..]));
            prop_assert_eq!(B256::new(root(forwards.collect()).expect("distinct keys")), ours(&entries));
        }
    }

    #[test]
    fn a_key_that_others_begin_with_has_the_branch_s_own_place() {
        // trieanyorder.json of ethereum/tests, "dogs".
        let entries = vec![
            (&b"doe"[..], &b"reindeer"[..]),
            (b"dog", b"puppy"),
            (b"dogglesworth", b"cat"),
        ];
        let expected = hex!("8aad789dff2f538bca5d8ea56e8abe10f4c7ba3a5dea95fea4cd6e7c3a1168d3");
        assert_eq!(root(entries), Ok(expected));
    }

    #[test]
    fn what_has_no_root_is_refused() {
        assert_eq!(
            root(vec![(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]),
            Err(Unsuitable::Twice)
        );
        assert_eq!(root(vec![(&[0; 257], b"1")]), Err(Unsuitable::LongKey(257)));
        assert!(root(vec![(&[0; 256], b"1"), (&[0; 255], b"2")]).is_ok());
    }

    #[test]
    fn the_empty_root_is_the_well_known_one() {
        let empty = hex!("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");
        assert_eq!(root(vec![]), Ok(empty));
        assert_eq!(ordered_root(&[]), empty);
    }
}
