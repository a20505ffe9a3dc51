//! Chains that other clients made: their genesis hashes, and 600 blocks executed rule by rule.
//!
//! The files lie beside the project (shared/vectors); without them these tests say so and pass.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, b256};
use alloy_rlp::{Decodable, Header as RlpHeader};
use engine::{Block, Engine, EngineConfig, EngineError, genesis::GenesisBlock};
use revm::DatabaseRef;
use serde_json::Value;

/// Unpack one folder of the archive, or say why not.
fn unpack(folder: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let archive =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/vectors.tar.xz");
    let archive = std::env::var_os("METANODE_VECTORS").map_or(archive, PathBuf::from);
    assert!(
        !archive.is_dir(),
        "METANODE_VECTORS is the directory {}; the tests of Rust unpack the archive themselves: name vectors.tar.xz",
        archive.display()
    );
    if !archive.exists() {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI may not skip: put vectors.tar.xz at {}",
            archive.display()
        );
        eprintln!(
            "skipped: put vectors.tar.xz at {} or name it in METANODE_VECTORS",
            archive.display()
        );
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let status = Command::new("tar")
        .arg("xf")
        .arg(&archive)
        .arg("-C")
        .arg(directory.path())
        .arg(folder)
        .status();
    assert!(status.unwrap().success(), "tar cannot unpack {folder}");
    let path = directory.path().join(folder);
    Some((directory, path))
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap()
}

/// Cut a file of concatenated RLP blocks.
fn blocks(mut rest: &[u8]) -> Vec<Bytes> {
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let start = rest;
        let header = RlpHeader::decode(&mut rest).unwrap();
        rest = &rest[header.payload_length..];
        blocks.push(Bytes::copy_from_slice(&start[..start.len() - rest.len()]));
    }
    blocks
}

fn first_parent(block: &[u8]) -> B256 {
    let mut rest = block;
    RlpHeader::decode(&mut rest).unwrap();
    Header::decode(&mut rest).unwrap().parent_hash
}

#[test]
fn the_genesis_of_a_proof_of_work_chain_has_the_hash_that_geth_gives_it() {
    let Some((_directory, path)) = unpack("dev/execution-apis/tests/chain.rlp") else {
        return;
    };
    let (_other, genesis) = unpack("dev/execution-apis/tests/genesis.json").unwrap();
    let genesis = GenesisBlock::parse(&read(&genesis)).unwrap();
    assert_eq!(genesis.block.hash, first_parent(&blocks(&read(&path))[0]));
    // The chain itself starts before the merge, which the engine says instead of running it wrongly.
    assert!(!genesis.spec.is_merged_from_genesis());
}

/// The requests of each block, from its newPayload call.
fn requests(calls: &Value) -> Vec<Vec<Bytes>> {
    let of = |call: &Value| -> Vec<Bytes> {
        let list = call["params"].get(3).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .map(|item| base64(item.as_str().unwrap()))
            .collect()
    };
    calls.as_array().unwrap().iter().map(of).collect()
}

/// The file writes requests in base64.
fn base64(text: &str) -> Bytes {
    let mut bits = 0u32;
    let mut count = 0;
    let mut out = Vec::new();
    for character in text.bytes().filter(|character| *character != b'=') {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out.into()
}

#[test]
fn a_chain_from_shanghai_to_prague_executes_to_its_published_state() {
    let Some((_directory, path)) = unpack("dev/devp2p-ethtest") else {
        return;
    };
    let calls = json(&path.join("newpayload.json"));
    let head: B256 =
        serde_json::from_value(json(&path.join("headblock.json"))["hash"].clone()).unwrap();
    assert_eq!(
        head,
        b256!("44e3809c9a3cda717f00aea3a9da336d149612c8d5657fbc0028176ef8d94d2a")
    );
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let config = EngineConfig {
            path: Some(directory.path().into()),
            threads: 2,
            ..EngineConfig::default()
        };
        Engine::open(&read(&path.join("genesis.json")), config).unwrap()
    };
    let engine = open();
    let genesis: B256 = serde_json::from_value(calls[0]["params"][0]["blockHash"].clone()).unwrap();
    assert_eq!(engine.head().hash, genesis);

    let requests = requests(&calls);
    let chain: Vec<_> = blocks(&read(&path.join("chain.rlp")))
        .into_iter()
        .map(|rlp| {
            let number = Block::header_of(&rlp).unwrap().0.number;
            (rlp, requests[number as usize].clone())
        })
        .filter(|(rlp, _)| Block::header_of(rlp).unwrap().0.number > 0)
        .collect();
    assert_eq!(chain.len(), 600);
    assert!(chain.iter().any(|(_, requests)| !requests.is_empty()));
    // One of its requests less, and the block that made it is invalid.
    let with_request = chain
        .iter()
        .position(|(_, requests)| !requests.is_empty())
        .unwrap();
    engine.import(&chain[..with_request]).unwrap();
    let bare = engine.validate(&chain[with_request].0, &[]);
    assert!(
        matches!(
            bare,
            Err(EngineError::InvalidBlock {
                code: "requests_hash",
                ..
            })
        ),
        "{bare:?}"
    );
    engine.import(&chain[..300]).unwrap();
    engine.close().unwrap();
    drop(engine);

    let engine = open();
    assert_eq!(engine.head().number, 300);
    assert_eq!(engine.import(&chain).unwrap().hash, head);
    assert_eq!(engine.payload(450).unwrap().unwrap(), chain[449]);

    // The published accounts, one by one.
    let state = engine.store().latest();
    let accounts = json(&path.join("headstate.json"));
    let accounts = accounts["accounts"].as_object().unwrap();
    assert!(accounts.len() > 100);
    for account in accounts.values() {
        let Some(address) = account.get("address") else {
            continue;
        };
        let address = serde_json::from_value(address.clone()).unwrap();
        let info = state.basic_ref(address).unwrap().unwrap();
        assert_eq!(
            info.balance.to_string(),
            account["balance"].as_str().unwrap(),
            "{address}"
        );
        assert_eq!(info.nonce, account["nonce"].as_u64().unwrap(), "{address}");
    }
}
