//! The batch update: sorted changes go down the tree together, and each node on their way is made once.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use alloy_primitives::{B256, U256};
use alloy_trie::Nibbles;
use rayon::prelude::*;

use crate::{
    Result,
    state::AccountChange,
    trie::{
        NodeKey, TrieNodes,
        branch::Branch,
        node::{AccountLeaf, Child, LeafValue, StorageValue, nibble, prefix, shared_from},
    },
};

/// Below this many changes under a branch its children are updated one after the other.
const PARALLEL_MIN: usize = 48;

/// A change of one key.
pub(crate) trait Change<V>: Sync {
    fn key(&self) -> &B256;
    /// The value after the change; `None` removes the key.
    fn apply(&self, old: Option<&V>, update: &Update<'_>) -> Result<Option<V>>;
}

/// One batch update: where nodes come from, what it stamps on new ones, and what it leaves behind.
pub(crate) struct Update<'a> {
    pub(crate) nodes: &'a TrieNodes,
    pub(crate) version: u64,
    gone: Mutex<Gone>,
}

/// What an update took out of the stored form.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// Branches that are no longer there.
    pub(crate) branches: Vec<NodeKey>,
    /// Accounts whose whole storage trie went, by hashed address.
    pub(crate) storages: Vec<B256>,
}

impl<'a> Update<'a> {
    pub(crate) fn new(nodes: &'a TrieNodes, version: u64) -> Self {
        Self {
            nodes,
            version,
            gone: Mutex::default(),
        }
    }

    pub(crate) fn into_gone(self) -> Gone {
        self.gone
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn note(&self, note: impl FnOnce(&mut Gone)) {
        note(
            &mut self
                .gone
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        );
    }
}

impl Change<AccountLeaf> for AccountChange {
    fn key(&self) -> &B256 {
        &self.hashed
    }

    fn apply(&self, old: Option<&AccountLeaf>, update: &Update<'_>) -> Result<Option<AccountLeaf>> {
        let stored = old.map(|leaf| &leaf.storage);
        let loses_storage = self.wiped || self.account.is_none();
        if loses_storage && stored.is_some_and(|storage| !storage.is_empty()) {
            update.note(|gone| gone.storages.push(self.hashed));
        }
        let Some(record) = self.account else {
            return Ok(None);
        };
        let storage = match stored {
            Some(storage) if !loses_storage => storage.clone(),
            _ => Child::Empty,
        };
        let storage = update_trie(storage, &self.slots, self.hashed, update)?;
        Ok(Some(AccountLeaf { record, storage }))
    }
}

impl Change<StorageValue> for (B256, U256) {
    fn key(&self) -> &B256 {
        &self.0
    }

    fn apply(&self, _old: Option<&U256>, _update: &Update<'_>) -> Result<Option<U256>> {
        Ok((!self.1.is_zero()).then_some(self.1))
    }
}

/// Apply sorted `changes` to the trie of `owner` (zero for the accounts' own trie).
pub(crate) fn update_trie<V: LeafValue, C: Change<V>>(
    root: Child<V>,
    changes: &[C],
    owner: B256,
    update: &Update<'_>,
) -> Result<Child<V>> {
    Walk { owner, update }.update(root, changes, 0)
}

struct Walk<'a> {
    owner: B256,
    update: &'a Update<'a>,
}

impl Walk<'_> {
    fn update<V: LeafValue, C: Change<V>>(
        &self,
        node: Child<V>,
        changes: &[C],
        depth: usize,
    ) -> Result<Child<V>> {
        let Some(first) = changes.first() else {
            return Ok(node);
        };
        match &node {
            Child::Empty => Ok(self.build(&self.inserts(changes)?, depth)),
            Child::Leaf(leaf) => {
                let mut values = Vec::with_capacity(changes.len() + 1);
                let mut kept = Some((leaf.key, leaf.value.clone()));
                for change in changes {
                    let is_leaf = *change.key() == leaf.key;
                    if change.key() >= &leaf.key {
                        let old = kept.take();
                        if !is_leaf {
                            values.extend(old);
                        }
                    }
                    let old = is_leaf.then_some(&leaf.value);
                    if let Some(value) = change.apply(old, self.update)? {
                        values.push((*change.key(), value));
                    }
                }
                values.extend(kept);
                match &values[..] {
                    [(key, value)] if *key == leaf.key && *value == leaf.value => Ok(node),
                    values => Ok(self.build(values, depth)),
                }
            }
            Child::Extension(extension) => {
                let end = depth + extension.path.len();
                let here = |change: &&C| prefix(change.key(), end).slice(depth..) == extension.path;
                let from = changes.partition_point(|change| {
                    prefix(change.key(), end).slice(depth..) < extension.path
                });
                let count = changes[from..].iter().take_while(here).count();
                let below =
                    self.update(extension.child.clone(), &changes[from..from + count], end)?;
                let mut others = self.inserts(&changes[..from])?;
                others.extend(self.inserts(&changes[from + count..])?);
                if others.is_empty() && below.is_same(&extension.child) {
                    return Ok(node);
                }
                let whole = Child::prefixed(extension.path, below, depth);
                self.insert(whole, &others, depth)
            }
            Child::Stored(hash) => {
                let branch =
                    self.update
                        .nodes
                        .load::<V>(self.owner, prefix(first.key(), depth), **hash)?;
                self.update_branch(&node, &branch, changes, depth)
            }
            Child::Branch(branch) => self.update_branch(&node, branch, changes, depth),
        }
    }

    fn update_branch<V: LeafValue, C: Change<V>>(
        &self,
        node: &Child<V>,
        branch: &Branch<V>,
        changes: &[C],
        depth: usize,
    ) -> Result<Child<V>> {
        let groups = by_nibble(changes, depth, C::key);
        let below =
            |index: usize| self.update(branch.child(index).clone(), groups[index], depth + 1);
        let mut changed = changed_children(&groups, below)?;
        changed.retain(|(index, child)| !child.is_same(branch.child(usize::from(*index))));
        if changed.is_empty() {
            return Ok(node.clone());
        }
        let made = self.join(branch, changed, depth);
        if !made.is_branch() && branch.hash().is_some() {
            let path = prefix(changes[0].key(), depth);
            let key = NodeKey {
                owner: self.owner,
                path,
            };
            self.update.note(|gone| gone.branches.push(key));
        }
        Ok(made)
    }

    /// The branch with changed children, or what is left when there are fewer than two.
    fn join<V: LeafValue>(
        &self,
        branch: &Branch<V>,
        changed: Vec<(u8, Child<V>)>,
        depth: usize,
    ) -> Child<V> {
        let removed = changed.iter().filter(|(_, child)| child.is_empty());
        let removed = removed.fold(0u16, |mask, (index, _)| mask | 1 << index);
        let present = changed
            .iter()
            .fold(branch.mask(), |mask, (index, _)| mask | 1 << index);
        let present = present & !removed;
        if present.count_ones() > 1 {
            return Child::Branch(Arc::new(branch.with(changed, self.update.version)));
        }
        if present == 0 {
            return Child::Empty;
        }
        let only = present.trailing_zeros() as u8;
        let mut changed = changed.into_iter();
        let child = match changed.find(|(index, _)| *index == only) {
            Some((_, child)) => child,
            None => branch.child(usize::from(only)).clone(),
        };
        Child::prefixed(Nibbles::from_nibbles([only]), child, depth)
    }

    /// The values of changes to keys that are not in the trie.
    fn inserts<V: LeafValue, C: Change<V>>(&self, changes: &[C]) -> Result<Vec<(B256, V)>> {
        let value = |change: &C| {
            let value = change.apply(None, self.update)?;
            Ok(value.map(|value| (*change.key(), value)))
        };
        let values: Result<Vec<Option<_>>> = if changes.len() < PARALLEL_MIN {
            changes.iter().map(value).collect()
        } else {
            changes.par_iter().map(value).collect()
        };
        Ok(values?.into_iter().flatten().collect())
    }

    /// Put sorted `values` into `node`, none of whose keys it holds.
    fn insert<V: LeafValue>(
        &self,
        node: Child<V>,
        values: &[(B256, V)],
        depth: usize,
    ) -> Result<Child<V>> {
        let Some((first, _)) = values.first() else {
            return Ok(node);
        };
        match &node {
            Child::Empty => Ok(self.build(values, depth)),
            Child::Leaf(leaf) => {
                let mut all = values.to_vec();
                let at = all.partition_point(|(key, _)| *key < leaf.key);
                all.insert(at, (leaf.key, leaf.value.clone()));
                Ok(self.build(&all, depth))
            }
            Child::Extension(extension) => {
                let shared = |key: &B256| {
                    Nibbles::unpack(key)
                        .slice(depth..)
                        .common_prefix_length(&extension.path)
                };
                let length = extension.path.len();
                let split = values
                    .iter()
                    .map(|(key, _)| shared(key))
                    .min()
                    .unwrap_or(length);
                let children = if split == length {
                    let child = self.insert(extension.child.clone(), values, depth + length)?;
                    return Ok(Child::prefixed(extension.path, child, depth));
                } else {
                    let mut children = Child::empty_children();
                    let turn = extension.path.get_unchecked(split);
                    children[usize::from(turn)] = Child::prefixed(
                        extension.path.slice(split + 1..),
                        extension.child.clone(),
                        depth + split + 1,
                    );
                    children
                };
                let branch = Branch::new(children, self.update.version);
                let branch = self.insert_below(&branch, values, depth + split)?;
                Ok(Child::prefixed(
                    extension.path.slice(..split),
                    branch,
                    depth,
                ))
            }
            Child::Stored(hash) => {
                let branch =
                    self.update
                        .nodes
                        .load::<V>(self.owner, prefix(first, depth), **hash)?;
                self.insert_below(&branch, values, depth)
            }
            Child::Branch(branch) => self.insert_below(branch, values, depth),
        }
    }

    fn insert_below<V: LeafValue>(
        &self,
        branch: &Branch<V>,
        values: &[(B256, V)],
        depth: usize,
    ) -> Result<Child<V>> {
        let groups = by_nibble(values, depth, |(key, _)| key);
        let below =
            |index: usize| self.insert(branch.child(index).clone(), groups[index], depth + 1);
        let changed = changed_children(&groups, below)?;
        Ok(Child::Branch(Arc::new(
            branch.with(changed, self.update.version),
        )))
    }

    /// A trie of sorted `values` from nothing.
    fn build<V: LeafValue>(&self, values: &[(B256, V)], depth: usize) -> Child<V> {
        let (Some((first, value)), Some((last, _))) = (values.first(), values.last()) else {
            return Child::Empty;
        };
        if values.len() == 1 {
            return Child::leaf(*first, depth, value.clone());
        }
        let shared = shared_from(first, last, depth);
        let groups = by_nibble(values, depth + shared, |(key, _)| key);
        let below = |index: usize| Ok(self.build(groups[index], depth + shared + 1));
        let made: std::result::Result<_, Infallible> = changed_children(&groups, below);
        let mut children = Child::empty_children();
        for (index, child) in made.unwrap_or_else(|never| match never {}) {
            children[usize::from(index)] = child;
        }
        let branch = Child::branch(children, self.update.version);
        Child::prefixed(prefix(first, depth + shared).slice(depth..), branch, depth)
    }
}

/// Cut sorted `items` by the nibble of their keys at `depth`.
fn by_nibble<T>(items: &[T], depth: usize, key: impl Fn(&T) -> &B256) -> [&[T]; 16] {
    let mut rest = items;
    std::array::from_fn(|index| {
        let count = rest.partition_point(|item| nibble(key(item), depth) <= index);
        let (group, others) = rest.split_at(count);
        rest = others;
        group
    })
}

/// What `make` gives for each group that is not empty, in parallel when there is enough to do.
fn changed_children<T: Sync, V: LeafValue, E: Send>(
    groups: &[&[T]; 16],
    make: impl Fn(usize) -> std::result::Result<Child<V>, E> + Sync,
) -> std::result::Result<Vec<(u8, Child<V>)>, E> {
    let count: usize = groups.iter().map(|group| group.len()).sum();
    let make = |index: usize| make(index).map(|child| (index as u8, child));
    let indexes = (0..16).filter(|index: &usize| !groups[*index].is_empty());
    if count < PARALLEL_MIN {
        indexes.map(make).collect()
    } else {
        let indexes: Vec<usize> = indexes.collect();
        indexes.into_par_iter().map(make).collect()
    }
}
