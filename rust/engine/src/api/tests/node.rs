//! A chain in memory with a few contracts, asked as a client asks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, hex};
use serde_json::{Value, json, value::RawValue};

use crate::{
    BuildAttributes, Engine, EngineConfig, ExecutedBlock,
    api::{Api, ApiLimits, RpcError},
    testing::{Account, GAS_LIMIT, genesis, raw},
};

/// Returns number, timestamp, base fee, coinbase, randao, gas price, origin, value and chain id.
pub(super) const ENVIRONMENT: Address = address!("0x00000000000000000000000000000000000e0001");
/// Stores its argument in slot 0 and logs it as first topic, 0xaa as second.
pub(super) const STORE: Address = address!("0x00000000000000000000000000000000000e0002");
/// Reverts with its calldata.
pub(super) const REVERT: Address = address!("0x00000000000000000000000000000000000e0003");
/// Jumps to itself for ever.
pub(super) const LOOP: Address = address!("0x00000000000000000000000000000000000e0004");
/// Calls itself twice, without a jump.
pub(super) const RECURSE: Address = address!("0x00000000000000000000000000000000000e0005");
/// Calls `WANTS_GAS` with all but one 64th of its gas, and reverts where that fails.
pub(super) const FORWARD: Address = address!("0x00000000000000000000000000000000000e0006");
/// Reverts with less than 100,000 gas.
pub(super) const WANTS_GAS: Address = address!("0x00000000000000000000000000000000000e0007");
/// Clears slot 0, which genesis filled: a refund.
pub(super) const CLEAR: Address = address!("0x00000000000000000000000000000000000e0008");
/// The INVALID opcode.
pub(super) const INVALID: Address = address!("0x00000000000000000000000000000000000e0009");
/// Returns slot 0 and its own balance.
pub(super) const SLOT: Address = address!("0x00000000000000000000000000000000000e000a");

const FUNDED: u64 = 4;

pub(in crate::api) struct Node {
    pub(in crate::api) engine: Arc<Engine>,
    pub(in crate::api) api: Api,
}

fn environment() -> Vec<u8> {
    let opcodes = [0x43, 0x42, 0x48, 0x41, 0x44, 0x3a, 0x32, 0x34, 0x46];
    let mut code = Vec::new();
    for (word, opcode) in (0_u16..).zip(opcodes) {
        code.push(opcode);
        code.push(0x61);
        code.extend((word * 32).to_be_bytes());
        code.push(0x52);
    }
    code.extend(hex!("6101205ff3"));
    code
}

fn contracts() -> Vec<(Address, Vec<u8>)> {
    let forward = [
        &hex!("5f5f5f5f5f73")[..],
        WANTS_GAS.as_slice(),
        &hex!("5af115602357005b5f5ffd"),
    ]
    .concat();
    vec![
        (ENVIRONMENT, environment()),
        (STORE, hex!("5f355f5560aa5f3560205fa200").to_vec()),
        (REVERT, hex!("365f5f37365ffd").to_vec()),
        (LOOP, hex!("5b5f56").to_vec()),
        (
            RECURSE,
            hex!("5f5f5f5f5f305af1505f5f5f5f5f305af15000").to_vec(),
        ),
        (FORWARD, forward),
        (WANTS_GAS, hex!("620186a05a10600a57005b5f5ffd").to_vec()),
        (CLEAR, hex!("5f5f5500").to_vec()),
        (INVALID, hex!("fe").to_vec()),
        (SLOT, hex!("5f545f524760205260405ff3").to_vec()),
    ]
}

/// The development genesis with the contracts, each with 7 in its slot 0.
fn genesis_value() -> Value {
    let mut genesis = genesis((0..FUNDED).map(|seed| Account::of(seed).address));
    for (address, code) in contracts() {
        genesis["alloc"][address.to_string()] = json!({
            "balance": "0x0", "nonce": "0x1", "code": hex::encode_prefixed(code),
            "storage": { B256::ZERO.to_string(): B256::with_last_byte(7) },
        });
    }
    genesis
}

/// The limits of a node, and nothing ends by time: not in a debug build at the lowest priority beside networks of processes, nor on
/// a machine that stands still for minutes.
pub(in crate::api) fn patient() -> ApiLimits {
    let enough = Duration::from_secs(3_600);
    ApiLimits {
        call_timeout: enough,
        scan_timeout: enough,
        trace_timeout: enough,
        trace_timeout_max: enough,
        pending_timeout: enough,
        ..ApiLimits::default()
    }
}

impl Node {
    pub(super) fn new() -> Self {
        Self::with(patient(), EngineConfig::default())
    }

    pub(in crate::api) fn with(limits: ApiLimits, config: EngineConfig) -> Self {
        let genesis = genesis_value();
        let engine = Engine::open(genesis.to_string().as_bytes(), config).expect("a chain");
        let api = Api::new(engine.clone(), limits, "metanode/test".to_owned());
        Self { engine, api }
    }

    /// The result of a request that must succeed.
    pub(in crate::api) fn ask(&self, method: &str, params: Value) -> Value {
        self.try_ask(method, params.clone())
            .unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    pub(in crate::api) fn try_ask(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let params = RawValue::from_string(params.to_string()).expect("JSON");
        let answer = self.api.call(method, Some(&params))?;
        Ok(serde_json::from_str(answer.get()).expect("JSON"))
    }

    /// The error of a request that must fail: code, text and data.
    pub(super) fn refuse(&self, method: &str, params: Value) -> (i32, String, Option<Value>) {
        match self.try_ask(method, params.clone()) {
            Ok(answer) => panic!("{method} {params} gave {answer}"),
            Err(error) => (error.code, error.message, error.data),
        }
    }

    pub(in crate::api) fn submit(&self, transaction: &TxEnvelope) -> B256 {
        let hash = self.ask("eth_sendRawTransaction", json!([raw(transaction)]));
        assert_eq!(hash, json!(transaction.hash()));
        *transaction.hash()
    }

    /// Build a block from the pool, which nobody decides.
    pub(super) fn propose(&self) -> Arc<ExecutedBlock> {
        let head = self.engine.head();
        let attributes = BuildAttributes {
            timestamp: head.timestamp + 2,
            fee_recipient: Address::repeat_byte(0xfe),
            prev_randao: B256::repeat_byte(0x44),
            withdrawals: Vec::new(),
            parent_beacon_block_root: B256::repeat_byte(0xbe),
            gas_limit: GAS_LIMIT,
            extra_data: Bytes::new(),
        };
        let deadline = Instant::now() + Duration::from_secs(120);
        self.engine
            .build(head.hash, &attributes, deadline)
            .expect("a block")
    }

    /// Build and decide a block from the pool.
    pub(super) fn mine(&self) -> u64 {
        let proposed = self.propose();
        self.engine
            .finalize(proposed.block.hash)
            .expect("decided")
            .number
    }

    /// Send one transaction and put it into a block.
    pub(super) fn mine_one(&self, transaction: &TxEnvelope) -> B256 {
        let hash = self.submit(transaction);
        self.mine();
        hash
    }
}

/// A signed call of a contract.
pub(super) fn call(
    sender: &Account,
    nonce: u64,
    to: Address,
    input: impl Into<Bytes>,
) -> TxEnvelope {
    sender.sign_transaction(TxEip1559 {
        to: TxKind::Call(to),
        input: input.into(),
        ..sender.call(nonce, 200_000)
    })
}

/// A number as a 32-byte argument.
pub(super) fn word(number: u64) -> Bytes {
    B256::from(U256::from(number)).into()
}
