//! Which genesis files can work.

use super::*;

#[test]
fn a_genesis_that_cannot_work_is_refused_by_name() {
    type Change = fn(&mut serde_json::Value);
    let table: &[(&str, Change)] = &[
        ("field \"gasLimit\" is missing", |genesis| {
            genesis["gasLimit"] = serde_json::Value::Null
        }),
        ("field \"difficulty\" is missing", |genesis| {
            genesis["difficulty"] = serde_json::Value::Null
        }),
        ("field \"config.chainId\" is missing", |genesis| {
            genesis["config"].as_object_mut().unwrap().remove("chainId");
        }),
        ("config.chainId is 0", |genesis| {
            genesis["config"]["chainId"] = 0.into()
        }),
        ("gasLimit is 4999", |genesis| {
            genesis["gasLimit"] = "0x1387".into()
        }),
        ("extraData has 33 bytes", |genesis| {
            genesis["extraData"] = Bytes::from(vec![1; 33]).to_string().into()
        }),
        ("system contract of EIP-4788", |genesis| {
            genesis["alloc"]
                .as_object_mut()
                .unwrap()
                .remove("0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02");
        }),
        ("system contract of EIP-2935", |genesis| {
            genesis["alloc"]
                .as_object_mut()
                .unwrap()
                .remove("0x0000F90827F1C53a10cb7A02335B175320002935");
        }),
        ("system contract of EIP-7002", |genesis| {
            genesis["alloc"]
                .as_object_mut()
                .unwrap()
                .remove("0x00000961Ef480Eb55e80D19ad83579A64c007002");
        }),
        ("system contract of EIP-7251", |genesis| {
            genesis["alloc"]
                .as_object_mut()
                .unwrap()
                .remove("0x0000BBdDc7CE488642fb579F8B00f3a590007251");
        }),
        ("starts before the merge", |genesis| {
            genesis["config"]
                .as_object_mut()
                .unwrap()
                .remove("terminalTotalDifficulty");
        }),
        ("config.amsterdamTime is set", |genesis| {
            genesis["config"]["amsterdamTime"] = 0.into()
        }),
    ];
    for (expected, change) in table {
        let mut genesis = testing::genesis([]);
        change(&mut genesis);
        let error =
            Engine::open(genesis.to_string().as_bytes(), EngineConfig::default()).unwrap_err();
        assert!(matches!(error, EngineError::InvalidInput(_)));
        assert!(
            error.to_string().contains(expected),
            "{error} should contain {expected}"
        );
    }
    assert!(matches!(
        Engine::open(b"{", EngineConfig::default()),
        Err(EngineError::InvalidInput(_))
    ));
}

#[test]
fn the_predeployed_contracts_are_the_published_ones() {
    // Code hashes as found on public networks.
    let published = [
        (
            "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02",
            hex!("f57acd40259872606d76197ef052f3d35588dadf919ee1f0e3cb9b62d3f4b02c"),
        ),
        (
            "0x0000F90827F1C53a10cb7A02335B175320002935",
            hex!("6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d"),
        ),
        (
            "0x00000961Ef480Eb55e80D19ad83579A64c007002",
            hex!("0345a365d2f4c5975b9f1599abe0a2ee76b7a3a731bc68781bd04c84e4858f50"),
        ),
        (
            "0x0000BBdDc7CE488642fb579F8B00f3a590007251",
            hex!("78c6cb5202685228bbcbfb992b1c4e116c7ec5ef11e25b8e92716cfc628ddd60"),
        ),
        (
            "0x4e59b44847b379578588920cA78FbF26c0B4956C",
            hex!("2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989"),
        ),
        (
            "0xcA11bde05977b3631167028862bE2a173976CA11",
            hex!("d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891"),
        ),
    ];
    let predeploys = testing::predeploys();
    assert_eq!(predeploys.len(), published.len());
    for (address, hash) in published {
        let code: Bytes = serde_json::from_value(predeploys[address]["code"].clone()).unwrap();
        assert_eq!(
            alloy_primitives::keccak256(&code),
            B256::from(hash),
            "{address}"
        );
    }
}

#[test]
fn code_of_a_genesis_that_is_almost_a_delegation_is_plain_code() {
    let almost = Address::repeat_byte(0x77);
    let sender = Account::of(1);
    let mut genesis = testing::genesis([sender.address]);
    genesis["alloc"][almost.to_string()] =
        serde_json::json!({ "balance": "0x0", "code": "0xef010001" });
    let config = EngineConfig {
        threads: 1,
        ..EngineConfig::default()
    };
    let engine = Engine::open(genesis.to_string().as_bytes(), config).unwrap();
    let call = sender.sign_transaction(TxLegacy {
        chain_id: Some(testing::CHAIN_ID),
        gas_price: 100_000_000_000,
        gas_limit: 50_000,
        to: TxKind::Call(almost),
        ..TxLegacy::default()
    });
    submit(&engine, &[call]);

    let block = produce(&engine);

    // Its first byte is no instruction, so the call takes all gas.
    assert_eq!(block.block.header.gas_used, 50_000);
    assert!(!block.receipts[0].is_success());
}
