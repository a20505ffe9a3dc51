//! The block `pending`: what this node would propose on the head if it were its turn, run, and kept for a moment.
//!
//! As in geth its state, header and receipts answer what is asked of `pending`. What only consensus adds to a block is not in it:
//! its proposer, its withdrawals, and the consensus block before it.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use alloy_consensus::Header;
use alloy_eips::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes};
use alloy_rpc_types_eth::Transaction;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Answer, Api, Caller, RpcError, json, json_or_null, null, objects, params::Quantity};
use crate::{
    Block, BuildAttributes, EngineError, ExecutedBlock, Result,
    overlay::Overlay,
    store::{Head, StoredBlock},
    trie::StateTrie,
};

/// A block that was run on the head and that nobody decides. Immutable: calls that began on it end on it.
#[derive(Debug)]
pub(super) struct PendingBlock {
    executed: Arc<ExecutedBlock>,
    header: Arc<(Header, B256)>,
    /// After the block.
    state: Overlay,
    /// For receipts and fees, which not many ask for.
    stored: OnceLock<StoredBlock>,
}

impl PendingBlock {
    pub(super) fn block(&self) -> &Block {
        &self.executed.block
    }

    /// With the hash that the block would have. Nobody can ask for it.
    pub(super) fn header(&self) -> &Arc<(Header, B256)> {
        &self.header
    }

    pub(super) fn number(&self) -> u64 {
        self.header.0.number
    }

    pub(super) fn state(&self) -> &Overlay {
        &self.state
    }

    pub(super) fn trie(&self) -> &StateTrie {
        &self.executed.trie
    }

    /// The block with its receipts, as decided blocks are kept.
    pub(super) fn stored(&self) -> &StoredBlock {
        self.stored.get_or_init(|| StoredBlock {
            block: self.executed.block.clone(),
            receipts: self.executed.receipts.clone(),
        })
    }
}

/// What was made last: one block, and never two at the same time.
#[derive(Debug, Default)]
pub(super) struct PendingCache {
    kept: Mutex<Option<Kept>>,
    /// Held by who makes the next one.
    making: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Kept {
    on: B256,
    made: Instant,
    /// `None` where none could be made: it is not tried again at once.
    block: Option<Arc<PendingBlock>>,
}

impl PendingCache {
    /// What was made on this head, and whether it is too old.
    fn on(&self, head: B256, age_max: Duration) -> Option<(Kept, bool)> {
        let kept = self.kept.lock().clone().filter(|kept| kept.on == head)?;
        let is_old = kept.made.elapsed() > age_max;
        Some((kept, is_old))
    }
}

impl Api {
    /// The pending block. `None` where none can be made, as before the merge: what is asked of its state is then answered by the
    /// head's, which is true of the next block too until something runs in it, and keeps wallets going that ask for nothing else.
    pub(super) fn pending(&self) -> Option<Arc<PendingBlock>> {
        let (cache, age_max) = (&self.pending, self.limits.pending_age_max);
        let head = || self.engine.store().head().hash;
        let _making = match cache.on(head(), age_max) {
            Some((kept, false)) => return kept.block,
            // While one caller makes the next one, the others do not wait for it.
            Some((kept, true)) => match cache.making.try_lock() {
                Some(making) => making,
                None => return kept.block,
            },
            None => cache.making.lock(),
        };
        // Whoever was here before may have made it.
        if let Some((kept, false)) = cache.on(head(), age_max) {
            return kept.block;
        }
        let (on, block) = self.make_pending();
        *cache.kept.lock() = Some(Kept {
            on,
            made: Instant::now(),
            block: block.clone(),
        });
        block
    }

    fn make_pending(&self) -> (B256, Option<Arc<PendingBlock>>) {
        let mut head = self.engine.store().head();
        loop {
            let made = self.make_pending_on(head);
            let now = self.engine.store().head();
            match made {
                Ok(block) => return (head.hash, Some(Arc::new(block))),
                // The head was left behind before its child could stand on it.
                Err(EngineError::NotFound(_)) if now.hash != head.hash => head = now,
                Err(_) => return (head.hash, None),
            }
        }
    }

    fn make_pending_on(&self, head: Head) -> Result<PendingBlock> {
        let store = self.engine.store();
        let parent = store
            .header(head.number)?
            .ok_or_else(|| EngineError::NotFound(format!("block {}", head.number)))?;
        let parent = &parent.0;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let attributes = BuildAttributes {
            timestamp: now
                .map_or(0, |now| now.as_secs())
                .max(parent.timestamp.saturating_add(1)),
            fee_recipient: Address::ZERO,
            prev_randao: parent.mix_hash,
            withdrawals: Vec::new(),
            parent_beacon_block_root: B256::ZERO,
            gas_limit: parent.gas_limit,
            extra_data: Bytes::new(),
        };
        let deadline = Instant::now() + self.limits.pending_timeout;
        let base = store.state_at(head.number)?;
        let executed = self
            .engine
            .preview(head.hash, &attributes, None, deadline)
            .map(Arc::new)?;
        Ok(PendingBlock {
            header: Arc::new((executed.block.header.clone(), executed.block.hash)),
            state: Overlay::new(Arc::new(base), vec![Arc::clone(&executed)]),
            stored: OnceLock::new(),
            executed,
        })
    }

    /// As with geth hash, nonce and miner are null.
    pub(super) fn pending_block(&self, full: bool, caller: &Caller) -> Answer {
        #[derive(Serialize)]
        struct Shown {
            #[serde(flatten)]
            fields: Map<String, Value>,
            transactions: Vec<Transaction>,
        }
        let Some(pending) = self.pending() else {
            return null();
        };
        let block = pending.block();
        let mut fields = open_header(&objects::block(block, false))?;
        if !full {
            return caller.json(&fields);
        }
        fields.remove("transactions");
        let indices = 0..block.transactions.len();
        caller.json(&Shown {
            fields,
            transactions: indices.map(|index| placeless(block, index)).collect(),
        })
    }

    pub(super) fn pending_header(&self) -> Answer {
        match self.pending() {
            Some(pending) => json(&open_header(&objects::header(pending.block()))?),
            None => null(),
        }
    }

    pub(super) fn pending_transaction_at(&self, index: Quantity) -> Answer {
        json_or_null(self.pending().and_then(|pending| {
            let block = pending.block();
            place_in(block, index).map(|index| placeless(block, index))
        }))
    }

    /// As elsewhere, `0x` for what is not there.
    pub(super) fn pending_raw_transaction_at(&self, index: Quantity) -> Answer {
        let raw = self.pending().and_then(|pending| {
            let block = pending.block();
            place_in(block, index).map(|index| block.transactions[index].encoded_2718().into())
        });
        json::<Bytes>(&raw.unwrap_or_default())
    }

    pub(super) fn pending_receipts(&self) -> Answer {
        let pending = self.pending();
        let pending =
            pending.ok_or_else(|| RpcError::server("pending receipts is not available"))?;
        json(&self.receipts(pending.stored()))
    }
}

/// The index of a transaction that the block has.
pub(super) fn place_in(block: &Block, index: Quantity) -> Option<usize> {
    let index = usize::try_from(index.0).ok()?;
    (index < block.transactions.len()).then_some(index)
}

/// A transaction that no block has yet.
fn placeless(block: &Block, index: usize) -> Transaction {
    Transaction {
        block_hash: None,
        block_number: None,
        transaction_index: None,
        ..objects::transaction(block, index)
    }
}

/// A block or a header without what is not known before a proposer builds it.
fn open_header<T: Serialize>(of: &T) -> std::result::Result<Map<String, Value>, RpcError> {
    let value = serde_json::to_value(of);
    let mut value = value.map_err(|error| RpcError::internal(error.to_string()))?;
    let fields = value.as_object_mut().map(std::mem::take);
    let mut fields = fields.unwrap_or_default();
    for field in ["hash", "nonce", "miner"] {
        fields.insert(field.to_owned(), Value::Null);
    }
    fields.remove("parentBeaconBlockRoot");
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{
        ApiLimits, Cost,
        tests::node::{Node, patient},
    };
    use super::*;
    use crate::{EngineConfig, testing::Account};

    fn node(pending_age_max: Duration) -> Node {
        let limits = ApiLimits {
            pending_age_max,
            ..patient()
        };
        Node::with(limits, EngineConfig::default())
    }

    fn count(node: &Node) -> Value {
        node.ask("eth_getBlockTransactionCountByNumber", json!(["pending"]))
    }

    #[test]
    fn who_asks_while_another_makes_the_next_block_is_answered_from_the_last_one() {
        let node = node(Duration::ZERO);
        assert_eq!(count(&node), "0x0");
        node.submit(&Account::of(0).transfer(0, Address::ZERO, 1));
        let making = node.api.pending.making.lock();
        assert_eq!(count(&node), "0x0");
        drop(making);
        assert_eq!(count(&node), "0x1");
    }

    #[test]
    fn who_asks_first_on_a_head_waits_for_the_one_who_makes_it_and_makes_no_other() {
        let node = node(Duration::from_secs(3_600));
        let making = node.api.pending.making.lock();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| count(&node));
            // What the one who makes it leaves.
            let (on, block) = node.api.make_pending();
            node.submit(&Account::of(0).transfer(0, Address::ZERO, 1));
            *node.api.pending.kept.lock() = Some(Kept {
                on,
                made: Instant::now(),
                block,
            });
            drop(making);
            assert_eq!(asking.join().expect("an answer"), "0x0");
        });
    }

    #[test]
    fn a_method_that_runs_where_requests_are_read_makes_no_block() {
        let node = node(Duration::ZERO);
        let hash = B256::ZERO;
        for method in Api::declarations().map(|one| &*one.name) {
            let arguments = [
                json!(["pending"]),
                json!(["pending", false]),
                json!(["pending", "0x0"]),
                json!([Address::ZERO, "pending"]),
                json!([Address::ZERO, "0x0", "pending"]),
                json!([hash, "pending"]),
            ];
            *node.api.pending.kept.lock() = None;
            for params in arguments {
                if Api::cost(method) == Some(Cost::Read) {
                    let _ = node.try_ask(method, params);
                }
            }
            assert!(node.api.pending.kept.lock().is_none(), "{method}");
        }
    }
}
