//! The engine end to end: genesis, every kind of transaction, system contracts, deciding, reopening, bad blocks.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{Header, TxEip2930, TxEip7702, TxEnvelope, TxLegacy, transaction::Recovered};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip4788::BEACON_ROOTS_ADDRESS,
    eip4895::Withdrawal,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, bytes, hex};
use proptest::prelude::*;
use revm::{DatabaseRef, bytecode::Bytecode, state::AccountInfo};

use crate::{
    Block, BuildAttributes, Engine, EngineConfig, EngineError, EngineEvent, ExecutedBlock,
    build::{self, Candidates},
    execute,
    overlay::Overlay,
    pool::Origin,
    testing::{self, Account, GAS_LIMIT},
};

mod building;
mod deciding;
mod ether;
mod genesis;
mod opening;
mod snapshots;
mod storage_faults;
mod transitions;
mod validity;

fn accounts() -> Vec<Account> {
    (1..=8).map(Account::of).collect()
}

fn open(path: Option<&Path>) -> Arc<Engine> {
    let genesis = testing::genesis_json(accounts().iter().map(|account| account.address));
    let config = EngineConfig {
        path: path.map(Into::into),
        threads: 2,
        ..EngineConfig::default()
    };
    Engine::open(&genesis, config).unwrap()
}

fn attributes(engine: &Engine) -> BuildAttributes {
    let head = engine.head();
    BuildAttributes {
        timestamp: head.timestamp + 2,
        fee_recipient: Address::repeat_byte(0xfe),
        prev_randao: B256::repeat_byte(7),
        withdrawals: vec![],
        parent_beacon_block_root: B256::repeat_byte(8),
        gas_limit: GAS_LIMIT,
        extra_data: Bytes::new(),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

fn submit(engine: &Engine, transactions: &[TxEnvelope]) {
    let raws: Vec<_> = transactions.iter().map(testing::raw).collect();
    for (result, transaction) in engine
        .pool()
        .add(&raws, Origin::Local)
        .into_iter()
        .zip(transactions)
    {
        result.unwrap_or_else(|error| panic!("{error}: {transaction:?}"));
    }
}

/// Build on the head and decide it.
fn produce(engine: &Engine) -> Arc<ExecutedBlock> {
    let built = engine
        .build(engine.head().hash, &attributes(engine), soon())
        .unwrap();
    assert_eq!(
        engine.finalize(built.block.hash).unwrap().hash,
        built.block.hash
    );
    built
}

fn code(result: crate::Result<Arc<ExecutedBlock>>) -> &'static str {
    match result {
        Err(EngineError::InvalidBlock { code, .. }) => code,
        other => panic!("expected an invalid block, got {other:?}"),
    }
}

fn requests(block: &Block) -> Vec<Bytes> {
    block.requests.iter().cloned().collect()
}

/// Recipients of the property: some of them are senders too.
fn recipient(number: u8) -> Address {
    if number < 4 {
        Account::of(u64::from(number) + 1).address
    } else {
        Address::repeat_byte(number + 0x20)
    }
}
