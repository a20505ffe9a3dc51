//! The door to the project's own roots of small tries (`rust/encoding`), which headers have of what Python makes.

use std::collections::BTreeMap;

use alloy_trie::{HashBuilder, Nibbles, root::ordered_trie_root_with_encoder};

/// Keys of one length, as none may begin with another for alloy-trie.
const KEY_BYTES: usize = 2;

/// Takes the bytes for items, each after a byte that says how long it is.
///
/// # Panics
/// When a root is not alloy-trie's: of the items in their order, or of the same as keys and values.
pub fn trie(data: &[u8]) {
    let items = items(data);
    let theirs = ordered_trie_root_with_encoder(&items, |item, to| to.extend_from_slice(item));
    assert_eq!(encoding::trie::ordered_root(&items), theirs.0);

    let mut entries = BTreeMap::new();
    for item in items.iter().filter(|item| item.len() > KEY_BYTES) {
        entries.insert(&item[..KEY_BYTES], &item[KEY_BYTES..]);
    }
    let mut builder = HashBuilder::default();
    for (key, value) in &entries {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    let own = encoding::trie::root(entries.into_iter().rev().collect());
    assert_eq!(own, Ok(builder.root().0));
}

/// Of a byte at least, as tries have no empty values.
fn items(mut data: &[u8]) -> Vec<&[u8]> {
    let mut items = Vec::new();
    while let Some((&length, rest)) = data.split_first()
        && !rest.is_empty()
    {
        let (item, after) = rest.split_at(rest.len().min(usize::from(length).max(1)));
        items.push(item);
        data = after;
    }
    items
}
