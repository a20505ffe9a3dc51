//! The facade: one chain with its state, its pool and its undecided blocks.
//!
//! Undecided blocks are kept by hash as overlays over the head; `finalize` makes one of them the head and drops its
//! siblings. Everything here blocks; the caller chooses the thread. Building and validating may run beside each other
//! and beside readers; deciding is serial.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{Header, TxEnvelope, proofs, transaction::Recovered};
use alloy_evm::EvmEnv;
use alloy_primitives::{Address, B256, Bytes};
use parking_lot::{Mutex, RwLock};

use crate::{
    Block, ChainSpec, EngineError, ExecutedBlock, Result,
    block::invalid,
    body::validate_body,
    build,
    chain::{Chain, Parent, Tip, Undecided},
    events::{self, EventBus},
    execute::{self, ExecutorFactory, PostStates},
    genesis::GenesisBlock,
    header::{expect_equal, next_base_fee, validate_header},
    measure::{Work, WorkStatistics},
    pool::{PoolConfig, PoolHead, TransactionPool, changed_accounts},
    proof_of_work::{Ancestor, OMMER_GENERATIONS, validate_ommers},
    spec::BLOCK_BYTES_MAX,
    store::{Head, StateChunk, Store, StoreOptions},
};
pub use crate::{
    build::BuildAttributes,
    events::{EngineEvent, Subscription},
};

/// Blocks that wait between two stages of an import: enough to keep the earlier one ahead, little memory.
const IMPORT_BLOCKS_AHEAD: usize = 2;

/// How to open an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Directory of the data; `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// Bytes for the store's caches together.
    pub cache_bytes: u64,
    /// Threads for blocks (recovery, roots), and as many again for transactions that arrive. One more is for previews.
    pub threads: usize,
    /// Blocks of state history to keep; `None` keeps all (archive).
    pub history_blocks: Option<u64>,
    /// The block log is synced at every n-th block; 1 makes each decided block durable by itself.
    pub sync_every_blocks: u32,
    pub pool: PoolConfig,
    /// Upper bound of gas for a call or an estimate of the api.
    pub gas_ceiling: u64,
    /// Whether the chain may begin before the merge. Such blocks can only be imported, and their proof of work is not checked:
    /// never for a network of one's own.
    pub chain_import: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            path: None,
            cache_bytes: 64 << 20,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            history_blocks: None,
            sync_every_blocks: 1,
            pool: PoolConfig::default(),
            gas_ceiling: 50_000_000,
            chain_import: false,
        }
    }
}

/// What a block is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To be proposed.
    Proposal,
    /// To be looked at.
    Preview,
}

/// One chain. Safe to share between threads.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    spec: Arc<ChainSpec>,
    factory: ExecutorFactory,
    store: Arc<Store>,
    pool: Arc<TransactionPool>,
    threads: Arc<rayon::ThreadPool>,
    /// For the roots of blocks that nobody proposes.
    previews: Arc<rayon::ThreadPool>,
    chain: RwLock<Chain>,
    /// Held while the chain is extended: one decision at a time.
    deciding: Mutex<()>,
    events: Arc<EventBus>,
    work: Work,
}

impl Engine {
    /// Open the chain of a geth-format genesis; a directory of another genesis is refused.
    ///
    /// Blocks that were durable but not yet applied when the process ended are executed again first.
    pub fn open(genesis_json: &[u8], config: EngineConfig) -> Result<Arc<Self>> {
        let genesis = GenesisBlock::parse(genesis_json)?;
        if config.chain_import {
            genesis.spec.validate_merge_block()?;
        } else if !genesis.spec.is_merged_from_genesis() {
            return Err(EngineError::InvalidInput(
                "genesis: the chain starts before the merge; expected config.terminalTotalDifficulty 0".into(),
            ));
        }
        let threads = thread_pool("engine", config.threads)?;
        // Floods of transactions must not stand in front of a block that waits for its signatures or its root.
        let intake = thread_pool("intake", config.threads)?;
        let previews = thread_pool("preview", 1)?;
        let store = open_store(&config, &genesis)?;
        let spec = Arc::new(genesis.spec);
        let tip = Tip::load(&store)?;
        let pool = Arc::new(TransactionPool::new(
            PoolConfig {
                takes_blobs: config.chain_import,
                ..config.pool.clone()
            },
            spec.chain_id,
            intake,
            pool_head(&spec, &tip),
        ));
        let events = Arc::new(EventBus::default());
        events::announce_pending(&pool, &events)?;
        let engine = Arc::new(Self {
            factory: execute::executor_factory(spec.clone()),
            spec,
            pool,
            chain: RwLock::new(Chain::new(tip)),
            deciding: Mutex::new(()),
            config,
            store,
            threads,
            previews,
            events,
            work: Work::default(),
        });
        engine.replay()?;
        Ok(engine)
    }

    pub fn head(&self) -> Head {
        self.chain.read().tip.head
    }

    pub fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub fn pool(&self) -> &Arc<TransactionPool> {
        &self.pool
    }

    /// The threads for blocks; never the global pool of rayon.
    pub fn threads(&self) -> &Arc<rayon::ThreadPool> {
        &self.threads
    }

    /// A bounded queue of events; a reader that falls behind loses the oldest ones.
    pub fn subscribe(&self) -> Subscription {
        self.events.subscribe()
    }

    /// Undecided blocks that are kept.
    pub fn undecided(&self) -> usize {
        self.chain.read().undecided()
    }

    /// What the work on blocks took and gave.
    pub fn work(&self) -> WorkStatistics {
        self.work.snapshot()
    }

    /// Build a block on `parent` from the pool's best transactions; it is kept, so that validating it is free.
    ///
    /// Transactions are added until `deadline`, less the time that the roots are expected to take.
    pub fn build(
        &self,
        parent: B256,
        attributes: &BuildAttributes,
        deadline: Instant,
    ) -> Result<Arc<ExecutedBlock>> {
        let best = |base_fee| self.pool.best(base_fee);
        let proposal = Purpose::Proposal;
        let (block, executed) = self.assemble(parent, attributes, best, deadline, proposal)?;
        Ok(self.keep(block, executed))
    }

    /// Build a block that nobody keeps: of exactly these transactions, or of the pool's best. The statistics do not count it, and no
    /// block of the chain waits for it.
    ///
    /// `InvalidBlock` is what is wrong with one of the transactions; `Cancelled` means that time was over before all were in.
    pub fn preview(
        &self,
        parent: B256,
        attributes: &BuildAttributes,
        transactions: Option<Vec<Recovered<TxEnvelope>>>,
        deadline: Instant,
    ) -> Result<ExecutedBlock> {
        let Some(transactions) = transactions else {
            let best = |base_fee| self.pool.best(base_fee);
            let assembled = self.assemble(parent, attributes, best, deadline, Purpose::Preview)?;
            return Ok(assembled.1);
        };
        let count = transactions.len();
        let mut chosen = build::Chosen::new(transactions);
        let preview = Purpose::Preview;
        let (_, executed) =
            self.assemble(parent, attributes, |_| &mut chosen, deadline, preview)?;
        let included = executed.block.transactions.len();
        if included < count {
            // The time is ours, and says nothing of the transactions.
            if chosen.refusal.is_none() && chosen.is_late {
                return Err(EngineError::Cancelled);
            }
            let why = chosen
                .refusal
                .unwrap_or_else(|| "no gas is left".to_owned());
            return Err(invalid(
                "transaction",
                format!("transaction {included} of the {count} given cannot stand in it: {why}"),
            ));
        }
        Ok(executed)
    }

    fn assemble<C: build::Candidates>(
        &self,
        parent: B256,
        attributes: &BuildAttributes,
        candidates: impl FnOnce(u64) -> C,
        deadline: Instant,
        purpose: Purpose,
    ) -> Result<(Bytes, ExecutedBlock)> {
        let started = Instant::now();
        let parent = self.chain.read().parent(parent)?;
        build::validate_attributes(&self.spec, &parent.header, attributes)?;
        let header = build::child_header(&self.spec, &parent.header, parent.hash, attributes);
        let candidates = candidates(header.base_fee_per_gas.unwrap_or_default());
        let withdrawals = &attributes.withdrawals;
        let filling = Instant::now();
        let filled = build::fill(
            &self.factory,
            &parent.overlay,
            &header,
            withdrawals,
            candidates,
            deadline,
        )?;
        let filled_at = Instant::now();
        let gas_used = filled.outcome.gas_used;
        let threads = match purpose {
            Purpose::Proposal => &self.threads,
            Purpose::Preview => &self.previews,
        };
        let (roots, transactions_root) = threads.join(
            || execute::outcome_roots(&self.store, threads, &parent.trie, &filled.outcome),
            || proofs::calculate_transaction_root(&filled.transactions),
        );
        let rooted = filled_at.elapsed();
        let sealed = build::seal(
            &self.spec,
            header,
            withdrawals.clone(),
            filled,
            roots?,
            transactions_root,
        );
        if purpose == Purpose::Proposal {
            self.work.record_gas(gas_used, filled_at - filling);
            self.work.state_root.record(rooted);
            self.work.build.record(started.elapsed() - rooted);
        }
        Ok(sealed)
    }

    /// Check every rule of a block whose parent is the head or a kept block; it is kept by hash.
    ///
    /// `InvalidBlock` is the block's fault for every node; `NotFound` means that its parent is not known here.
    pub fn validate(&self, rlp: &[u8], requests: &[Bytes]) -> Result<Arc<ExecutedBlock>> {
        self.check(rlp, Some(requests))
    }

    /// The same for a block without its requests beside it: they are those that running it gives.
    pub fn validate_alone(&self, rlp: &[u8]) -> Result<Arc<ExecutedBlock>> {
        self.check(rlp, None)
    }

    fn check(&self, rlp: &[u8], requests: Option<&[Bytes]>) -> Result<Arc<ExecutedBlock>> {
        let started = Instant::now();
        let (header, hash) = Block::header_of(rlp)?;
        let parent = {
            let chain = self.chain.read();
            if let Some(executed) = chain.find(hash, rlp, requests) {
                return Ok(executed);
            }
            chain.parent(header.parent_hash)?
        };
        // The cheap rules first: a bad header must not cost the recovery of thousands of signatures.
        validate_header(&self.spec, &header, &parent.header, parent.hash)?;
        if rlp.len() > BLOCK_BYTES_MAX {
            return Err(invalid(
                "block_size",
                format!("the block has {} bytes, over {BLOCK_BYTES_MAX}", rlp.len()),
            ));
        }
        let block = self.decode(rlp, requests)?;
        let executed = self.run(block, requests.is_some(), &parent, started.elapsed())?;
        Ok(self.keep(Bytes::copy_from_slice(rlp), executed))
    }

    /// Make a kept block the head; its siblings are dropped, pool and subscribers are told.
    ///
    /// Repeating it for the head does nothing. `NotFound` means that the block has to be validated (again) first.
    pub fn finalize(&self, hash: B256) -> Result<Head> {
        let _deciding = self.deciding.lock();
        self.decide(hash, Store::commit)
    }

    /// Validate and finalize blocks in order: one block is recovered, the one before it runs, and the one before that is
    /// committed at the same time. They are durable together when this returns.
    ///
    /// Blocks that the chain already has are passed over; another block at a decided number is refused. After an error
    /// the blocks before the bad one are decided.
    pub fn import(&self, blocks: &[(Bytes, Vec<Bytes>)]) -> Result<Head> {
        let given = blocks
            .iter()
            .map(|(rlp, requests)| (rlp, Some(&requests[..])));
        self.import_each(given)
    }

    /// The same for blocks without their requests beside them, as files of chains have them.
    pub fn import_alone(&self, blocks: &[Bytes]) -> Result<Head> {
        self.import_each(blocks.iter().map(|rlp| (rlp, None)))
    }

    fn import_each<'a>(
        &self,
        blocks: impl Iterator<Item = (&'a Bytes, Option<&'a [Bytes]>)> + Send,
    ) -> Result<Head> {
        let _deciding = self.deciding.lock();
        let (decoded, to_run) = crossbeam_channel::bounded(IMPORT_BLOCKS_AHEAD);
        let (valid, to_decide) = crossbeam_channel::bounded::<B256>(IMPORT_BLOCKS_AHEAD);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for (rlp, requests) in blocks {
                    let started = Instant::now();
                    let block = self.decode(rlp, requests);
                    let is_last = block.is_err();
                    let block = block.map(|block| (block, requests, rlp, started.elapsed()));
                    // The other side is gone after an error of its own.
                    if decoded.send(block).is_err() || is_last {
                        break;
                    }
                }
            });
            let deciding = scope.spawn(move || {
                to_decide
                    .iter()
                    .try_for_each(|hash| self.decide(hash, Store::commit_unsynced).map(drop))
            });
            let run = || -> Result<()> {
                for block in to_run {
                    let (block, requests, rlp, decoding) = block?;
                    let started = Instant::now();
                    if self.is_decided(&block)? {
                        continue;
                    }
                    let hash = block.hash;
                    let parent = self.chain.read().parent(block.header.parent_hash)?;
                    validate_header(&self.spec, &block.header, &parent.header, parent.hash)?;
                    let checked = decoding + started.elapsed();
                    let executed = self.run(block, requests.is_some(), &parent, checked)?;
                    self.keep(rlp.clone(), executed);
                    if valid.send(hash).is_err() {
                        // Deciding has failed; its error is the one that counts.
                        break;
                    }
                }
                Ok(())
            };
            let ran = run();
            drop(valid);
            let decided = deciding
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let synced = self.store.sync();
            decided?;
            synced?;
            ran?;
            Ok(self.head())
        })
    }

    /// RLP and requests of a decided block.
    pub fn payload(&self, number: u64) -> Result<Option<(Bytes, Vec<Bytes>)>> {
        let stored = self.store.block_rlp(number)?;
        Ok(stored.map(|(rlp, requests)| (rlp, requests.take())))
    }

    /// The RLP list of a decided block's receipts.
    pub fn receipts(&self, number: u64) -> Result<Option<Bytes>> {
        let stored = self.store.block(number)?;
        Ok(stored.map(|stored| {
            let mut rlp = Vec::new();
            alloy_rlp::encode_list(&stored.receipts, &mut rlp);
            rlp.into()
        }))
    }

    /// The part of the state at the head that follows `after`; empty `after` begins, and flushes what is in memory.
    pub fn state_chunk(&self, after: &[u8], bytes_max: usize) -> Result<StateChunk> {
        let _deciding = self.deciding.lock();
        if after.is_empty() {
            self.store.flush()?;
        }
        self.store.state_chunk(after, bytes_max)
    }

    /// The environment in which `header`'s own transactions ran.
    pub fn evm_env(&self, header: &Header) -> EvmEnv {
        self.spec.evm_env(header)
    }

    /// The environment of a block on top of `parent`, as `build` would make it.
    pub fn next_env(&self, parent: &Header, attributes: &BuildAttributes) -> EvmEnv {
        // Nothing that runs inside a block can see its parent's hash except by BLOCKHASH, which asks the state.
        self.spec.evm_env(&build::child_header(
            &self.spec,
            parent,
            B256::ZERO,
            attributes,
        ))
    }

    /// Go back to block `number`; later blocks are forgotten. Only for recovery by an operator.
    pub fn rewind(&self, number: u64) -> Result<Head> {
        let _deciding = self.deciding.lock();
        self.store.rewind(number)?;
        let tip = Tip::load(&self.store)?;
        let head = tip.head;
        self.pool.clear();
        if let Some(stored) = self.store.block(head.number)? {
            self.pool
                .on_new_head(&stored.block, [], pool_head(&self.spec, &tip));
        }
        self.chain.write().reset(tip);
        Ok(head)
    }

    /// Write everything to disk. The engine may be used on, but is usually dropped after it.
    pub fn close(&self) -> Result<()> {
        let _deciding = self.deciding.lock();
        self.store.close()
    }

    /// Execute again what was durable but not applied when the last process ended.
    fn replay(&self) -> Result<()> {
        let _deciding = self.deciding.lock();
        for (rlp, requests) in self.store.unapplied()? {
            let started = Instant::now();
            let replayed = self.decode(&rlp, Some(&requests)).and_then(|block| {
                let parent = self.chain.read().parent(block.header.parent_hash)?;
                let hash = block.hash;
                let executed = self.run(block, true, &parent, started.elapsed())?;
                self.keep(rlp.clone(), executed);
                self.decide(hash, Store::commit)
            });
            replayed.map_err(|error| match error {
                // It was valid when it was written, so what changed is the disk.
                EngineError::InvalidBlock { .. } | EngineError::NotFound(_) => {
                    EngineError::Corruption(format!(
                        "a block of the log does not apply again: {error}"
                    ))
                }
                other => other,
            })?;
        }
        Ok(())
    }

    fn decode(&self, rlp: &[u8], requests: Option<&[Bytes]>) -> Result<Block> {
        let known = |hash: &B256| -> Option<Address> { self.pool.sender(hash) };
        let requests = requests.unwrap_or_default();
        Block::decode(&self.spec, rlp, requests, &known, &self.threads)
    }

    /// Check body and outcome of a block whose header was checked, which took `checked` so far.
    fn run(
        &self,
        mut block: Block,
        are_requests_given: bool,
        parent: &Parent,
        checked: Duration,
    ) -> Result<ExecutedBlock> {
        let started = Instant::now();
        if !block.ommers.is_empty() {
            validate_ommers(&self.spec, &block, &self.ancestors(parent)?)?;
        }
        let mut body = Ok(());
        let post_states = PostStates::new(&self.store, &parent.trie);
        let (outcome, executing) = self.threads.in_place_scope(|scope| {
            scope.spawn(|_| body = validate_body(&self.spec, &block, are_requests_given));
            let outcome = execute::execute(&self.factory, &parent.overlay, &block, &post_states);
            (outcome, started.elapsed())
        });
        body?;
        let outcome = outcome?;
        let rooting = Instant::now();
        let roots = execute::outcome_roots(&self.store, &self.threads, &parent.trie, &outcome)?;
        let rooted = rooting.elapsed();
        if !are_requests_given {
            if let Some(hash) = block.header.requests_hash {
                expect_equal("requests_hash", hash, outcome.requests.requests_hash())?;
            }
            block.requests = outcome.requests.clone();
        }
        execute::validate_outcome(&block, &outcome, &roots)?;
        let work = &self.work;
        work.record_gas(outcome.gas_used, executing);
        work.execute.record(executing);
        work.state_root.record(rooted);
        work.validate
            .record((checked + started.elapsed()).saturating_sub(executing + rooted));
        Ok(ExecutedBlock {
            block,
            receipts: outcome.receipts,
            bundle: outcome.bundle,
            trie: roots.trie,
        })
    }

    /// The blocks before a child of `parent` by which its ommers are judged, newest first.
    fn ancestors(&self, parent: &Parent) -> Result<Vec<Ancestor>> {
        let undecided = parent.overlay.ancestors();
        let mut ancestors: Vec<Ancestor> = undecided
            .iter()
            .map(|executed| Ancestor::of(&executed.block))
            .collect();
        let first = (parent.header.number + 1).saturating_sub(OMMER_GENERATIONS);
        let decided = first..(parent.header.number + 1).saturating_sub(undecided.len() as u64);
        for number in decided.rev() {
            let stored = self
                .store
                .block(number)?
                .ok_or_else(|| EngineError::NotFound(format!("block {number}, for ommers")))?;
            ancestors.push(Ancestor::of(&stored.block));
        }
        ancestors.truncate(OMMER_GENERATIONS as usize);
        Ok(ancestors)
    }

    fn keep(&self, rlp: Bytes, executed: ExecutedBlock) -> Arc<ExecutedBlock> {
        let executed = Arc::new(executed);
        self.chain.write().keep(Undecided {
            executed: executed.clone(),
            rlp,
        });
        executed
    }

    /// Whether the chain has this block already; another one at its number is a conflict.
    fn is_decided(&self, block: &Block) -> Result<bool> {
        let number = block.header.number;
        if number > self.head().number {
            return Ok(false);
        }
        let stored = self
            .store
            .header(number)?
            .ok_or_else(|| EngineError::NotFound(format!("block {number}")))?;
        if stored.1 == block.hash {
            return Ok(true);
        }
        Err(EngineError::InvalidInput(format!(
            "block {number} is decided as {}; {} cannot take its place",
            stored.1, block.hash
        )))
    }

    /// The part of `finalize` that needs the decision lock.
    fn decide(
        &self,
        hash: B256,
        commit: fn(&Store, &Arc<ExecutedBlock>) -> Result<()>,
    ) -> Result<Head> {
        let executed = {
            let chain = self.chain.read();
            if chain.tip.head.hash == hash {
                return Ok(chain.tip.head);
            }
            let kept = chain
                .get(hash)
                .ok_or_else(|| EngineError::NotFound(format!("block {hash} among the kept")))?;
            let parent_hash = kept.executed.block.header.parent_hash;
            if parent_hash != chain.tip.head.hash {
                return Err(EngineError::InvalidInput(format!(
                    "block {hash} stands on {parent_hash}, which is not the head {}",
                    chain.tip.head.hash
                )));
            }
            kept.executed.clone()
        };
        let started = Instant::now();
        commit(&self.store, &executed)?;
        self.work.store_commit.record(started.elapsed());
        self.work.count_transactions(&executed.receipts);
        let tip = Tip::load(&self.store)?;
        let head = tip.head;
        self.pool.on_new_head(
            &executed.block,
            changed_accounts(&executed.bundle),
            pool_head(&self.spec, &tip),
        );
        self.chain.write().advance(tip);
        if let Some(stored) = self.store.block(head.number)? {
            self.events.publish(&EngineEvent::NewHead(stored));
        }
        self.work.commit.record(started.elapsed());
        Ok(head)
    }
}

pub(crate) fn thread_pool(name: &'static str, threads: usize) -> Result<Arc<rayon::ThreadPool>> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .thread_name(move |index| format!("{name}-{index}"))
        .build()
        .map(Arc::new)
        .map_err(|error| EngineError::LimitExceeded(format!("no threads: {error}")))
}

fn open_store(config: &EngineConfig, genesis: &GenesisBlock) -> Result<Arc<Store>> {
    let store = Store::open(StoreOptions {
        path: config.path.clone(),
        cache_bytes: config.cache_bytes,
        history_blocks: config.history_blocks,
        sync_every_blocks: config.sync_every_blocks,
        ..StoreOptions::default()
    })?;
    if store.is_empty() {
        store.initialise(genesis.block.clone(), &genesis.alloc)?;
    }
    let stored = store
        .header(0)?
        .ok_or_else(|| EngineError::Corruption("the genesis header is missing".into()))?;
    if stored.1 != genesis.block.hash {
        return Err(EngineError::InvalidInput(format!(
            "the data belongs to the genesis {}, but the given genesis file is {}",
            stored.1, genesis.block.hash
        )));
    }
    Ok(Arc::new(store))
}

fn pool_head(spec: &ChainSpec, tip: &Tip) -> PoolHead {
    PoolHead {
        number: tip.head.number,
        next_base_fee: next_base_fee(spec, &tip.header).unwrap_or_default(),
        next_gas_limit: tip.header.gas_limit,
        accounts: Arc::new(tip.view()),
    }
}
