//! Opening: from what is on disk to a decided block, and genesis when there is nothing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use alloy_consensus::Header;
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, keccak256};
use alloy_rlp::Decodable;
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;

use super::{
    CACHED_CODES, Head, Inner, Published, Store, StoreOptions,
    blocks::{Blocks, encode_record},
    commit::Writer,
    delta::Delta,
    flat::{FlatState, write_account, write_slot},
    flush::Flusher,
    keys::{self, SlotKey},
    kv::{Batch, DiskKv, Kv, MemoryKv},
    log::{BlockLog, Location, Position},
    log_rows::LogRows,
};
use crate::{
    Block, EngineError, Result,
    state::{changes_of_alloc, corrupt, take},
    trie::{StateTrie, TrieNodes},
};

/// Raised when the layout of keys, values or the log changes.
const FORMAT: &[u8] = b"1";
/// Decoded blocks beyond the newest few are read rarely, and the log gives them back in milliseconds.
const BLOCK_CACHE_BYTES_MAX: u64 = 16 << 20;
/// Genesis is written in batches of this many entries, its head last.
const GENESIS_BATCH: usize = 100_000;

impl Store {
    pub fn open(options: StoreOptions) -> Result<Self> {
        // Half for trie nodes, which are read most; the newest blocks need no more than a few.
        let trie_bytes = options.cache_bytes / 2;
        let flat_bytes = options.cache_bytes / 4;
        let kv_bytes = options.cache_bytes / 8;
        let block_bytes = (options.cache_bytes / 8).min(BLOCK_CACHE_BYTES_MAX);
        let (kv, log): (Arc<dyn Kv>, BlockLog) = match &options.path {
            None => (Arc::new(MemoryKv::default()), BlockLog::in_memory()),
            Some(path) => {
                std::fs::create_dir_all(path).map_err(|error| {
                    EngineError::Storage(format!("create {}: {error}", path.display()))
                })?;
                // First, because it holds the lock that keeps a second process out.
                let kv = DiskKv::open(&path.join("state"), kv_bytes)?;
                (Arc::new(kv), BlockLog::open(&path.join("blocks"))?)
            }
        };
        check_format(&*kv)?;
        if let Some(position) = kv.get(keys::META_CUT)? {
            // A rewind was interrupted between its two steps.
            log.cut(Location::decode(&position)?.end())?;
            let mut batch = Batch::default();
            batch.delete(keys::META_CUT);
            kv.write(batch)?;
        }
        let stored = kv
            .get(keys::META_HEAD)?
            .map(|head| decode_head(&head))
            .transpose()?;
        let from = stored.map_or(Position::default(), |(_, location)| location.end());
        let pending = log.recover(from)?;

        let inner = Inner {
            flat: FlatState::new(Arc::clone(&kv), flat_bytes),
            nodes: TrieNodes::new(Arc::clone(&kv), trie_bytes)?,
            blocks: Blocks::new(log, Arc::clone(&kv), block_bytes)?,
            codes: Cache::new(CACHED_CODES),
            fresh_codes: RwLock::default(),
            published: RwLock::new(Published {
                head: Head::default(),
                trie: StateTrie::default(),
            }),
            head_number: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
            first: AtomicU64::new(1),
            writer: Mutex::default(),
            flushing: Mutex::new(()),
            kv,
            options,
        };
        if let Some((head, location)) = stored {
            inner.load_head(head, location)?;
        }
        let pending = inner.check_chain(stored.map(|(head, _)| head), pending)?;
        inner.writer.lock().pending = pending.into();
        let inner = Arc::new(inner);
        let flusher = Flusher::start(Arc::clone(&inner))?;
        Ok(Self { inner, flusher })
    }
}

impl Inner {
    fn load_head(&self, head: Head, location: Location) -> Result<()> {
        let missing = |what: &str| EngineError::Corruption(format!("the store has no {what}"));
        let root = self.kv.get(keys::META_TRIE_ROOT)?;
        let root = root.ok_or_else(|| missing("root of the state trie"))?;
        let trie = StateTrie::from_root_record(&root, head.number + 1)?;
        let oldest = self.kv.get(keys::META_OLDEST)?;
        let oldest = oldest.and_then(|bytes| bytes.try_into().ok().map(u64::from_be_bytes));
        let header = self.blocks.log.read_header(location)?;
        if keccak256(&header) != head.hash || trie.root() != head.state_root {
            return Err(EngineError::Corruption(format!(
                "the state of block {} ({}) does not belong to the block log or to its trie",
                head.number, head.hash
            )));
        }
        let oldest = oldest.ok_or_else(|| missing("history window"))?;
        self.oldest.store(oldest, Ordering::SeqCst);
        if let Some(first) = self.kv.get(keys::META_FIRST)? {
            let first = first.try_into().map(u64::from_be_bytes);
            let first = first.map_err(|_| missing("first block"))?;
            self.first.store(first, Ordering::Relaxed);
        }
        if let Some(first) = self.kv.get(keys::META_LOG_ROWS)? {
            let first = first.try_into().map(u64::from_be_bytes);
            let first = first.map_err(|_| missing("first block with rows of logs"))?;
            self.blocks.rows.keep(first, head.number);
        }
        self.flat.reset(head.number);
        *self.published.write() = Published { head, trie };
        self.head_number.store(head.number, Ordering::Release);
        Ok(())
    }

    /// Blocks of the log above the head must be a chain on it.
    fn check_chain(
        &self,
        head: Option<Head>,
        found: Vec<Location>,
    ) -> Result<Vec<(Location, B256)>> {
        let mut parent = head.map(|head| (head.number, head.hash));
        let mut chain = Vec::with_capacity(found.len());
        for location in found {
            let rlp = self.blocks.log.read_header(location)?;
            let header = Header::decode(&mut &rlp[..])
                .map_err(|error| corrupt(&format!("a header of the block log: {error}")))?;
            let hash = keccak256(&rlp);
            let follows = match parent {
                Some((number, hash)) => header.number == number + 1 && header.parent_hash == hash,
                None => header.number == 0,
            };
            if !follows {
                return Err(EngineError::Corruption(format!(
                    "block {} ({hash}) of the block log does not follow {parent:?}",
                    header.number
                )));
            }
            parent = Some((header.number, hash));
            chain.push((location, hash));
        }
        Ok(chain)
    }

    pub(crate) fn initialise(
        &self,
        genesis: Block,
        alloc: &[(Address, GenesisAccount)],
    ) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.check_open()?;
        if self.published.read().trie.version() != 0 {
            return Err(EngineError::InvalidInput(
                "the store has a genesis already".into(),
            ));
        }
        let trie = StateTrie::default().next(changes_of_alloc(alloc), &self.nodes)?;
        if genesis.header.number != 0 || genesis.header.state_root != trie.root() {
            return Err(EngineError::InvalidInput(format!(
                "genesis is block {} with state root {}, its allocation gives {}",
                genesis.header.number,
                genesis.header.state_root,
                trie.root()
            )));
        }
        let location = self.log_genesis(&genesis, &mut writer)?;
        self.write_genesis(&genesis, &trie, location)?;

        self.blocks.rows.keep(0, 0);
        self.flat.reset(0);
        let head = Head::of(&genesis.header, genesis.hash);
        *self.published.write() = Published {
            head,
            trie: trie.without_stored(1),
        };
        Ok(())
    }

    /// The log begins with genesis; it may have it from before, when the rest was lost.
    fn log_genesis(&self, genesis: &Block, writer: &mut Writer) -> Result<Location> {
        match writer.pending.front() {
            Some((location, hash)) if *hash == genesis.hash => {
                let location = *location;
                writer.pending.pop_front();
                Ok(location)
            }
            Some((_, hash)) => Err(EngineError::InvalidInput(format!(
                "the block log belongs to another chain: its genesis is {hash}, not {}",
                genesis.hash
            ))),
            None => {
                let location = self.blocks.log.append(&encode_record(genesis, &[]))?;
                self.blocks.log.sync()?;
                Ok(location)
            }
        }
    }

    fn write_genesis(&self, genesis: &Block, trie: &StateTrie, location: Location) -> Result<()> {
        let mut batch = Batch::default();
        let write_when_full = |batch: &mut Batch| {
            if batch.len() < GENESIS_BATCH {
                return Ok(());
            }
            self.kv.write(std::mem::take(batch))
        };
        for change in &trie.update().changes.accounts {
            write_account(&change.hashed, change.account, &mut batch);
            for (slot, value) in &change.slots {
                let key = SlotKey {
                    account: change.hashed,
                    slot: *slot,
                };
                write_slot(&key, *value, &mut batch);
                write_when_full(&mut batch)?;
            }
            write_when_full(&mut batch)?;
        }
        for (hash, code) in &trie.update().changes.codes {
            batch.put(keys::code(hash), code);
            write_when_full(&mut batch)?;
        }
        trie.write_dirty(0, &self.nodes, &mut |key, record| {
            batch.put(key.bytes(), record);
            write_when_full(&mut batch)
        })?;
        let delta = Delta {
            number: 0,
            hash: genesis.hash,
            location,
            transactions: Vec::new(),
            logs: LogRows::default(),
            accounts: Vec::new(),
            slots: Vec::new(),
            trie: Arc::default(),
        };
        Blocks::write_index(&[Arc::new(delta)], &mut batch);
        let head = Head::of(&genesis.header, genesis.hash);
        batch.put(keys::META_TRIE_ROOT, trie.root_record());
        batch.put(keys::META_OLDEST, 0u64.to_be_bytes());
        batch.put(keys::META_LOG_ROWS, 0u64.to_be_bytes());
        batch.put(keys::META_HEAD, encode_head(&head, location));
        self.kv.write(batch)
    }
}

fn check_format(kv: &dyn Kv) -> Result<()> {
    match kv.get(keys::META_FORMAT)? {
        Some(format) if format == FORMAT => Ok(()),
        Some(format) => Err(EngineError::Storage(format!(
            "the data has format {}, this version reads format {}",
            String::from_utf8_lossy(&format),
            String::from_utf8_lossy(FORMAT)
        ))),
        None => {
            let mut batch = Batch::default();
            batch.put(keys::META_FORMAT, FORMAT);
            kv.write(batch)
        }
    }
}

/// Number, hash, state root, timestamp, and the place of the block in the log.
pub(crate) fn encode_head(head: &Head, location: Location) -> Vec<u8> {
    let mut out = head.number.to_be_bytes().to_vec();
    out.extend_from_slice(head.hash.as_slice());
    out.extend_from_slice(head.state_root.as_slice());
    out.extend_from_slice(&head.timestamp.to_be_bytes());
    out.extend(location.encode());
    out
}

fn decode_head(mut input: &[u8]) -> Result<(Head, Location)> {
    let number = |input: &mut &[u8]| {
        let bytes = take(input, 8)?.try_into();
        Ok::<_, EngineError>(u64::from_be_bytes(bytes.map_err(|_| corrupt("head"))?))
    };
    let head = Head {
        number: number(&mut input)?,
        hash: B256::from_slice(take(&mut input, 32)?),
        state_root: B256::from_slice(take(&mut input, 32)?),
        timestamp: number(&mut input)?,
    };
    Ok((head, Location::decode(input)?))
}
