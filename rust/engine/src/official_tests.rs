//! The official blockchain tests from Cancun to Osaka that lie beside the project (shared/vectors): valid blocks must be
//! accepted and lead to the published head, invalid ones refused for the right reason.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use alloy_primitives::{B256, Bytes};
use serde_json::{Value, json};

use crate::{Engine, EngineConfig, EngineError, Result};

/// Forks in order, with the name of their time in a genesis.
const FORKS: [(&str, &str); 4] = [
    ("Shanghai", "shanghaiTime"),
    ("Cancun", "cancunTime"),
    ("Prague", "pragueTime"),
    ("Osaka", "osakaTime"),
];

/// The codes that an expected exception may have here.
const EXCEPTIONS: [(&str, &[&str]); 6] = [
    ("INTRINSIC_GAS_TOO_LOW", &["transaction_intrinsic_gas"]),
    ("GAS_LIMIT_EXCEEDS_MAXIMUM", &["transaction_gas_limit"]),
    ("GAS_ALLOWANCE_EXCEEDED", &["transaction_block_gas"]),
    (
        "INVALID_DEPOSIT_EVENT_LAYOUT",
        &["execution", "deposit_event"],
    ),
    ("INVALID_BASEFEE_PER_GAS", &["base_fee"]),
    (
        "INCORRECT_BLOCK_FORMAT",
        &[
            "rlp",
            "excess_blob_gas",
            "blob_gas_used",
            "parent_beacon_block_root",
        ],
    ),
];

fn vectors() -> Option<(tempfile::TempDir, PathBuf)> {
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
    let folder = "dev/eest/blockchain_tests";
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

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            found.push(path);
        }
    }
}

/// A genesis file of a test: its header's fields, its accounts and the times of its forks.
fn genesis(test: &Value) -> Value {
    let network = test["network"].as_str().unwrap();
    let (from, to, time) = match network.split_once("To") {
        Some((from, to)) => (from, to.trim_end_matches("AtTime15k"), 15_000),
        None => (network, network, 0),
    };
    let blocks = [
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
    ];
    let mut config =
        json!({ "chainId": 1, "terminalTotalDifficulty": 0, "berlinBlock": 0, "londonBlock": 0 });
    for name in blocks {
        config[format!("{name}Block")] = 0.into();
    }
    let position = |name: &str| FORKS.iter().position(|fork| fork.0 == name).unwrap();
    for (index, (_, key)) in FORKS.iter().enumerate() {
        if index <= position(from) {
            config[*key] = 0.into();
        } else if index <= position(to) {
            config[*key] = time.into();
        }
    }
    config["depositContractAddress"] = "0x00000000219ab540356cbb839cbe05303d7705fa".into();
    let number = |value: &Value| {
        u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    let schedule = test["config"]["blobSchedule"].as_object();
    for (fork, blobs) in schedule.into_iter().flatten() {
        config["blobSchedule"][fork.to_lowercase()] = json!({
            "target": number(&blobs["target"]), "max": number(&blobs["max"]),
            "baseFeeUpdateFraction": number(&blobs["baseFeeUpdateFraction"])
        });
    }
    let header = &test["genesisBlockHeader"];
    json!({
        "config": config, "alloc": test["pre"], "nonce": header["nonce"], "timestamp": header["timestamp"],
        "extraData": header["extraData"], "gasLimit": header["gasLimit"], "difficulty": header["difficulty"],
        "mixHash": header["mixHash"], "coinbase": header["coinbase"], "baseFeePerGas": header["baseFeePerGas"],
        "excessBlobGas": header["excessBlobGas"], "blobGasUsed": header["blobGasUsed"]
    })
}

/// The tests give no requests beside the blocks: they are taken from running them.
fn process(engine: &Engine, rlp: &[u8]) -> Result<()> {
    let executed = engine.validate_alone(rlp)?;
    engine.finalize(executed.block.hash).map(drop)
}

fn run(name: &str, test: &Value, refused: &mut BTreeMap<String, usize>) {
    let config = EngineConfig {
        threads: 1,
        ..EngineConfig::default()
    };
    let engine = Engine::open(genesis(test).to_string().as_bytes(), config).unwrap();
    let expected: B256 =
        serde_json::from_value(test["genesisBlockHeader"]["hash"].clone()).unwrap();
    assert_eq!(engine.head().hash, expected, "{name}: genesis");
    for block in test["blocks"].as_array().unwrap() {
        let rlp: Bytes = serde_json::from_value(block["rlp"].clone()).unwrap();
        let result = process(&engine, &rlp);
        let Some(exception) = block.get("expectException").and_then(Value::as_str) else {
            result.unwrap_or_else(|error| panic!("{name}: {error}"));
            continue;
        };
        let Err(EngineError::InvalidBlock { code, .. }) = &result else {
            panic!("{name}: expected {exception}, got {result:?}");
        };
        let codes = EXCEPTIONS
            .iter()
            .filter(|(name, _)| exception.contains(name))
            .flat_map(|(_, codes)| codes.iter());
        assert!(
            codes.clone().any(|expected| expected == code),
            "{name}: expected {exception}, got {result:?}"
        );
        *refused.entry((*code).to_owned()).or_default() += 1;
    }
    let expected: B256 = serde_json::from_value(test["lastblockhash"].clone()).unwrap();
    assert_eq!(engine.head().hash, expected, "{name}: head");
}

#[test]
fn official_blocks_are_judged_as_published() {
    let Some((_directory, path)) = vectors() else {
        return;
    };
    let mut found = Vec::new();
    files(&path, &mut found);
    found.sort();
    let (mut count, mut refused) = (0, BTreeMap::new());
    for file in found {
        let tests: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for (name, test) in tests.as_object().unwrap() {
            run(name, test, &mut refused);
            count += 1;
        }
    }
    assert_eq!(count, 615);
    assert_eq!(refused.values().sum::<usize>(), 52, "{refused:?}");
}
