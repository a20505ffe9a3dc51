//! The store: blocks, receipts, state, history and trie of the decided chain. One writer, many readers.
//!
//! A commit appends the block to the log and syncs it, then makes it visible from memory. In the background the changes of
//! many blocks together go to the key-value store in one batch; after a crash, the blocks of the log that it misses are
//! executed again.

mod blocks;
mod commit;
mod delta;
mod flat;
mod flush;
pub(crate) mod keys;
pub(crate) mod kv;
mod log;
mod log_rows;
mod open;
mod past;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;
mod view;

use std::{
    fmt,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_consensus::{Header, ReceiptEnvelope};
use alloy_eips::eip7685::Requests;
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY};
use alloy_rpc_types_eth::EIP1186AccountProofResponse;
use alloy_trie::{
    TrieAccount,
    root::{state_root, storage_root},
};
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;
use revm::{bytecode::Bytecode, database::BundleState};

use crate::{
    Block, EngineError, ExecutedBlock, Result,
    state::{StateChanges, changes_of_alloc, changes_of_bundle},
    trie::{StateTrie, TrieNodes},
};
use blocks::Blocks;
use commit::Writer;
#[cfg(any(test, feature = "testing"))]
pub(crate) use delta::ChangedKeys;
use flat::FlatState;
use flush::Flusher;
use kv::Kv;
pub use log_rows::{LogRow, RowLog};
pub use snapshot::{ANCESTORS, Restoring, StateChunk};
pub use view::StateView;

/// Analysed contracts kept at hand; a contract is at most 24 KiB, most are far smaller.
const CACHED_CODES: usize = 1_024;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Directory of the data; `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// Bytes for all caches together: records, trie nodes, blocks and the key-value store's own.
    pub cache_bytes: u64,
    /// How many blocks of state history are kept; `None` keeps all (archive).
    pub history_blocks: Option<u64>,
    /// The block log is synced to disk at every n-th commit; 1 makes each commit durable.
    pub sync_every_blocks: u32,
    /// Committed blocks collect in memory and reach the key-value store in one batch of this many.
    pub flush_every_blocks: u32,
    /// The same bound in bytes, whichever comes first.
    pub flush_every_bytes: u64,
    /// Where state roots are computed in parallel; `None` uses the pool of the calling thread.
    pub threads: Option<Arc<rayon::ThreadPool>>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            path: None,
            cache_bytes: 64 << 20,
            history_blocks: None,
            sync_every_blocks: 1,
            flush_every_blocks: 128,
            flush_every_bytes: 64 << 20,
            threads: None,
        }
    }
}

/// The last decided block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    pub number: u64,
    pub hash: B256,
    pub state_root: B256,
    pub timestamp: u64,
}

impl Head {
    pub(crate) fn of(header: &Header, hash: B256) -> Self {
        Self {
            number: header.number,
            hash,
            state_root: header.state_root,
            timestamp: header.timestamp,
        }
    }
}

/// A block of the chain as it is kept.
#[derive(Debug)]
pub struct StoredBlock {
    pub block: Block,
    pub receipts: Vec<ReceiptEnvelope>,
}

/// A block as a search for logs reads it.
#[derive(Debug, Clone)]
pub enum SearchedBlock {
    /// It was in memory.
    Decoded(Arc<StoredBlock>),
    /// As it is kept.
    Encoded {
        /// RLP: the list of transactions, and what follows it in a block.
        body: Bytes,
        /// RLP: the list of receipts.
        receipts: Bytes,
    },
}

/// Sizes and counts for metrics.
#[derive(Debug, Clone, Default)]
pub struct StoreStats {
    pub head: u64,
    /// The first block whose state can be read.
    pub oldest_state: u64,
    /// The last block that the key-value store holds.
    pub flushed: u64,
    pub disk_bytes: u64,
    pub log_bytes: u64,
    pub buffered_blocks: u64,
    /// Estimated memory of what is not flushed.
    pub buffered_bytes: u64,
    /// Estimated memory of cached state and trie nodes.
    pub cached_bytes: u64,
}

/// The store of one chain; shared in `Arc`.
pub struct Store {
    inner: Arc<Inner>,
    flusher: Flusher,
}

/// What readers, the writer and the flush thread share.
pub(crate) struct Inner {
    options: StoreOptions,
    kv: Arc<dyn Kv>,
    pub(crate) blocks: Blocks,
    pub(crate) flat: FlatState,
    nodes: TrieNodes,
    codes: Cache<B256, Bytecode>,
    /// Codes of committed blocks that are not flushed.
    fresh_codes: RwLock<std::collections::HashMap<B256, Bytes>>,
    published: RwLock<Published>,
    /// The head's number, for readers that need nothing else. Stored after everything of that block is readable.
    head_number: AtomicU64,
    /// The first block whose state can be read.
    oldest: AtomicU64,
    /// The first block after genesis that the store has: 1, unless it began from a snapshot.
    first: AtomicU64,
    /// Holds the right to change anything.
    writer: Mutex<Writer>,
    /// Held during a flush; taken before `writer`.
    flushing: Mutex<()>,
}

#[derive(Clone)]
struct Published {
    head: Head,
    trie: StateTrie,
}

impl Store {
    /// Whether no genesis was written yet.
    pub fn is_empty(&self) -> bool {
        self.inner.published.read().trie.version() == 0
    }

    /// Write genesis; checks `header.state_root` against the allocation.
    pub fn initialise(&self, genesis: Block, alloc: &[(Address, GenesisAccount)]) -> Result<()> {
        self.inner.initialise(genesis, alloc)
    }

    /// The state root of an allocation, to compute a genesis header.
    ///
    /// Computed by alloy-trie from sorted leaves, so [`Store::initialise`] holds our trie against another one.
    pub fn genesis_root(alloc: &[(Address, GenesisAccount)]) -> B256 {
        let accounts = changes_of_alloc(alloc).accounts.into_iter();
        let leaves = accounts.filter_map(|change| {
            let record = change.account?;
            let storage_root = storage_root(change.slots);
            let account =
                TrieAccount::new(record.nonce, record.balance, storage_root, record.code_hash);
            Some((change.hashed, account))
        });
        state_root(leaves)
    }

    /// Blocks of the log above the head, oldest first: after a crash the engine executes them again and commits them.
    pub fn unapplied(&self) -> Result<Vec<(Bytes, Requests)>> {
        let pending = self.inner.writer.lock().pending_locations();
        let read = |location| {
            let record = self.inner.blocks.log.read(location)?;
            Ok(blocks::block_rlp(&record))
        };
        pending.into_iter().map(read).collect()
    }

    pub fn head(&self) -> Head {
        self.inner.published.read().head
    }

    /// The state after the head, pinned: it stays the same when later blocks commit.
    pub fn latest(&self) -> StateView {
        let number = self.inner.head_number.load(Ordering::Acquire);
        StateView::new(Arc::clone(&self.inner), number)
    }

    /// The state after block `number`; `Pruned` outside the history window.
    pub fn state_at(&self, number: u64) -> Result<StateView> {
        self.inner.check_within_history(number)?;
        Ok(StateView::new(Arc::clone(&self.inner), number))
    }

    /// The state trie at the head.
    pub fn trie(&self) -> StateTrie {
        self.inner.published.read().trie.clone()
    }

    /// The state trie after block `number`; `Pruned` outside the history window.
    pub fn trie_after(&self, number: u64) -> Result<StateTrie> {
        self.inner.trie_after(number)
    }

    /// The trie after `bundle` on top of `parent`, which may be an undecided block's.
    ///
    /// `NotFound` when the chain went on so far meanwhile that the parent's nodes are gone from disk.
    pub fn root_after(&self, parent: &StateTrie, bundle: &BundleState) -> Result<StateTrie> {
        let head = self.trie();
        // The same trie, but after a flush with fewer nodes in memory.
        let parent = if head.is_same_block(parent) {
            &head
        } else {
            parent
        };
        let compute = || {
            let changes = changes_of_bundle(bundle);
            self.inner.next_trie(parent, changes)
        };
        match &self.inner.options.threads {
            Some(threads) => threads.install(compute),
            None => compute(),
        }
    }

    /// Make a block durable and then visible, with its receipts, indexes and history. Its parent must be the head.
    pub fn commit(&self, executed: &Arc<ExecutedBlock>) -> Result<()> {
        self.commit_with(executed, true)
    }

    /// The same without waiting for the disk: the block is durable after `sync`, or with the next block that is.
    pub fn commit_unsynced(&self, executed: &Arc<ExecutedBlock>) -> Result<()> {
        self.commit_with(executed, false)
    }

    fn commit_with(&self, executed: &Arc<ExecutedBlock>, is_synced: bool) -> Result<()> {
        if self.inner.commit(executed, is_synced)? {
            self.flusher.request();
        }
        if self.inner.is_overfull() {
            self.inner.flush()?;
        }
        Ok(())
    }

    /// Wait until every committed block is on disk.
    pub fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    /// The first block after genesis that the store has: 1, unless it began from a snapshot.
    pub fn first_block(&self) -> u64 {
        self.inner.first.load(Ordering::Relaxed)
    }

    /// Header and hash of block `number`.
    pub fn header(&self, number: u64) -> Result<Option<Arc<(Header, B256)>>> {
        self.inner.header(number)
    }

    pub fn number_of(&self, hash: B256) -> Result<Option<u64>> {
        let number = self.inner.blocks.number_of(&hash)?;
        Ok(number.filter(|number| self.inner.is_visible(*number)))
    }

    /// Block `number` for a search through logs, which looks at many blocks once.
    pub fn searched_block(&self, number: u64) -> Result<Option<SearchedBlock>> {
        if !self.inner.is_visible(number) {
            return Ok(None);
        }
        self.inner.blocks.searched(number)
    }

    /// The blocks whose logs are found by address, which all lie below the newest ones.
    pub fn blocks_with_log_rows(&self) -> Range<u64> {
        self.inner.blocks.rows.range()
    }

    /// The logs of an address in `blocks`, block by block, of the first `most` blocks that have some.
    pub fn log_rows(
        &self,
        address: &Address,
        blocks: Range<u64>,
        most: usize,
    ) -> Result<Vec<LogRow>> {
        self.inner.blocks.log_rows(address, blocks, most)
    }

    pub fn block(&self, number: u64) -> Result<Option<Arc<StoredBlock>>> {
        if !self.inner.is_visible(number) {
            return Ok(None);
        }
        self.inner.blocks.block(number)
    }

    /// The block's RLP and its requests, as another node needs them.
    pub fn block_rlp(&self, number: u64) -> Result<Option<(Bytes, Requests)>> {
        if !self.inner.is_visible(number) {
            return Ok(None);
        }
        self.inner.blocks.rlp(number)
    }

    /// Block number and index of a transaction.
    pub fn transaction_location(&self, hash: B256) -> Result<Option<(u64, u32)>> {
        let place = self.inner.blocks.transaction(&hash)?;
        Ok(place.filter(|(number, _)| self.inner.is_visible(*number)))
    }

    /// Account and storage proof after block `number` (eth_getProof), also for what does not exist.
    ///
    /// `LimitExceeded` when too much changed since that block.
    pub fn proof(
        &self,
        number: u64,
        address: Address,
        slots: &[B256],
    ) -> Result<EIP1186AccountProofResponse> {
        self.inner.proof(number, address, slots)
    }

    /// The same in the trie of a block that is not decided, `NotFound` when the chain has gone on too far.
    pub fn proof_in(
        &self,
        trie: &StateTrie,
        address: Address,
        slots: &[B256],
    ) -> Result<EIP1186AccountProofResponse> {
        let proof = trie.proof(address, slots, &self.inner.nodes);
        self.inner.unless_superseded(trie, proof)
    }

    /// Go back to block `to` (for development): later blocks are forgotten. Views taken before are no longer valid.
    pub fn rewind(&self, to: u64) -> Result<Head> {
        self.inner.rewind(to)
    }

    /// Write everything buffered to disk.
    pub fn flush(&self) -> Result<()> {
        self.inner.flush()
    }

    /// Flush and refuse further commits; reads go on.
    pub fn close(&self) -> Result<()> {
        self.flusher.stop();
        let flushed = self.inner.flush();
        self.inner.writer.lock().close();
        flushed
    }

    pub fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What a failed flush leaves out is in the log.
        let _ = self.close();
    }
}

impl Inner {
    pub(crate) fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::SeqCst)
    }

    fn is_visible(&self, number: u64) -> bool {
        number <= self.head_number.load(Ordering::Acquire)
    }

    pub(crate) fn header(&self, number: u64) -> Result<Option<Arc<(Header, B256)>>> {
        if !self.is_visible(number) {
            return Ok(None);
        }
        self.blocks.header(number)
    }

    /// The hash of block `number`, also of the last ones before a snapshot.
    pub(crate) fn block_hash(&self, number: u64) -> Result<Option<B256>> {
        if let Some(header) = self.header(number)? {
            return Ok(Some(header.1));
        }
        if number >= self.first.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let hash = self.kv.get(&keys::ancestor(number))?;
        Ok(hash.and_then(|hash| B256::try_from(&hash[..]).ok()))
    }

    pub(crate) fn code(&self, hash: B256) -> Result<Bytecode> {
        if hash == KECCAK256_EMPTY || hash.is_zero() {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code);
        }
        let fresh = self.fresh_codes.read().get(&hash).cloned();
        let bytes = match fresh {
            Some(bytes) => bytes,
            None => {
                let bytes = self.kv.get(&keys::code(&hash))?;
                let lost = || EngineError::Corruption(format!("the code {hash} is missing"));
                bytes.ok_or_else(lost)?.into()
            }
        };
        // What begins like a delegation of EIP-7702 and is none is plain code, which only a genesis can hold (EIP-3541).
        let code = Bytecode::new_raw_checked(bytes.clone())
            .unwrap_or_else(|_| Bytecode::new_legacy(bytes));
        self.codes.insert(hash, code.clone());
        Ok(code)
    }

    fn next_trie(&self, parent: &StateTrie, changes: StateChanges) -> Result<StateTrie> {
        self.unless_superseded(parent, parent.next(changes, &self.nodes))
    }

    /// What reading a trie gave. Where disk has moved past it, its nodes were overwritten, which is no damage.
    fn unless_superseded<T>(&self, trie: &StateTrie, read: Result<T>) -> Result<T> {
        match read {
            Err(EngineError::Corruption(_)) if self.is_superseded(trie) => {
                Err(EngineError::NotFound(format!(
                    "the state trie of block {} (later blocks are final)",
                    trie.version().saturating_sub(1)
                )))
            }
            result => result,
        }
    }

    fn is_superseded(&self, trie: &StateTrie) -> bool {
        trie.version() <= self.flat.flushed()
    }

    fn check_within_history(&self, number: u64) -> Result<()> {
        if !self.is_visible(number) {
            return Err(EngineError::NotFound(format!("block {number}")));
        }
        let oldest = self.oldest();
        if number < oldest {
            return Err(EngineError::Pruned { number, oldest });
        }
        Ok(())
    }

    fn stats(&self) -> StoreStats {
        let log_bytes = self.blocks.log.bytes();
        let (buffered_blocks, buffered_bytes) = self.writer.lock().buffered();
        StoreStats {
            head: self.head_number.load(Ordering::Acquire),
            oldest_state: self.oldest(),
            flushed: self.flat.flushed(),
            disk_bytes: log_bytes + self.kv.disk_bytes(),
            log_bytes,
            buffered_blocks,
            buffered_bytes,
            cached_bytes: self.flat.cached_bytes() + self.nodes.cached_bytes(),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store")
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}
