//! The trie against alloy-trie's full roots and proof verification, with nodes unloaded and read back at any time.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{
    Nibbles, TrieAccount,
    proof::verify_proof,
    root::{state_root, storage_root},
};
use proptest::{collection::vec, prelude::*};

use super::{node::Child, update::Update, *};
use crate::{
    state::{AccountChange, AccountRecord},
    store::kv::{Batch, Kv, MemoryKv},
};

/// A key out of few, with shared prefixes of every length: splits, collapses and embedded nodes happen all the time.
fn key() -> impl Strategy<Value = B256> {
    let long = (0usize..32, any::<u8>(), 0u8..4).prop_map(|(at, value, tail)| {
        let mut key = B256::repeat_byte(0x11);
        key[at] = value;
        key[31] ^= tail;
        key
    });
    let random = any::<u8>().prop_map(|seed| keccak256([seed]));
    prop_oneof![3 => long, 2 => random]
}

fn value() -> impl Strategy<Value = U256> {
    prop_oneof![
        2 => Just(U256::ZERO),
        3 => (1u64..4).prop_map(U256::from),
        1 => any::<[u8; 32]>().prop_map(U256::from_be_bytes),
    ]
}

/// One account of a block: existence and nonce, whether its storage goes, and slots.
type Touch = (B256, Option<u8>, bool, Vec<(B256, U256)>);

#[derive(Debug, Clone)]
enum Step {
    Block(Vec<Touch>),
    Flush,
    /// Flush, and drop every node and cache.
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let touch = (
        key(),
        prop_oneof![1 => Just(None), 4 => (1u8..9).prop_map(Some)],
        prop::bool::weighted(0.1),
        vec((key(), value()), 0..6),
    );
    let block = vec(touch, 0..8).prop_map(Step::Block);
    vec(
        prop_oneof![6 => block, 2 => Just(Step::Flush), 1 => Just(Step::Reopen)],
        1..16,
    )
}

#[derive(Default, Clone)]
struct Model(BTreeMap<B256, (AccountRecord, BTreeMap<B256, U256>)>);

impl Model {
    fn root(&self) -> B256 {
        state_root(self.0.iter().map(|(key, (record, slots))| {
            let storage = storage_root(slots.iter().map(|(key, value)| (*key, *value)));
            (
                *key,
                TrieAccount::new(record.nonce, record.balance, storage, record.code_hash),
            )
        }))
    }

    fn apply(&mut self, touches: &[Touch]) -> Vec<AccountChange> {
        let touches: BTreeMap<B256, &Touch> =
            touches.iter().map(|touch| (touch.0, touch)).collect();
        let change = |(hashed, (_, nonce, wiped, slots)): (B256, &&Touch)| {
            let slots: BTreeMap<B256, U256> = slots.iter().copied().collect();
            let Some(nonce) = nonce else {
                self.0.remove(&hashed);
                return AccountChange {
                    hashed,
                    account: None,
                    wiped: true,
                    slots: Vec::new(),
                };
            };
            let record = AccountRecord {
                nonce: u64::from(*nonce),
                ..Default::default()
            };
            let entry = self.0.entry(hashed).or_default();
            entry.0 = record;
            if *wiped {
                entry.1.clear();
            }
            for (slot, value) in &slots {
                if value.is_zero() {
                    entry.1.remove(slot);
                } else {
                    entry.1.insert(*slot, *value);
                }
            }
            let slots = slots.into_iter().collect();
            AccountChange {
                hashed,
                account: Some(record),
                wiped: *wiped,
                slots,
            }
        };
        touches
            .iter()
            .map(|(hashed, touch)| (*hashed, touch))
            .map(change)
            .collect()
    }
}

/// A trie over a store, flushed as the store flushes it.
struct Harness {
    kv: Arc<dyn Kv>,
    nodes: TrieNodes,
    trie: StateTrie,
    flushed: u64,
    updates: Vec<Arc<TrieUpdate>>,
}

impl Harness {
    fn new() -> Self {
        let kv: Arc<dyn Kv> = Arc::new(MemoryKv::default());
        Self {
            nodes: TrieNodes::new(Arc::clone(&kv), 1 << 20).unwrap(),
            kv,
            trie: StateTrie::default(),
            flushed: 0,
            updates: Vec::new(),
        }
    }

    fn block(&mut self, accounts: Vec<AccountChange>) {
        let changes = StateChanges {
            accounts,
            codes: Vec::new(),
        };
        self.trie = self.trie.next(changes, &self.nodes).unwrap();
        self.updates.push(Arc::clone(self.trie.update()));
    }

    fn flush(&mut self) {
        let mut batch = Batch::default();
        self.trie
            .write_dirty(self.flushed, &self.nodes, &mut |key, record| {
                batch.put(key.bytes(), record);
                Ok(())
            })
            .unwrap();
        for update in self.updates.drain(..) {
            for key in &update.gone.branches {
                batch.delete_unless_written(key.bytes());
            }
            for owner in &update.gone.storages {
                let prefix = crate::store::keys::storage_trie(owner);
                self.kv
                    .scan(&prefix, &mut |key, _| {
                        batch.delete_unless_written(key);
                        Ok(true)
                    })
                    .unwrap();
            }
        }
        self.kv.write(batch).unwrap();
        assert!(
            self.nodes.is_shallow(),
            "the cache keeps what it cannot weigh"
        );
        self.flushed = self.trie.version();
        self.trie = self.trie.without_stored(self.flushed);
    }

    fn reopen(&mut self) {
        self.flush();
        self.nodes = TrieNodes::new(Arc::clone(&self.kv), 1 << 20).unwrap();
        self.trie = StateTrie::from_root_record(&self.trie.root_record(), self.flushed).unwrap();
    }

    /// The keys of all stored branches.
    fn stored(&self) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        for kind in [b"t", b"u"] {
            self.kv
                .scan(kind, &mut |key, _| {
                    keys.push(key.to_vec());
                    Ok(true)
                })
                .unwrap();
        }
        keys
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn roots_agree_with_alloy_trie_whatever_is_changed_flushed_and_reopened(steps in steps()) {
        let mut harness = Harness::new();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Block(touches) => harness.block(model.apply(&touches)),
                Step::Flush => harness.flush(),
                Step::Reopen => harness.reopen(),
            }
            prop_assert_eq!(harness.trie.root(), model.root());
        }
        // What is stored at the end is what a trie made at once would store: nothing is left behind.
        harness.reopen();
        let mut fresh = Harness::new();
        let accounts = model.0.iter().map(|(hashed, (record, slots))| AccountChange {
            hashed: *hashed,
            account: Some(*record),
            wiped: false,
            slots: slots.iter().map(|(key, value)| (*key, *value)).collect(),
        });
        fresh.block(accounts.collect());
        fresh.flush();
        let (kept, needed) = (harness.stored(), fresh.stored());
        prop_assert!(needed.iter().all(|key| kept.contains(key)));
        prop_assert!(kept.iter().all(|key| needed.contains(key) || may_be_left_over(key)));
    }

    #[test]
    fn overlays_do_not_disturb_each_other_or_their_parent(first in vec(key(), 1..9), a in vec((key(), 1u8..9), 1..9), b in vec((key(), 1u8..9), 1..9)) {
        let mut harness = Harness::new();
        let mut model = Model::default();
        let touch = |(hashed, nonce): (B256, u8)| (hashed, Some(nonce), false, vec![]);
        harness.block(model.apply(&first.into_iter().map(|key| touch((key, 1))).collect::<Vec<_>>()));
        harness.flush();
        let parent = harness.trie.clone();
        for touches in [a, b] {
            let mut model = model.clone();
            let accounts = model.apply(&touches.into_iter().map(touch).collect::<Vec<_>>());
            let overlay = parent.next(StateChanges { accounts, codes: vec![] }, &harness.nodes).unwrap();
            prop_assert_eq!(overlay.root(), model.root());
        }
        prop_assert_eq!(parent.root(), model.root());
    }
}

/// A branch that became so short that its parent holds it leaves its record behind, which nothing refers to any more.
/// That takes leaves of a few bytes, so a path of more than forty nibbles, which no two hashes share.
fn may_be_left_over(key: &[u8]) -> bool {
    key[0] == b'u' && key.len() > 33 + 40
}

#[test]
fn an_update_that_changes_nothing_keeps_every_node() {
    let mut harness = Harness::new();
    let mut model = Model::default();
    let touches: Vec<Touch> = (0..200u8)
        .map(|seed| {
            (
                keccak256([seed]),
                Some(1),
                false,
                vec![(keccak256([seed]), U256::from(7))],
            )
        })
        .collect();
    harness.block(model.apply(&touches));
    let before = harness.trie.clone();
    let absent = AccountChange {
        hashed: keccak256(b"absent"),
        account: None,
        wiped: true,
        slots: vec![],
    };
    let mut accounts = model.apply(&touches);
    accounts.push(absent);
    accounts.sort_by_key(|change| change.hashed);
    harness.block(accounts);
    assert!(harness.trie.root.is_same(&before.root));
    assert!(harness.updates.last().unwrap().gone.branches.is_empty());
}

#[test]
fn a_stored_node_that_was_altered_is_corruption() {
    let mut harness = Harness::new();
    let mut model = Model::default();
    let touches: Vec<Touch> = (0..200u8)
        .map(|seed| (keccak256([seed]), Some(1), false, vec![]))
        .collect();
    harness.block(model.apply(&touches));
    harness.reopen();
    for key in harness.stored() {
        let record = harness.kv.get(&key).unwrap().unwrap();
        for at in [0, record.len() / 2, record.len() - 1] {
            let mut altered = record.clone();
            altered[at] ^= 1;
            let mut batch = Batch::default();
            batch.put(key.clone(), altered);
            harness.kv.write(batch).unwrap();
            let nodes = TrieNodes::new(Arc::clone(&harness.kv), 1 << 20).unwrap();
            let changes = StateChanges {
                accounts: model.clone().apply(
                    &touches
                        .iter()
                        .map(|t| (t.0, Some(2), false, vec![]))
                        .collect::<Vec<_>>(),
                ),
                codes: vec![],
            };
            let next = harness.trie.next(changes, &nodes);
            assert!(
                matches!(next, Err(crate::EngineError::Corruption(_))),
                "{next:?}"
            );
        }
        let mut batch = Batch::default();
        batch.put(key, record);
        harness.kv.write(batch).unwrap();
    }
}

#[test]
fn proofs_verify_for_what_is_there_and_for_what_is_not() {
    let mut harness = Harness::new();
    let address = |seed: u8| Address::repeat_byte(seed);
    let slot = |seed: u8| B256::with_last_byte(seed);
    let touch = |seed: u8| {
        let slots = (0..seed)
            .map(|at| (keccak256(slot(at)), U256::from(at) + U256::from(1)))
            .collect();
        (keccak256(address(seed)), Some(seed % 7 + 1), false, slots)
    };
    let mut model = Model::default();
    for count in [1u8, 2, 40] {
        harness.block(model.apply(&(0..count).map(touch).collect::<Vec<_>>()));
        for reopen in [false, true] {
            if reopen {
                harness.reopen();
            }
            for seed in 0..60u8 {
                let slots: Vec<B256> = [0, 1, 30, 77].map(slot).to_vec();
                let proof = harness
                    .trie
                    .proof(address(seed), &slots, &harness.nodes)
                    .unwrap();
                let expected = model.0.get(&keccak256(address(seed)));
                let account = expected.map(|(record, _)| {
                    alloy_rlp::encode(TrieAccount::new(
                        record.nonce,
                        record.balance,
                        proof.storage_hash,
                        record.code_hash,
                    ))
                });
                let path = Nibbles::unpack(keccak256(address(seed)));
                verify_proof(harness.trie.root(), path, account, &proof.account_proof).unwrap();
                for (slot, entry) in slots.iter().zip(&proof.storage_proof) {
                    let value =
                        expected.and_then(|(_, slots)| slots.get(&keccak256(slot)).copied());
                    assert_eq!(entry.value, value.unwrap_or_default());
                    let value = value.map(alloy_rlp::encode);
                    let path = Nibbles::unpack(keccak256(slot));
                    verify_proof(proof.storage_hash, path, value, &entry.proof).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_large_storage_trie_is_built_and_emptied() {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::default());
    let nodes = TrieNodes::new(kv, 1 << 20).unwrap();
    let mut slots: Vec<(B256, U256)> = (0..3_000u32)
        .map(|at| (keccak256(at.to_be_bytes()), U256::from(at + 1)))
        .collect();
    slots.sort();
    let update = Update::new(&nodes, 1);
    let full = update_trie(Child::Empty, &slots, B256::repeat_byte(1), &update).unwrap();
    assert_eq!(full.root_hash(), storage_root(slots.iter().copied()));
    let zeros: Vec<(B256, U256)> = slots.iter().map(|(key, _)| (*key, U256::ZERO)).collect();
    assert!(
        update_trie(full.clone(), &zeros, B256::repeat_byte(1), &update)
            .unwrap()
            .is_empty()
    );
    let half = update_trie(full, &zeros[..1_500], B256::repeat_byte(1), &update).unwrap();
    assert_eq!(
        half.root_hash(),
        storage_root(slots[1_500..].iter().copied())
    );
}
