//! From memory to records and back out of memory: which nodes a flush writes, and what it may then forget.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_trie::Nibbles;

use super::{
    NodeKey, StateTrie, TrieNodes, TrieUpdate,
    branch::Branch,
    node::{AccountLeaf, Child, LeafValue},
    record::{read_child, write_branch, write_child},
};
use crate::{Result, state::corrupt};

/// The records of nodes made after a version.
pub(crate) struct DirtyNodes<'a> {
    nodes: &'a TrieNodes,
    since: u64,
    write: &'a mut dyn FnMut(NodeKey, Vec<u8>) -> Result<()>,
}

impl StateTrie {
    /// Give the record of each branch made after version `since` to `write`, and keep it in the cache.
    pub(crate) fn write_dirty(
        &self,
        since: u64,
        nodes: &TrieNodes,
        write: &mut dyn FnMut(NodeKey, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let mut dirty = DirtyNodes {
            nodes,
            since,
            write,
        };
        dirty.child(&self.root, B256::ZERO, Nibbles::default())
    }

    /// The record of the root itself: a branch by hash, anything else whole.
    pub(crate) fn root_record(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_child(&self.root, 0, &mut out);
        out
    }

    pub(crate) fn from_root_record(mut record: &[u8], version: u64) -> Result<Self> {
        let root = read_child::<AccountLeaf>(&mut record, &Nibbles::default())?;
        if !record.is_empty() {
            return Err(corrupt("bytes after the trie's root"));
        }
        Ok(Self::from_root(root, version, TrieUpdate::default()))
    }

    /// The same trie without the nodes that are stored as of `version`.
    pub(crate) fn without_stored(&self, version: u64) -> Self {
        Self {
            root: without_stored(&self.root, version).unwrap_or_else(|| self.root.clone()),
            hash: self.hash,
            version: self.version,
            unloaded: version.min(self.version),
            update: Arc::clone(&self.update),
        }
    }

    /// How many branches are in memory that were made up to `version`.
    #[cfg(test)]
    pub(crate) fn branches_up_to(&self, version: u64) -> usize {
        branches_up_to(&self.root, version)
    }
}

impl DirtyNodes<'_> {
    fn child<V: LeafValue>(&mut self, child: &Child<V>, owner: B256, path: Nibbles) -> Result<()> {
        match child {
            Child::Empty | Child::Stored(_) => Ok(()),
            Child::Leaf(leaf) => match leaf.value.storage() {
                Some(storage) => self.child(storage, leaf.key, Nibbles::default()),
                None => Ok(()),
            },
            Child::Extension(extension) => {
                self.child(&extension.child, owner, path.join(&extension.path))
            }
            Child::Branch(branch) if branch.version <= self.since => Ok(()),
            Child::Branch(branch) => self.branch(branch, owner, path),
        }
    }

    fn branch<V: LeafValue>(
        &mut self,
        branch: &Arc<Branch<V>>,
        owner: B256,
        path: Nibbles,
    ) -> Result<()> {
        // Before its children, which come later in the order of keys.
        if branch.hash().is_some() {
            let key = NodeKey { owner, path };
            let mut record = Vec::with_capacity(600);
            write_branch(branch, path.len(), &mut record);
            (self.write)(key, record)?;
            self.nodes.remember(key, shallow(branch));
        }
        for (index, child) in branch.children().enumerate() {
            let mut below = path;
            below.push(index as u8);
            self.child(child, owner, below)?;
        }
        Ok(())
    }
}

/// The branch with its children's branches by hash only.
fn shallow<V: LeafValue>(branch: &Arc<Branch<V>>) -> Arc<Branch<V>> {
    // Most branches have leaves and stored branches below them: those are shallow as they are.
    if branch
        .held()
        .all(|child| without_stored(child, u64::MAX).is_none())
    {
        return Arc::clone(branch);
    }
    let children = std::array::from_fn(|index| {
        let child = branch.child(index);
        without_stored(child, u64::MAX).unwrap_or_else(|| child.clone())
    });
    Arc::new(branch.with_same(children, 0))
}

#[cfg(test)]
fn branches_up_to<V: LeafValue>(child: &Child<V>, version: u64) -> usize {
    match child {
        Child::Empty | Child::Stored(_) => 0,
        Child::Leaf(leaf) => {
            let storage = leaf.value.storage();
            storage.map_or(0, |storage| branches_up_to(storage, version))
        }
        Child::Extension(extension) => branches_up_to(&extension.child, version),
        Child::Branch(branch) => {
            let below = branch.children();
            let below: usize = below.map(|child| branches_up_to(child, version)).sum();
            below + usize::from(branch.version <= version)
        }
    }
}

/// `None` when nothing changes.
fn without_stored<V: LeafValue>(child: &Child<V>, version: u64) -> Option<Child<V>> {
    match child {
        Child::Empty | Child::Stored(_) => None,
        Child::Leaf(leaf) => {
            let storage = without_stored(leaf.value.storage()?, version)?;
            Some(Child::Leaf(Arc::new(super::node::Leaf {
                key: leaf.key,
                value: leaf.value.with_storage(storage),
                reference: leaf.reference.clone(),
            })))
        }
        Child::Extension(extension) => {
            let below = without_stored(&extension.child, version)?;
            Some(Child::Extension(Arc::new(super::node::Extension {
                path: extension.path,
                child: below,
                reference: extension.reference.clone(),
            })))
        }
        Child::Branch(branch) => match branch.hash() {
            Some(hash) if branch.version <= version => Some(Child::Stored(Arc::new(hash))),
            _ => {
                let mut changed = false;
                let children = std::array::from_fn(|index| {
                    let child = branch.child(index);
                    let less = without_stored(child, version);
                    changed |= less.is_some();
                    less.unwrap_or_else(|| child.clone())
                });
                changed.then(|| Child::Branch(Arc::new(branch.with_same(children, branch.version))))
            }
        },
    }
}
