//! The doors to what decodes the bytes of strangers and of the disk, for tests that send them anything (`rust/fuzz`).
//!
//! Each takes bytes and panics when what it decodes is not itself again. A decoder's own refusal is not looked at.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use alloy_consensus::Header;
use alloy_eips::{eip2718::Encodable2718, eip4895::Withdrawals};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof, root};

use crate::{
    Block, ChainSpec,
    genesis::GenesisBlock,
    pool::{decode_batch, decode_raw},
    restore::decode_receipts,
    state::{AccountChange, AccountRecord, StateChanges},
    store::{
        ChangedKeys, Restoring, StoreOptions,
        kv::{Kv, MemoryKv},
    },
    testing::genesis_json,
    transaction::{self, SenderRules},
    trie::{
        AccountValue, LeafValue, StateTrie, StorageValue, TrieNodes, read_branch, write_branch,
    },
};

/// Requests, logs and lists in a snapshot are bounded elsewhere; here only time is at stake.
const CACHE_BYTES: u64 = 1 << 20;
/// Accounts and slots of one trie.
const TOUCHES_MAX: usize = 64;

static SPEC: LazyLock<ChainSpec> = LazyLock::new(|| {
    let genesis = GenesisBlock::parse(&genesis_json([])).expect("the development genesis is one");
    genesis.spec
});
static THREADS: LazyLock<rayon::ThreadPool> = LazyLock::new(|| {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.expect("a thread can be started")
});

/// A transaction as the pool takes it from wallets and peers, and as a block has it.
///
/// # Panics
/// When the pool or a block would take bytes that are not the transaction's one encoding, or the two differ about it.
pub fn transaction(data: &[u8]) {
    let hash = keccak256(data);
    let pooled = decode_raw(data, hash);
    if let Ok(transaction) = &pooled {
        assert_eq!(transaction.encoded_2718(), data, "the pool keeps the bytes");
    }
    let Ok(transaction) = transaction::decode(data) else {
        assert!(pooled.is_err(), "the pool takes what no block can have");
        return;
    };
    if let Ok(pooled) = pooled {
        assert_eq!(pooled, transaction);
        assert_eq!(pooled.hash(), transaction.hash());
    }
    let _ = SenderRules::at(&SPEC, 1).recover(&transaction);
}

/// A block as a proposer or a peer sends it.
///
/// # Panics
/// When two byte strings are one block, or the same block differs when its senders are known.
pub fn block(data: &[u8]) {
    let header = Block::header_of(data);
    let Ok(block) = Block::decode(&SPEC, data, &[], &|_| None, &THREADS) else {
        return;
    };
    assert_eq!(*block.encode(), *data);
    assert_eq!(header.ok(), Some((block.header.clone(), block.hash)));
    let again = Block::decode_with_senders(data, &[], block.senders.clone());
    assert_eq!(again.ok(), Some(block));
}

/// RLP that comes in other envelopes; the first byte chooses the kind.
///
/// # Panics
/// When bytes are taken that are not the value's one encoding.
pub fn rlp(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => again::<Header>(data),
        1 => {
            if let Ok(receipts) = decode_receipts(data) {
                assert_eq!(alloy_rlp::encode(&receipts), data);
            }
        }
        2 => again::<Withdrawals>(data),
        _ => {
            let Ok(raws) = decode_batch(data) else {
                return;
            };
            let mut list = Vec::new();
            alloy_rlp::encode_list::<_, [u8]>(&raws, &mut list);
            assert_eq!(list, data, "a batch has one encoding");
        }
    }
}

fn again<T: Decodable + Encodable>(data: &[u8]) {
    let Ok(value) = alloy_rlp::decode_exact::<T>(data) else {
        return;
    };
    assert_eq!(
        alloy_rlp::encode(&value),
        data,
        "two byte strings for one value"
    );
}

/// What the disk gives back of the state and its trie, what a snapshot brings, and tries made of the bytes; the first byte chooses.
///
/// # Panics
/// When a record that was read is another one after it was written, or a trie's root or proofs are not alloy-trie's.
pub fn trie(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 6 {
        0 => branch_record::<AccountValue>(data),
        1 => branch_record::<StorageValue>(data),
        2 => {
            if let Ok(trie) = StateTrie::from_root_record(data, 1) {
                let again = StateTrie::from_root_record(&trie.root_record(), 1);
                assert_eq!(again.map(|again| again.root()), Ok(trie.root()));
            }
        }
        3 => {
            if let Ok(keys) = ChangedKeys::decode(data) {
                assert_eq!(ChangedKeys::decode(&keys.encode()).ok(), Some(keys));
            }
        }
        4 => {
            let options = StoreOptions {
                cache_bytes: CACHE_BYTES,
                ..StoreOptions::default()
            };
            let mut restoring = Restoring::begin(options).expect("memory is empty");
            let _ = restoring.add(data);
            let _ = restoring.root();
        }
        _ => made_of(data),
    }
}

fn branch_record<V: LeafValue>(data: &[u8]) {
    // The first byte is the depth, as the path that leads to the record.
    let Some((depth, mut input)) = data.split_first() else {
        return;
    };
    let path = Nibbles::from_nibbles(vec![7; usize::from(depth % 65)]);
    let Ok(branch) = read_branch::<V>(&mut input, &path) else {
        return;
    };
    let mut written = Vec::new();
    write_branch(&branch, path.len(), &mut written);
    let again = read_branch::<V>(&mut &written[..], &path).expect("what was written is read");
    assert_eq!(again.rlp(), branch.rlp());
}

/// Accounts and slots of 4 bytes each: which account, its nonce, which slot, its value. Zero removes.
fn made_of(data: &[u8]) {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::default());
    let nodes = TrieNodes::new(kv, CACHE_BYTES).expect("a small cache");
    let mut model = BTreeMap::<Address, (u64, BTreeMap<B256, U256>)>::new();
    let mut trie = StateTrie::default();
    for touch in data.chunks_exact(4).take(TOUCHES_MAX) {
        let address = Address::with_last_byte(touch[0]);
        let slot = B256::with_last_byte(touch[2] % 32);
        let nonce = u64::from(touch[1]);
        let value = U256::from(touch[3]);
        let mut slots = Vec::new();
        if nonce == 0 {
            model.remove(&address);
        } else {
            let account = model.entry(address).or_default();
            account.0 = nonce;
            if value.is_zero() {
                account.1.remove(&slot);
            } else {
                account.1.insert(slot, value);
            }
            slots.push((keccak256(slot), value));
        }
        let change = AccountChange {
            hashed: keccak256(address),
            account: (nonce > 0).then(|| AccountRecord {
                nonce,
                ..AccountRecord::default()
            }),
            wiped: nonce == 0,
            slots,
        };
        let changes = StateChanges {
            accounts: vec![change],
            codes: Vec::new(),
        };
        trie = trie.next(changes, &nodes).expect("all nodes are in memory");
    }
    let accounts = model.iter().map(|(address, (nonce, slots))| {
        let storage_root =
            root::storage_root_unhashed(slots.iter().map(|(key, value)| (*key, *value)));
        let account = TrieAccount::new(
            *nonce,
            U256::ZERO,
            storage_root,
            alloy_primitives::KECCAK256_EMPTY,
        );
        (*address, account)
    });
    assert_eq!(trie.root(), root::state_root_unhashed(accounts));
    let asked = Address::with_last_byte(data.first().copied().unwrap_or_default());
    let proof = trie
        .proof(asked, &[B256::ZERO], &nodes)
        .expect("all nodes are in memory");
    let expected = model.get(&asked).map(|(nonce, _)| {
        alloy_rlp::encode(TrieAccount::new(
            *nonce,
            U256::ZERO,
            proof.storage_hash,
            proof.code_hash,
        ))
    });
    verify_proof(
        trie.root(),
        Nibbles::unpack(keccak256(asked)),
        expected,
        &proof.account_proof,
    )
    .expect("a proof proves");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Account, raw};

    #[test]
    fn what_is_right_passes_every_door() {
        let transaction = Account::of(1).transfer(0, Address::ZERO, 7);
        let encoded = raw(&transaction);
        super::transaction(&encoded);

        let block = Block::from_parts(
            Header::default(),
            vec![transaction.clone()],
            vec![Account::of(1).address],
            Vec::new(),
            Default::default(),
        );
        super::block(&block.encode());
        let mut batch = vec![3];
        alloy_rlp::encode_list::<_, [u8]>(&[&encoded[..]], &mut batch);
        rlp(&batch);
        trie(&[5, 1, 1, 1, 1, 1, 0, 0, 0, 2, 1, 1, 1]);
    }

    proptest! {
        #[test]
        fn nothing_passes_a_door_by_breaking_it(data: Vec<u8>) {
            super::transaction(&data);
            super::block(&data);
            rlp(&data);
            trie(&data);
        }
    }
}
