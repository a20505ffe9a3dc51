//! The stored form of a branch: the kinds of its children, with leaves and extensions inside.
//!
//! A record does not repeat what its path says. The hash of the node is not stored: it is computed at load and compared
//! with what the parent expects.

use std::sync::Arc;

use alloy_primitives::{B256, U256};
use alloy_trie::Nibbles;

use crate::{
    Result,
    state::AccountRecord,
    state::{corrupt, put_trimmed, take, take_trimmed},
    trie::branch::Branch,
    trie::node::{AccountLeaf, Child, LeafValue, StorageValue},
};

const EMPTY: u8 = 0;
const STORED: u8 = 1;
const LEAF: u8 = 2;
const EXTENSION: u8 = 3;
const BRANCH: u8 = 4;

/// A leaf's value into a record.
pub(crate) trait WriteRecord {
    fn write(&self, out: &mut Vec<u8>);
}

/// A leaf's value out of a record.
pub(crate) trait ReadRecord: Sized {
    fn read(input: &mut &[u8]) -> Result<Self>;
}

impl WriteRecord for StorageValue {
    fn write(&self, out: &mut Vec<u8>) {
        put_trimmed(out, &self.to_be_bytes::<32>());
    }
}

impl ReadRecord for StorageValue {
    fn read(input: &mut &[u8]) -> Result<Self> {
        let value: U256 = take_trimmed(input, 32)?;
        Ok(value)
    }
}

impl WriteRecord for AccountLeaf {
    fn write(&self, out: &mut Vec<u8>) {
        self.record.encode(out);
        write_child(&self.storage, 0, out);
    }
}

impl ReadRecord for AccountLeaf {
    fn read(input: &mut &[u8]) -> Result<Self> {
        let record = AccountRecord::decode(input)?;
        let storage = read_child(input, &Nibbles::default())?;
        Ok(Self { record, storage })
    }
}

/// A child at `depth`, in the record of its parent.
pub(crate) fn write_child<V: LeafValue>(child: &Child<V>, depth: usize, out: &mut Vec<u8>) {
    match child {
        Child::Empty => out.push(EMPTY),
        Child::Stored(hash) => {
            out.push(STORED);
            out.extend_from_slice(hash.as_slice());
        }
        Child::Leaf(leaf) => {
            out.push(LEAF);
            out.extend_from_slice(&leaf.key[depth / 2..]);
            leaf.value.write(out);
        }
        Child::Extension(extension) => {
            out.push(EXTENSION);
            out.push(extension.path.len() as u8);
            out.extend(extension.path.to_vec());
            write_child(&extension.child, depth + extension.path.len(), out);
        }
        Child::Branch(branch) => match branch.hash() {
            Some(hash) => {
                out.push(STORED);
                out.extend_from_slice(hash.as_slice());
            }
            None => {
                out.push(BRANCH);
                write_branch(branch, depth, out);
            }
        },
    }
}

/// The record of a branch at `depth`: a mask of its children, then each.
pub(crate) fn write_branch<V: LeafValue>(branch: &Branch<V>, depth: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&branch.mask().to_be_bytes());
    for child in branch.children().filter(|child| !child.is_empty()) {
        write_child(child, depth + 1, out);
    }
}

/// A child whose parent stands before `path`.
pub(crate) fn read_child<V: LeafValue>(input: &mut &[u8], path: &Nibbles) -> Result<Child<V>> {
    match take(input, 1)?[0] {
        EMPTY => Ok(Child::Empty),
        STORED => {
            let hash = B256::from_slice(take(input, 32)?);
            Ok(Child::Stored(Arc::new(hash)))
        }
        LEAF => {
            let known = path.len() / 2;
            let mut key = B256::ZERO;
            path.pack_to(&mut key.0[..path.len().div_ceil(2)]);
            key[known..].copy_from_slice(take(input, 32 - known)?);
            let value = V::read(input)?;
            Ok(Child::leaf(key, path.len(), value))
        }
        EXTENSION => {
            let length = usize::from(take(input, 1)?[0]);
            let nibbles = take(input, length)?;
            if length == 0 || path.len() + length >= 64 || nibbles.iter().any(|nibble| *nibble > 15)
            {
                return Err(corrupt("the path of an extension"));
            }
            let nibbles = Nibbles::from_nibbles(nibbles);
            let child = read_child(input, &path.join(&nibbles))?;
            if !child.is_branch() {
                return Err(corrupt("an extension without a branch"));
            }
            Ok(Child::extension(nibbles, child))
        }
        BRANCH => {
            let branch = read_branch(input, path)?;
            Ok(Child::Branch(Arc::new(branch)))
        }
        other => Err(corrupt(&format!("a trie node of kind {other}"))),
    }
}

pub(crate) fn read_branch<V: LeafValue>(input: &mut &[u8], path: &Nibbles) -> Result<Branch<V>> {
    if path.len() >= 64 {
        return Err(corrupt("a branch below the end of its key"));
    }
    let mask = take(input, 2)?;
    let mask = u16::from_be_bytes([mask[0], mask[1]]);
    let mut children = Child::empty_children();
    for (index, child) in children.iter_mut().enumerate() {
        if mask & 1 << index != 0 {
            let mut below = *path;
            below.push(index as u8);
            *child = read_child(input, &below)?;
        }
    }
    Ok(Branch::new(children, 0))
}
