//! Ommers against the rules of the Yellow Paper (11.1), the DAO fork and London's first block, and what an engine takes for
//! the import of a chain.

use alloy_genesis::Genesis;
use alloy_primitives::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{
    Engine, EngineConfig, ExecutedBlock,
    header::{gas_limit_before, next_base_fee},
    testing::Account as Sender,
};

fn spec(config: Value) -> ChainSpec {
    let genesis: Genesis = serde_json::from_value(json!({ "config": config })).unwrap();
    ChainSpec::from_genesis(&genesis).unwrap()
}

fn frontier() -> ChainSpec {
    spec(json!({ "chainId": 1 }))
}

/// A header that may stand on `parent` before London; `nonce` makes brothers.
fn child(parent: &Header, nonce: u64) -> Header {
    Header {
        parent_hash: parent.hash_slow(),
        number: parent.number + 1,
        timestamp: parent.timestamp + 10,
        gas_limit: parent.gas_limit,
        difficulty: U256::from(131_072),
        nonce: nonce.into(),
        ..Header::default()
    }
}

/// Ten blocks, oldest first.
fn chain() -> Vec<Header> {
    let first = Header {
        gas_limit: 100_000,
        difficulty: U256::from(131_072),
        ..Header::default()
    };
    std::iter::successors(Some(first), |parent| Some(child(parent, 0)))
        .take(10)
        .collect()
}

fn ancestors(chain: &[Header], ommers_of: &[(u64, Header)]) -> Vec<Ancestor> {
    let newest = chain.iter().rev().take(OMMER_GENERATIONS as usize);
    newest
        .map(|header| Ancestor {
            hash: header.hash_slow(),
            header: header.clone(),
            ommers: ommers_of
                .iter()
                .filter(|(number, _)| *number == header.number)
                .map(|(_, ommer)| ommer.clone())
                .collect(),
        })
        .collect()
}

fn judge(chain: &[Header], ommers_of: &[(u64, Header)], ommers: Vec<Header>) -> Result<()> {
    let mut block = Block::from_parts(
        child(chain.last().unwrap(), 0),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Default::default(),
    );
    block.ommers = ommers;
    validate_ommers(&frontier(), &block, &ancestors(chain, ommers_of))
}

#[test]
fn an_ommer_is_a_brother_of_one_of_the_last_six_ancestors() {
    let chain = chain();
    // The block would be number 10; an ommer with number n stands on block n - 1.
    for (parent, is_allowed) in [
        (9, false), // its own brother
        (8, true),
        (7, true),
        (3, true),
        (2, false),
        (0, false),
    ] {
        let result = judge(&chain, &[], vec![child(&chain[parent], 7)]);
        assert_eq!(result.is_ok(), is_allowed, "parent {parent}: {result:?}");
    }
}

#[test]
fn ommers_are_at_most_two_and_none_twice_nor_an_ancestor() {
    let chain = chain();
    let ommer = |nonce| child(&chain[7], nonce);
    assert!(judge(&chain, &[], vec![ommer(1), ommer(2)]).is_ok());
    for (what, earlier, ommers) in [
        ("three", vec![], vec![ommer(1), ommer(2), ommer(3)]),
        ("twice in one block", vec![], vec![ommer(1), ommer(1)]),
        ("named by an ancestor", vec![(9, ommer(1))], vec![ommer(1)]),
        ("an ancestor", vec![], vec![chain[8].clone()]),
    ] {
        let result = judge(&chain, &earlier, ommers);
        assert!(
            matches!(
                result,
                Err(EngineError::InvalidBlock { code: "ommers", .. })
            ),
            "{what}: {result:?}"
        );
    }
}

#[test]
fn an_ommer_obeys_the_rules_of_a_header() {
    let chain = chain();
    let good = child(&chain[7], 1);
    type Change = fn(&mut Header);
    let changes: [(&str, Change); 6] = [
        ("number", |header| header.number += 1),
        ("timestamp", |header| header.timestamp -= 10),
        ("gas_limit", |header| header.gas_limit += 98),
        ("gas_used", |header| header.gas_used = header.gas_limit + 1),
        ("extra_data", |header| {
            header.extra_data = Bytes::from(vec![0; 33])
        }),
        ("base_fee", |header| header.base_fee_per_gas = Some(1)),
    ];
    for (rule, change) in changes {
        let mut ommer = good.clone();
        change(&mut ommer);
        let Err(EngineError::InvalidBlock { code, detail }) = judge(&chain, &[], vec![ommer])
        else {
            panic!("{rule} is not looked at");
        };
        assert!(
            code == "ommers" && detail.contains(rule),
            "{rule}: {detail}"
        );
    }
    // Difficulty is not checked, but that there is some.
    let mut lighter = good.clone();
    lighter.difficulty = U256::from(1);
    assert!(judge(&chain, &[], vec![lighter]).is_ok());
}

#[test]
fn the_first_ten_blocks_of_a_dao_fork_are_marked() {
    let marked = Bytes::from_static(DAO_EXTRA_DATA);
    for (supports, number, extra_data, is_valid) in [
        (true, 4, Bytes::new(), true),
        (true, 5, Bytes::new(), false),
        (true, 5, marked.clone(), true),
        (true, 14, Bytes::new(), false),
        (true, 15, Bytes::new(), true),
        (false, 5, marked.clone(), false),
        (false, 5, Bytes::new(), true),
        (false, 15, marked, true),
    ] {
        let spec = spec(
            json!({ "chainId": 1, "homesteadBlock": 0, "daoForkBlock": 5, "daoForkSupport": supports }),
        );
        let header = Header {
            number,
            extra_data,
            difficulty: U256::from(1),
            ..Header::default()
        };
        let result = validate_proof_of_work(&spec, &header);
        assert_eq!(result.is_ok(), is_valid, "{supports} {number}: {result:?}");
    }
}

#[test]
fn london_begins_with_a_fee_of_one_gwei_and_twice_the_gas_limit() {
    let spec = spec(json!({
        "chainId": 1, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0,
        "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 5
    }));
    for (number, base_fee, expected_fee, expected_limit) in [
        (3, None, None, 100_000),
        (4, None, Some(1_000_000_000), 200_000),
        (5, Some(1_000_000_000), Some(875_000_000), 100_000),
    ] {
        let parent = Header {
            number,
            gas_limit: 100_000,
            base_fee_per_gas: base_fee,
            ..Header::default()
        };
        assert_eq!(next_base_fee(&spec, &parent), expected_fee, "{number}");
        assert_eq!(gas_limit_before(&spec, &parent), expected_limit, "{number}");
    }
}

fn genesis(config: Value, alloc: Value) -> Vec<u8> {
    json!({
        "config": config, "alloc": alloc, "nonce": "0x0", "timestamp": "0x0", "extraData": "0x", "gasLimit": "0x186a0",
        "difficulty": "0x20000"
    })
    .to_string()
    .into_bytes()
}

fn open(genesis: &[u8], chain_import: bool) -> Result<std::sync::Arc<Engine>> {
    let config = EngineConfig {
        threads: 1,
        chain_import,
        ..EngineConfig::default()
    };
    Engine::open(genesis, config)
}

#[test]
fn a_chain_from_before_the_merge_opens_for_import_only() {
    let never_merges = genesis(json!({ "chainId": 1 }), json!({}));
    let error = open(&never_merges, false).unwrap_err().to_string();
    assert!(
        error.contains("the chain starts before the merge"),
        "{error}"
    );
    assert!(open(&never_merges, true).is_ok());
    let merges_somewhere = genesis(
        json!({ "chainId": 1, "terminalTotalDifficulty": 1_000_000 }),
        json!({}),
    );
    let error = open(&merges_somewhere, true).unwrap_err().to_string();
    assert!(error.contains("config.mergeNetsplitBlock"), "{error}");
}

/// Seal a block on the head with whatever running it gives, as a miner would; the transactions are in `block`.
fn mine(engine: &Engine, mut block: Block) -> Result<std::sync::Arc<ExecutedBlock>> {
    block.header.transactions_root =
        alloy_consensus::proofs::calculate_transaction_root(&block.transactions);
    block.header.ommers_hash = alloy_consensus::proofs::calculate_ommers_root(&block.ommers);
    // Each refusal names the value that the header should have.
    for _ in 0..8 {
        match engine.validate_alone(&block.encode()) {
            Err(EngineError::InvalidBlock { code, detail }) => {
                let expected = detail.rsplit("expected ").next().unwrap().to_owned();
                match code {
                    "gas_used" => block.header.gas_used = expected.parse().unwrap(),
                    "receipts_root" => block.header.receipts_root = expected.parse().unwrap(),
                    "logs_bloom" => block.header.logs_bloom = expected.parse().unwrap(),
                    "state_root" => block.header.state_root = expected.parse().unwrap(),
                    _ => return Err(invalid(code, detail)),
                }
            }
            other => return other,
        }
    }
    panic!("the block does not settle");
}

fn next(engine: &Engine, extra_data: &'static [u8]) -> Block {
    let head = engine
        .store()
        .header(engine.head().number)
        .unwrap()
        .unwrap();
    let header = Header {
        beneficiary: Address::repeat_byte(0xcb),
        extra_data: Bytes::from_static(extra_data),
        ..child(&head.0, 0)
    };
    Block::from_parts(header, vec![], vec![], vec![], Default::default())
}

fn ether(engine: &Engine, address: Address) -> f64 {
    let balance = engine.store().latest().record(address).unwrap();
    balance.map_or(0.0, |record| {
        u128::try_from(record.balance).unwrap() as f64 / 1e18
    })
}

#[test]
fn miners_of_blocks_and_of_ommers_are_paid() {
    let engine = open(&genesis(json!({ "chainId": 1 }), json!({})), true).unwrap();
    for _ in 0..2 {
        let mined = mine(&engine, next(&engine, b"")).unwrap();
        engine.finalize(mined.block.hash).unwrap();
    }
    let parent = engine.store().header(1).unwrap().unwrap();
    let mut block = next(&engine, b"");
    block.ommers.push(Header {
        beneficiary: Address::repeat_byte(0x0b),
        ..child(&parent.0, 7)
    });
    let mined = mine(&engine, block).unwrap();
    engine.finalize(mined.block.hash).unwrap();
    // Three blocks of five, and a thirty-second part for the ommer, whose miner has seven eighths.
    assert_eq!(
        ether(&engine, Address::repeat_byte(0xcb)),
        15.0 + 5.0 / 32.0
    );
    assert_eq!(ether(&engine, Address::repeat_byte(0x0b)), 5.0 * 7.0 / 8.0);
    // The stored block has its ommer, and the next one cannot name it again.
    let stored = engine.store().block(3).unwrap().unwrap();
    let mut again = next(&engine, b"");
    again.ommers.clone_from(&stored.block.ommers);
    let error = mine(&engine, again).unwrap_err().to_string();
    assert!(error.contains("was named before"), "{error}");
}

#[test]
fn receipts_before_byzantium_have_the_state_root_after_their_transaction() {
    let (one, two) = (Sender::of(1), Sender::of(2));
    let rich = json!({ "balance": "0xde0b6b3a7640000" });
    let genesis = genesis(
        json!({ "chainId": 1, "homesteadBlock": 0 }),
        json!({ one.address.to_string(): rich, two.address.to_string(): rich }),
    );
    let transfer = |sender: &Sender| {
        sender.sign_transaction(alloy_consensus::TxLegacy {
            gas_price: 1,
            gas_limit: 21_000,
            to: alloy_primitives::TxKind::Call(Address::repeat_byte(0xdd)),
            ..Default::default()
        })
    };
    let engine = open(&genesis, true).unwrap();
    let mut block = next(&engine, b"");
    block.transactions = vec![transfer(&one), transfer(&two)];
    let mined = mine(&engine, block).unwrap();
    let roots: Vec<_> = mined
        .receipts
        .iter()
        .map(|receipt| {
            receipt
                .as_receipt()
                .unwrap()
                .status
                .as_post_state()
                .unwrap()
        })
        .collect();
    // A transfer of nothing makes an account before EIP-161, so the second root differs by the sender only.
    assert!(roots[0] != roots[1] && roots[1] != mined.block.header.state_root);
    engine.finalize(mined.block.hash).unwrap();
    let latest = engine.store().latest();
    assert!(
        latest
            .record(Address::repeat_byte(0xdd))
            .unwrap()
            .is_some_and(|record| record.is_empty())
    );
    // The same two blocks of one transaction each without rewards between them give the same roots: a chain of one.
    let reopened = open(&genesis, true).unwrap();
    let mut first = next(&reopened, b"");
    first.transactions = vec![transfer(&one)];
    let first = mine(&reopened, first).unwrap();
    assert_eq!(
        first.receipts[0]
            .as_receipt()
            .unwrap()
            .status
            .as_post_state(),
        Some(roots[0])
    );
}

#[test]
fn the_dao_fork_moves_ether_before_the_transactions_of_its_block() {
    let child_dao = DAO_HARDFORK_ACCOUNTS[0];
    let rich = json!({ "balance": "0xde0b6b3a7640000" });
    let sender = Sender::of(1);
    let genesis = genesis(
        json!({ "chainId": 1, "homesteadBlock": 0, "daoForkBlock": 1, "daoForkSupport": true }),
        json!({ child_dao.to_string(): rich, sender.address.to_string(): rich }),
    );
    let engine = open(&genesis, true).unwrap();
    let mut block = next(&engine, DAO_EXTRA_DATA);
    // What comes in the same block stays.
    block.transactions = vec![sender.sign_transaction(alloy_consensus::TxLegacy {
        gas_price: 1,
        gas_limit: 21_000,
        value: U256::from(5),
        to: alloy_primitives::TxKind::Call(child_dao),
        ..Default::default()
    })];
    let mined = mine(&engine, block).unwrap();
    engine.finalize(mined.block.hash).unwrap();
    assert_eq!(ether(&engine, DAO_HARDFORK_BENEFICIARY), 1.0);
    let after = engine.store().latest().record(child_dao).unwrap().unwrap();
    assert_eq!(after.balance, U256::from(5));
    let untouched = engine
        .store()
        .latest()
        .record(DAO_HARDFORK_ACCOUNTS[1])
        .unwrap();
    assert!(untouched.is_some_and(|record| record.is_empty()));
    assert!(mine(&open(&genesis, true).unwrap(), next(&engine, b"")).is_err());
}
