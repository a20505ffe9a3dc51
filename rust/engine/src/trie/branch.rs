//! The branch: sixteen children, made to be replaced a few at a time.
//!
//! A block changes one child of most branches on its way. Copying the other fifteen would touch each of them, to count one
//! more reference and to read how it is referred to; and they lie all over memory. So a changed branch shares the children of
//! the one that it came from and holds the changed ones beside them, and it keeps the references to all children in one row.

use std::sync::Arc;

use alloy_rlp::EMPTY_STRING_CODE;
use alloy_trie::nodes::RlpNode;

use super::node::{Child, LeafValue};

/// A branch with more replaced children than this gets a row of its own.
const REPLACED_MAX: usize = 4;
/// Sixteen hashes with their length byte, the empty value, and the header of a list.
const RLP_BYTES_MAX: usize = 16 * 33 + 1 + 3;

#[derive(Debug)]
pub(crate) struct Branch<V> {
    row: Row<V>,
    /// Children that stand in the place of those in the row.
    replaced: Vec<(u8, Child<V>)>,
    /// The node's RLP: a list of how it refers to its children, and an empty value.
    rlp: Arc<[u8]>,
    reference: RlpNode,
    /// Bit `i`: there is a child `i`.
    mask: u16,
    /// The version of the trie that made this node; 0 when it was loaded. Never lower than a descendant's.
    pub(crate) version: u64,
}

/// The children that there are, in order: most branches of a large trie have two or three.
#[derive(Debug)]
struct Row<V> {
    present: Arc<[Child<V>]>,
    mask: u16,
}

impl<V> Clone for Row<V> {
    fn clone(&self) -> Self {
        Self {
            present: Arc::clone(&self.present),
            mask: self.mask,
        }
    }
}

impl<V: LeafValue> Row<V> {
    fn new(children: [Child<V>; 16]) -> Self {
        let mask = mask_of(&children);
        let present = children.into_iter().filter(|child| !child.is_empty());
        Self {
            present: present.collect(),
            mask,
        }
    }

    fn child(&self, index: usize) -> &Child<V> {
        let bit = 1 << index;
        if self.mask & bit == 0 {
            return &Child::Empty;
        }
        &self.present[(self.mask & (bit - 1)).count_ones() as usize]
    }
}

fn mask_of<V: LeafValue>(children: &[Child<V>; 16]) -> u16 {
    let indexed = children.iter().enumerate();
    indexed.fold(0, |mask, (index, child)| {
        mask | u16::from(!child.is_empty()) << index
    })
}

impl<V: LeafValue> Branch<V> {
    pub(crate) fn new(children: [Child<V>; 16], version: u64) -> Self {
        let mut references = References::default();
        children.iter().for_each(|child| references.push(child));
        let (rlp, reference) = references.finish();
        let row = Row::new(children);
        Self {
            mask: row.mask,
            row,
            replaced: Vec::new(),
            rlp,
            reference,
            version,
        }
    }

    /// The branch with other children in some places, sorted by place.
    pub(crate) fn with(&self, changed: Vec<(u8, Child<V>)>, version: u64) -> Self {
        let mut references = References::default();
        let mut mask = self.mask;
        let mut next = changed.iter().peekable();
        let mut old = self.reference_row();
        for index in 0..16u8 {
            let (reference, rest) = old.split_at(item_bytes(old));
            old = rest;
            match next.next_if(|(at, _)| *at == index) {
                Some((_, child)) => {
                    references.push(child);
                    mask = mask & !(1 << index) | u16::from(!child.is_empty()) << index;
                }
                None => references.push_bytes(reference),
            }
        }
        let (rlp, reference) = references.finish();
        let (row, replaced) = self.replace(changed);
        Self {
            row,
            replaced,
            rlp,
            reference,
            mask,
            version,
        }
    }

    #[allow(
        clippy::type_complexity,
        reason = "a name for it would be used here only"
    )]
    fn replace(&self, changed: Vec<(u8, Child<V>)>) -> (Row<V>, Vec<(u8, Child<V>)>) {
        let kept = |at: u8| changed.iter().all(|(changed, _)| *changed != at);
        let earlier = self.replaced.iter().filter(|(at, _)| kept(*at));
        if changed.len() + earlier.clone().count() <= REPLACED_MAX {
            let mut replaced: Vec<_> = earlier.cloned().collect();
            replaced.extend(changed);
            return (self.row.clone(), replaced);
        }
        let mut row: [Child<V>; 16] = std::array::from_fn(|index| match kept(index as u8) {
            true => self.child(index).clone(),
            false => Child::Empty,
        });
        for (at, child) in changed {
            row[usize::from(at)] = child;
        }
        (Row::new(row), Vec::new())
    }

    /// The same branch with children that are the same nodes, more or less of them in memory.
    pub(crate) fn with_same(&self, children: [Child<V>; 16], version: u64) -> Self {
        Self {
            row: Row::new(children),
            replaced: Vec::new(),
            rlp: Arc::clone(&self.rlp),
            reference: self.reference.clone(),
            mask: self.mask,
            version,
        }
    }

    pub(crate) fn child(&self, index: usize) -> &Child<V> {
        let replaced = self
            .replaced
            .iter()
            .find(|(at, _)| usize::from(*at) == index);
        replaced.map_or_else(|| self.row.child(index), |(_, child)| child)
    }

    /// All sixteen places in order.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Child<V>> {
        (0..16).map(|index| self.child(index))
    }

    /// The children that are in memory because of this branch: its own, and those that others have replaced.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Child<V>> {
        let replaced = self.replaced.iter().map(|(_, child)| child);
        self.row.present.iter().chain(replaced)
    }

    /// Bit `i`: there is a child `i`.
    pub(crate) fn mask(&self) -> u16 {
        self.mask
    }

    pub(crate) fn rlp(&self) -> &[u8] {
        &self.rlp
    }

    pub(crate) fn reference(&self) -> &RlpNode {
        &self.reference
    }

    /// The hash of a branch that is stored by hash; `None` for one so short that its parent holds it.
    pub(crate) fn hash(&self) -> Option<alloy_primitives::B256> {
        self.reference.as_hash()
    }

    /// The references to the children, one after the other.
    fn reference_row(&self) -> &[u8] {
        let header = match self.rlp[0] {
            0xf9 => 3,
            0xf8 => 2,
            _ => 1,
        };
        &self.rlp[header..]
    }

    /// Bytes in memory, without the children.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.row.present) + self.rlp.len()
    }
}

/// The length of the RLP item that `row` begins with: an empty string, a hash, or a node of less than 32 bytes.
fn item_bytes(row: &[u8]) -> usize {
    match row[0] {
        EMPTY_STRING_CODE => 1,
        string @ 0x81..=0xb7 => 1 + usize::from(string - EMPTY_STRING_CODE),
        list => 1 + usize::from(list.saturating_sub(0xc0)),
    }
}

/// A branch's RLP in the making, with room for its header before it.
struct References {
    bytes: [u8; RLP_BYTES_MAX],
    end: usize,
}

/// The most that a header takes.
const HEADER: usize = 3;

impl Default for References {
    fn default() -> Self {
        Self {
            bytes: [0; RLP_BYTES_MAX],
            end: HEADER,
        }
    }
}

impl References {
    fn push<V: LeafValue>(&mut self, child: &Child<V>) {
        match child {
            Child::Empty => self.push_bytes(&[EMPTY_STRING_CODE]),
            Child::Stored(hash) => {
                self.push_bytes(&[EMPTY_STRING_CODE + 32]);
                self.push_bytes(hash.as_slice());
            }
            Child::Leaf(leaf) => self.push_bytes(leaf.reference.as_slice()),
            Child::Extension(extension) => self.push_bytes(extension.reference.as_slice()),
            Child::Branch(branch) => self.push_bytes(branch.reference.as_slice()),
        }
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        self.bytes[self.end..end].copy_from_slice(bytes);
        self.end = end;
    }

    fn finish(mut self) -> (Arc<[u8]>, RlpNode) {
        // The value of a branch: no key of a hashed trie ends at one.
        self.push_bytes(&[EMPTY_STRING_CODE]);
        let payload_length = self.end - HEADER;
        let header = alloy_rlp::Header {
            list: true,
            payload_length,
        };
        let begin = HEADER - alloy_rlp::length_of_length(payload_length);
        header.encode(&mut &mut self.bytes[begin..HEADER]);
        let rlp = &self.bytes[begin..self.end];
        (Arc::from(rlp), RlpNode::from_rlp(rlp))
    }
}
