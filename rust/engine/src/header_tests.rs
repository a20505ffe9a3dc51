//! Header and body rules, one changed field at a time.

use alloy_consensus::Header;
use alloy_eips::{eip4844::DATA_GAS_PER_BLOB, eip7685::Requests};
use alloy_primitives::{Address, B64, B256, Bytes, U256, bytes};
use proptest::prelude::*;

use crate::{
    Block, BuildAttributes, ChainSpec, EngineError,
    body::validate_body,
    build::child_header,
    header::{next_base_fee, next_excess_blob_gas, validate_header},
    testing,
};

fn spec_with(config: &[(&str, serde_json::Value)]) -> ChainSpec {
    let mut genesis = testing::genesis([]);
    for (key, value) in config {
        genesis["config"][*key] = value.clone();
    }
    ChainSpec::from_genesis(&serde_json::from_value(genesis).unwrap()).unwrap()
}

fn spec() -> ChainSpec {
    spec_with(&[])
}

fn parent() -> Header {
    Header {
        number: 7,
        gas_limit: 60_000_000,
        gas_used: 30_000_000,
        timestamp: 1_700_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        withdrawals_root: Some(B256::ZERO),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(B256::ZERO),
        ..Header::default()
    }
}

fn child_of(spec: &ChainSpec, parent: &Header) -> Header {
    let attributes = BuildAttributes {
        timestamp: parent.timestamp + 2,
        fee_recipient: Address::repeat_byte(0xfe),
        prev_randao: B256::repeat_byte(7),
        withdrawals: vec![],
        parent_beacon_block_root: B256::repeat_byte(8),
        gas_limit: parent.gas_limit,
        extra_data: Bytes::new(),
    };
    let mut header = child_header(spec, parent, parent.hash_slow(), &attributes);
    header.requests_hash = Some(Requests::default().requests_hash());
    header
}

fn code(result: crate::Result<()>) -> Option<&'static str> {
    match result {
        Ok(()) => None,
        Err(EngineError::InvalidBlock { code, detail }) => {
            assert!(!detail.is_empty());
            Some(code)
        }
        Err(other) => panic!("{other:?} is no invalid block"),
    }
}

#[test]
fn each_header_field_is_checked() {
    type Change = fn(&mut Header);
    let spec = spec();
    let parent = parent();
    let valid = child_of(&spec, &parent);
    assert_eq!(
        code(validate_header(&spec, &valid, &parent, parent.hash_slow())),
        None
    );
    let table: &[(&str, Option<&str>, Change)] = &[
        ("another parent", Some("parent_hash"), |h| {
            h.parent_hash = B256::ZERO
        }),
        ("a number too high", Some("number"), |h| h.number += 1),
        ("the parent's number", Some("number"), |h| h.number -= 1),
        ("the parent's time", Some("timestamp"), |h| h.timestamp -= 2),
        ("one second later", None, |h| h.timestamp -= 1),
        ("far ahead, which consensus bounds", None, |h| {
            h.timestamp += 1_000_000
        }),
        ("32 bytes of extra data", None, |h| {
            h.extra_data = vec![1; 32].into()
        }),
        ("33 bytes of extra data", Some("extra_data"), |h| {
            h.extra_data = vec![1; 33].into()
        }),
        ("gas limit up by the step", Some("gas_limit"), |h| {
            h.gas_limit += h.gas_limit / 1_024
        }),
        ("gas limit up by less", None, |h| {
            h.gas_limit += h.gas_limit / 1_024 - 1
        }),
        ("gas limit down by the step", Some("gas_limit"), |h| {
            h.gas_limit -= h.gas_limit / 1_024
        }),
        ("gas limit down by less", None, |h| {
            h.gas_limit -= h.gas_limit / 1_024 - 1
        }),
        ("all gas used", None, |h| h.gas_used = h.gas_limit),
        ("more gas used than allowed", Some("gas_used"), |h| {
            h.gas_used = h.gas_limit + 1
        }),
        ("base fee too high", Some("base_fee"), |h| {
            h.base_fee_per_gas = Some(1_000_000_001)
        }),
        ("base fee too low", Some("base_fee"), |h| {
            h.base_fee_per_gas = Some(999_999_999)
        }),
        ("no base fee", Some("base_fee"), |h| {
            h.base_fee_per_gas = None
        }),
        ("difficulty", Some("difficulty"), |h| {
            h.difficulty = U256::from(1)
        }),
        ("nonce", Some("nonce"), |h| h.nonce = B64::repeat_byte(1)),
        ("ommers", Some("ommers"), |h| h.ommers_hash = B256::ZERO),
        ("any randomness", None, |h| h.mix_hash = B256::ZERO),
        ("any beneficiary", None, |h| h.beneficiary = Address::ZERO),
        ("no withdrawals root", Some("withdrawals_root"), |h| {
            h.withdrawals_root = None
        }),
        ("no blob gas used", Some("blob_gas_used"), |h| {
            h.blob_gas_used = None
        }),
        ("blob gas of half a blob", Some("blob_gas_used"), |h| {
            h.blob_gas_used = Some(DATA_GAS_PER_BLOB / 2)
        }),
        ("blob gas of nine blobs", None, |h| {
            h.blob_gas_used = Some(9 * DATA_GAS_PER_BLOB)
        }),
        ("blob gas of ten blobs", Some("blob_gas_used"), |h| {
            h.blob_gas_used = Some(10 * DATA_GAS_PER_BLOB)
        }),
        ("no excess blob gas", Some("excess_blob_gas"), |h| {
            h.excess_blob_gas = None
        }),
        ("excess blob gas", Some("excess_blob_gas"), |h| {
            h.excess_blob_gas = Some(1)
        }),
        ("no beacon root", Some("parent_beacon_block_root"), |h| {
            h.parent_beacon_block_root = None
        }),
        ("any beacon root", None, |h| {
            h.parent_beacon_block_root = Some(B256::ZERO)
        }),
        ("no requests hash", Some("requests_hash"), |h| {
            h.requests_hash = None
        }),
        ("a block access list", Some("block_access_list_hash"), |h| {
            h.block_access_list_hash = Some(B256::ZERO)
        }),
        ("a slot number", Some("slot_number"), |h| {
            h.slot_number = Some(1)
        }),
    ];
    for (name, expected, change) in table {
        let mut header = valid.clone();
        change(&mut header);
        assert_eq!(
            code(validate_header(&spec, &header, &parent, parent.hash_slow())),
            *expected,
            "{name}"
        );
    }
}

#[test]
fn a_gas_limit_below_the_minimum_is_invalid_even_within_the_step() {
    let spec = spec();
    let parent = Header {
        gas_limit: 5_000,
        gas_used: 2_500,
        ..parent()
    };
    let mut header = child_of(&spec, &parent);
    assert_eq!(
        code(validate_header(&spec, &header, &parent, parent.hash_slow())),
        None
    );
    header.gas_limit = 4_999;
    assert_eq!(
        code(validate_header(&spec, &header, &parent, parent.hash_slow())),
        Some("gas_limit")
    );
}

#[test]
fn fields_of_a_fork_are_refused_before_it() {
    let late = 1_700_000_000 + 1_000;
    let spec = spec_with(&[
        ("shanghaiTime", late.into()),
        ("cancunTime", late.into()),
        ("pragueTime", late.into()),
        ("osakaTime", late.into()),
    ]);
    let parent = Header {
        withdrawals_root: None,
        blob_gas_used: None,
        excess_blob_gas: None,
        parent_beacon_block_root: None,
        requests_hash: None,
        ..parent()
    };
    let mut valid = child_of(&spec, &parent);
    valid.requests_hash = None;
    assert_eq!(
        code(validate_header(&spec, &valid, &parent, parent.hash_slow())),
        None
    );
    type Change = fn(&mut Header);
    let table: &[(&str, Change)] = &[
        ("withdrawals_root", |h| {
            h.withdrawals_root = Some(B256::ZERO)
        }),
        ("blob_gas_used", |h| h.blob_gas_used = Some(0)),
        ("excess_blob_gas", |h| h.excess_blob_gas = Some(0)),
        ("parent_beacon_block_root", |h| {
            h.parent_beacon_block_root = Some(B256::ZERO)
        }),
        ("requests_hash", |h| h.requests_hash = Some(B256::ZERO)),
    ];
    for (expected, change) in table {
        let mut header = valid.clone();
        change(&mut header);
        assert_eq!(
            code(validate_header(&spec, &header, &parent, parent.hash_slow())),
            Some(*expected)
        );
    }
}

#[test]
fn excess_blob_gas_follows_the_childs_fork() {
    let time = parent().timestamp;
    let gas = DATA_GAS_PER_BLOB;
    let cheap = Header {
        base_fee_per_gas: Some(7),
        ..parent()
    };
    for (name, config, parent, expected) in [
        (
            "below the target nothing stays",
            vec![],
            Header {
                blob_gas_used: Some(6 * gas),
                ..cheap.clone()
            },
            0,
        ),
        (
            "above the target the rest stays",
            vec![],
            Header {
                blob_gas_used: Some(9 * gas),
                ..cheap.clone()
            },
            3 * gas,
        ),
        (
            "EIP-7918: with dear execution gas a third of the use stays",
            vec![],
            Header {
                blob_gas_used: Some(9 * gas),
                excess_blob_gas: Some(gas),
                ..parent()
            },
            gas + 3 * gas,
        ),
        (
            "before Osaka there is no reserve price",
            vec![("osakaTime", (time + 100).into())],
            Header {
                blob_gas_used: Some(9 * gas),
                excess_blob_gas: Some(gas),
                ..parent()
            },
            4 * gas,
        ),
        (
            "BPO1 raises the target to ten, at its first block",
            vec![("bpo1Time", (time + 2).into())],
            Header {
                blob_gas_used: Some(9 * gas),
                excess_blob_gas: Some(2 * gas),
                ..cheap.clone()
            },
            gas,
        ),
        (
            "BPO2 raises it to fourteen",
            vec![("bpo1Time", 0.into()), ("bpo2Time", (time + 2).into())],
            Header {
                blob_gas_used: Some(15 * gas),
                excess_blob_gas: Some(2 * gas),
                ..cheap
            },
            3 * gas,
        ),
        (
            "the first block with blobs starts from nothing",
            vec![
                ("cancunTime", (time + 2).into()),
                ("pragueTime", (time + 2).into()),
                ("osakaTime", (time + 2).into()),
            ],
            Header {
                blob_gas_used: None,
                excess_blob_gas: None,
                ..parent()
            },
            0,
        ),
    ] {
        let spec = spec_with(&config);
        assert_eq!(
            next_excess_blob_gas(&spec, &parent, time + 2),
            Some(expected),
            "{name}"
        );
    }
}

#[test]
fn base_fee_follows_eip_1559() {
    for (gas_used, base_fee, expected) in [
        (30_000_000, 1_000_000_000, 1_000_000_000),
        (60_000_000, 1_000_000_000, 1_125_000_000),
        (0, 1_000_000_000, 875_000_000),
        (30_000_001, 7, 8),
        (0, 7, 7),
        (0, 8, 7),
    ] {
        let parent = Header {
            gas_used,
            base_fee_per_gas: Some(base_fee),
            ..parent()
        };
        assert_eq!(
            next_base_fee(&spec(), &parent),
            Some(expected),
            "{gas_used} {base_fee}"
        );
    }
}

proptest! {
    #[test]
    fn the_base_fee_moves_by_an_eighth_at_most(gas_used in 0u64..=60_000_000, base_fee in 0u64..1_000_000_000_000) {
        let parent = Header { gas_used, base_fee_per_gas: Some(base_fee), ..parent() };
        let next = next_base_fee(&spec(), &parent).unwrap();
        prop_assert!(next.abs_diff(base_fee) <= (base_fee / 8).max(1));
        prop_assert_eq!(next > base_fee, gas_used > 30_000_000);
    }

    #[test]
    fn a_header_with_one_flipped_byte_never_passes_for_the_block(index in 0usize..500, bit in 0u8..8) {
        let spec = spec();
        let block = block(&spec);
        let mut rlp = block.encode().to_vec();
        let index = index % rlp.len();
        rlp[index] ^= 1 << bit;
        if let Ok((_, hash)) = Block::header_of(&rlp) {
            let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let decoded = Block::decode(&spec, &rlp, &block.requests, &|_| None, &threads);
            prop_assert!(hash != block.hash || decoded.is_err() || code(validate_body(&spec, &decoded.unwrap(), true)).is_some());
        }
    }
}

/// An empty but otherwise complete block, and three transfers.
fn block(spec: &ChainSpec) -> Block {
    let parent = parent();
    let sender = testing::Account::of(1);
    let transactions: Vec<_> = (0..3)
        .map(|nonce| sender.transfer(nonce, Address::repeat_byte(9), 1))
        .collect();
    let mut header = child_of(spec, &parent);
    header.transactions_root = alloy_consensus::proofs::calculate_transaction_root(&transactions);
    Block::from_parts(
        header,
        transactions,
        vec![sender.address; 3],
        vec![],
        Requests::default(),
    )
}

#[test]
fn each_part_of_the_body_is_checked() {
    type Change = fn(&mut Block);
    let spec = spec();
    let valid = block(&spec);
    assert_eq!(code(validate_body(&spec, &valid, true)), None);
    let table: &[(&str, &str, Change)] = &[
        ("a transaction less", "transactions_root", |b| {
            b.transactions.pop();
        }),
        ("transactions in another order", "transactions_root", |b| {
            b.transactions.swap(0, 1)
        }),
        ("a withdrawal more", "withdrawals_root", |b| {
            b.withdrawals.push(Default::default())
        }),
        ("an ommer", "ommers", |b| b.ommers.push(Header::default())),
        ("a request more", "requests_hash", |b| {
            b.requests.push_request(bytes!("01aa"))
        }),
        ("a request without data", "requests", |b| {
            b.requests = Requests::from(vec![bytes!("01")])
        }),
        ("an empty request", "requests", |b| {
            b.requests = Requests::from(vec![bytes!("")])
        }),
        ("requests out of order", "requests", |b| {
            b.requests.push_request(bytes!("02aa"));
            b.requests.push_request(bytes!("01aa"));
        }),
        ("a request type twice", "requests", |b| {
            b.requests.push_request(bytes!("01aa"));
            b.requests.push_request(bytes!("01bb"));
        }),
        ("requests before their fork", "requests", |b| {
            b.header.requests_hash = None;
            b.requests.push_request(bytes!("01aa"));
        }),
        ("blob gas without blobs", "blob_gas_used", |b| {
            b.header.blob_gas_used = Some(DATA_GAS_PER_BLOB)
        }),
        ("more than 8 MiB", "block_size", |b| b.size = (8 << 20) + 1),
        (
            "a transaction over 2^24 gas",
            "transaction_gas_limit",
            |b| {
                let over = testing::Account::of(1).call(3, (1 << 24) + 1);
                b.transactions
                    .push(testing::Account::of(1).sign_transaction(over));
            },
        ),
    ];
    for (name, expected, change) in table {
        let mut block = valid.clone();
        change(&mut block);
        assert_eq!(
            code(validate_body(&spec, &block, true)),
            Some(*expected),
            "{name}"
        );
    }
}

#[test]
fn the_caps_of_osaka_do_not_bind_before_it() {
    let spec = spec_with(&[("osakaTime", (parent().timestamp + 100).into())]);
    let mut block = block(&spec);
    block.size = (8 << 20) + 1;
    let over = testing::Account::of(1).call(3, (1 << 24) + 1);
    block
        .transactions
        .push(testing::Account::of(1).sign_transaction(over));
    block.header.transactions_root =
        alloy_consensus::proofs::calculate_transaction_root(&block.transactions);
    assert_eq!(code(validate_body(&spec, &block, true)), None);
}
