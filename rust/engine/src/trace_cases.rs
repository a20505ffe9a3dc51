//! A chain whose transactions do everything that tracers show, and requests for their traces.
//!
//! The tests compare our answers with those that go-ethereum gave for the same chain; the example `trace_cases` writes
//! the chain for it.

use alloy_consensus::{TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, hex};
use revm::bytecode::opcode::OpCode;
use serde_json::{Value, json};

use crate::{
    BuildAttributes,
    testing::{Account, CHAIN_ID, genesis},
};

/// Stores its argument in slot 0, logs it, and returns what was there before.
pub const STORE: Address = address!("0x00000000000000000000000000000000000f0001");
/// Reverts with the reason "no".
const REVERT: Address = address!("0x00000000000000000000000000000000000f0002");
/// Calls in every way, creates in every way, and goes on whatever fails.
pub const TREE: Address = address!("0x00000000000000000000000000000000000f0003");
/// Runs a loop of ten steps a hundred times.
const LOOP: Address = address!("0x00000000000000000000000000000000000f0004");
/// Gives what it has to the caller and destroys itself.
const DESTROY: Address = address!("0x00000000000000000000000000000000000f0005");
/// Creates a contract that destroys itself at once, and destroys `DESTROY`.
const DESTROYER: Address = address!("0x00000000000000000000000000000000000f0006");
/// Uses memory, hashes, transient storage and looks at other accounts.
const LOOK: Address = address!("0x00000000000000000000000000000000000f0007");
/// Clears slot 0: a refund.
const CLEAR: Address = address!("0x00000000000000000000000000000000000f0008");
/// Calls itself with all its gas until none is left.
const DEEP: Address = address!("0x00000000000000000000000000000000000f0009");
/// Runs as the code that its argument gives, once for each fault.
const FAULTS: Address = address!("0x00000000000000000000000000000000000f000a");
/// Gives precompiles what they take and what they refuse.
const PRECOMPILES: Address = address!("0x00000000000000000000000000000000000f000b");

const OVERFLOW: Address = address!("0x00000000000000000000000000000000000f000c");

/// Faults that end a frame, each the code of an account beside `FAULTS`.
const FAULT_CODES: &[&str] = &[
    "ADD",
    "0x1 0xff JUMP",
    "INVALID",
    "RAW0c",
    "0x20 0x0 0x0 RETURNDATACOPY",
    "0x1 0xffffffff MSTORE",
    "0x1 0xffffffffffffffffffffffff MSTORE",
    "0x1 0xffffffffffffffff MSTORE",
    "0x1 0xffffffffffff MSTORE",
    "0x1 0xfffffffff MSTORE",
    "0x0 0x0 0x0 0x0 0xffffffffffffffffffff 0x20 0xeeee 0x1 STATICCALL",
    "0xfe00 SELFDESTRUCT",
    "0x20 0xffffff KECCAK256",
    "0x1 0x0 SSTORE 0x2 0x1 SSTORE 0x3 0x2 SSTORE",
    "0x0 0x0 REVERT",
    "0x4 0x0 REVERT",
    "0x0 0x0 LOG0 0x0 0xffffffff LOG0",
    "0x0 SLOAD 0x1 SLOAD 0x2 SLOAD 0x3 SLOAD 0x4 SLOAD 0x5 SLOAD 0x6 SLOAD 0x7 SLOAD 0x8 SLOAD 0x9 SLOAD 0xa SLOAD 0xb SLOAD 0xc SLOAD",
    "0xfff0 BALANCE 0xfff1 BALANCE 0xfff2 BALANCE 0xfff3 BALANCE 0xfff4 BALANCE 0xfff5 BALANCE 0xfff6 BALANCE 0xfff7 BALANCE 0xfff8 BALANCE 0xfff9 BALANCE 0xfffa BALANCE 0xfffb BALANCE",
    "0x0 0x0 0x0 CREATE",
    "0xff 0xffffffff 0x0 0xffffffffffff EXP EXP EXP EXP",
    "0x1ffff 0x0 0x0 CALLDATACOPY",
    "0xfffff 0x0 0x0 MCOPY",
    "0xfffff 0x0 0x0 0x4 EXTCODECOPY",
    "DUP4",
    "SWAP2",
    "0x1000000000000000000000000000000000 JUMP",
    "0x0 0x0 0x0 0x0 0x1 0xeeee 0xffffff CALL",
    "0x0 0x0 0x0 0x0 0xeeee 0xffffff STATICCALL 0x0 0x0 0xffffffff 0x0 0xeeee 0x0 DELEGATECALL",
];

/// What code may not do in a STATICCALL.
const WRITES: &[&str] = &[
    "0x1 0x0 SSTORE",
    "0x1 0x0 TSTORE",
    "0x20 0x0 LOG0",
    "0x1 0x2 0x20 0x0 LOG2",
    "0x0 0x0 0x0 CREATE",
    "0x0 0x0 0x0 0x0 CREATE2",
    "0xfe00 SELFDESTRUCT",
    "0x0 0x0 0x0 0x0 0x1 0xeeee 0x100 CALL",
    "0x0 0x0 0x0 0x0 0x0 0xeeee 0x100 CALL",
    "0x0 0x0 0x0 0x0 0x1 0xeeee 0x100 CALLCODE",
];

fn write_address(index: usize) -> Address {
    Address::from_word(B256::from(U256::from(0x000f_2000 + index)))
}

fn fault_address(index: usize) -> Address {
    Address::from_word(B256::from(U256::from(0x000f_1000 + index)))
}

/// The bytes of opcodes by name; a hexadecimal number is pushed, `RAW` with bytes is taken as it is.
///
/// # Panics
/// If a word is no opcode.
pub fn assemble(text: &str) -> Vec<u8> {
    let mut code = Vec::new();
    for word in text.split_whitespace() {
        if let Some(raw) = word.strip_prefix("RAW") {
            code.extend(hex::decode(raw).expect("hexadecimal"));
        } else if let Some(digits) = word.strip_prefix("0x") {
            let even = if digits.len() % 2 == 1 {
                format!("0{digits}")
            } else {
                digits.to_owned()
            };
            let bytes = hex::decode(even).expect("hexadecimal");
            code.push(0x5f + u8::try_from(bytes.len()).expect("at most 32 bytes"));
            code.extend(bytes);
        } else {
            let named = (0..=u8::MAX).filter_map(OpCode::new);
            let mut found = named.filter(|opcode| opcode.as_str() == word);
            code.push(found.next().unwrap_or_else(|| panic!("{word}")).get());
        }
    }
    code
}

/// Code that calls with `gas` and pops the outcome.
fn calling(kind: &str, target: Address, value: Option<u64>, input: (u64, u64), gas: u64) -> String {
    let value = value.map_or(String::new(), |value| format!("{value:#x} "));
    let (offset, size) = input;
    format!("0x20 0x0 {size:#x} {offset:#x} {value}{target} {gas:#x} {kind} POP ")
}

/// Code that puts `init` into the memory and creates a contract with it.
fn creating(kind: &str, value: u64, init: &str) -> String {
    let init = assemble(init);
    assert!(init.len() <= 32);
    let word = format!("0x{:0<64}", hex::encode(&init));
    let salt = if kind == "CREATE2" { "0x5a17 " } else { "" };
    format!(
        "{word} 0x0 MSTORE {salt}{:#x} 0x0 {value:#x} {kind} POP ",
        init.len()
    )
}

fn tree() -> String {
    let precompile = |number: u8| Address::with_last_byte(number);
    [
        "0x2a 0x0 MSTORE ".to_owned(),
        calling("CALL", STORE, Some(1), (0, 32), 60_000),
        "0xcafe 0x0 0x0 LOG1 ".to_owned(),
        calling("DELEGATECALL", STORE, None, (0, 32), 60_000),
        calling("CALLCODE", STORE, Some(0), (0, 32), 60_000),
        calling("STATICCALL", STORE, None, (0, 32), 10_000),
        calling("CALL", STORE, Some(1), (0, 32), 0),
        calling("STATICCALL", REVERT, None, (0, 4), 10_000),
        calling("CALL", STORE, Some(u64::MAX), (0, 4), 10_000),
        calling("CALL", precompile(4), Some(0), (0, 32), 10_000),
        calling("STATICCALL", precompile(2), None, (0, 32), 10_000),
        calling("CALL", precompile(2), Some(1), (0, 32), 10_000),
        calling("CALL", Address::repeat_byte(0xdd), Some(3), (0, 0), 10_000),
        calling("CALL", LOOP, Some(0), (0, 0), 3_000),
        "0x60 0x40 LOG0 ".to_owned(),
        creating("CREATE", 1, "0xfe 0x0 MSTORE8 0x1 0x0 RETURN"),
        creating("CREATE2", 0, "0x7 0x1 SSTORE 0x2 0x0 RETURN"),
        creating("CREATE2", 0, "0x7 0x1 SSTORE 0x2 0x0 RETURN"),
        creating("CREATE", 0, "0x4 0x0 REVERT"),
        creating("CREATE", 0, "0xef 0x0 MSTORE8 0x1 0x0 RETURN"),
        creating("CREATE", 0, "0x6001 0x0 RETURN"),
        creating("CREATE", 0, "INVALID"),
        creating("CREATE", u64::MAX, "STOP"),
        "0x20 0x0 RETURN".to_owned(),
    ]
    .concat()
}

/// A call of a precompile with so many bytes of what lies in the memory.
fn precompile(number: u8, size: u64, gas: u64) -> String {
    let target = Address::with_last_byte(number);
    calling("STATICCALL", target, None, (0, size), gas)
}

fn precompiles() -> String {
    let mut code = "0x1 0x0 MSTORE 0x1 0x20 MSTORE 0x1 0x40 MSTORE ".to_owned();
    for number in 1..=0x11_u8 {
        for size in [0_u64, 1, 96, 160, 192] {
            let gas = if size == 160 { 20 } else { 40_000 };
            code += &precompile(number, size, gas);
        }
    }
    code += "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff 0x40 MSTORE ";
    for (number, size) in [
        (6, 128),
        (7, 96),
        (8, 192),
        (8, 100),
        (9, 213),
        (10, 192),
        (11, 256),
        (12, 160),
        (13, 512),
        (15, 384),
        (16, 64),
    ] {
        code += &precompile(number, size, 90_000);
    }
    // Long operands of MODEXP, then elements that are small and no points.
    code += "0x401 0x0 MSTORE 0x1 0x20 MSTORE 0x1 0x40 MSTORE ";
    code += &precompile(5, 192, 90_000);
    code += "0x0 0x0 MSTORE 0x1 0x20 MSTORE 0x0 0x40 MSTORE 0x1 0x60 MSTORE ";
    for (number, size) in [
        (6, 128),
        (8, 192),
        (9, 213),
        (11, 256),
        (12, 160),
        (13, 512),
        (15, 384),
        (16, 64),
    ] {
        code += &precompile(number, size, 90_000);
    }
    code += &calling(
        "CALL",
        address!("0x0000000000000000000000000000000000000100"),
        Some(0),
        (0, 160),
        9_000,
    );
    code + "STOP"
}

fn contracts() -> Vec<(Address, String)> {
    let reason = "0x8c379a0 0xe0 SHL 0x0 MSTORE 0x20 0x4 MSTORE 0x2 0x24 MSTORE 0x6e6f 0xf0 SHL 0x44 MSTORE 0x64 0x0 REVERT";
    let mut all = vec![
        (STORE, "0x0 SLOAD 0x0 CALLDATALOAD DUP1 0x0 SSTORE 0xaa DUP2 0x20 0x0 LOG2 POP 0x0 MSTORE 0x20 0x0 RETURN".to_owned()),
        (REVERT, reason.to_owned()),
        (TREE, tree()),
        // i = 100; do { i = i - 1 } while (i != 0)
        (LOOP, "0x64 JUMPDEST 0x1 SWAP1 SUB DUP1 DUP1 ISZERO ISZERO POP DUP1 0x2 JUMPI STOP".to_owned()),
        (DESTROY, "0x9 0x0 SSTORE CALLER SELFDESTRUCT".to_owned()),
        (
            DESTROYER,
            [
                &creating("CREATE", 5, "0xbeef SELFDESTRUCT"),
                &calling("CALL", DESTROY, Some(2), (0, 0), 60_000),
                &creating("CREATE2", 5, "0x1 0x1 SSTORE ADDRESS SELFDESTRUCT"),
                "STOP",
            ]
            .concat(),
        ),
        (
            LOOK,
            format!(
                "0x1234 0x41 MSTORE 0x21 0x40 0x0 MCOPY 0x40 0x0 KECCAK256 0x5 TSTORE 0x5 TLOAD POP \
                 {STORE} BALANCE POP {STORE} EXTCODESIZE POP {REVERT} EXTCODEHASH POP 0x20 0x0 0x0 {STORE} EXTCODECOPY \
                 0x40 0x0 0x10 CALLDATACOPY 0x9999 BALANCE POP SELFBALANCE POP 0x0 BLOCKHASH POP COINBASE BALANCE POP \
                 PUSH0 0x0 SLOAD 0x1 ADD 0x0 SSTORE 0x0 SLOAD 0x3 0x2 EXP POP MSIZE PC GAS RAW1e 0x60 0x0 RETURN"
            ),
        ),
        (CLEAR, "0x0 0x0 SSTORE 0x5 0x0 SSTORE 0x0 0x0 SSTORE STOP".to_owned()),
        (DEEP, "0x0 0x0 0x0 0x0 0x0 ADDRESS GAS CALL STOP".to_owned()),
        (PRECOMPILES, precompiles()),
    ];
    let faults = (0..FAULT_CODES.len())
        .map(|index| calling("CALL", fault_address(index), Some(0), (0, 0), 24_000))
        .collect::<String>();
    let writes = (0..WRITES.len())
        .map(|index| calling("STATICCALL", write_address(index), None, (0, 0), 40_000))
        .collect::<String>();
    all.push((FAULTS, faults + &writes + "STOP"));
    for (index, code) in WRITES.iter().enumerate() {
        all.push((write_address(index), (*code).to_owned()));
    }
    // Pushes until the stack is full.
    all.push((OVERFLOW, "JUMPDEST 0x1 0x0 JUMP".to_owned()));
    for (index, code) in FAULT_CODES.iter().enumerate() {
        all.push((fault_address(index), (*code).to_owned()));
    }
    all
}

/// The genesis block: each contract has 7 in slot 0 and a few wei.
pub fn genesis_value() -> Value {
    let mut genesis = genesis((0..6).map(|seed| Account::of(seed).address));
    for (address, code) in contracts() {
        genesis["alloc"][address.to_string()] = json!({
            "balance": "0x64", "nonce": "0x1", "code": hex::encode_prefixed(assemble(&code)),
            "storage": { B256::ZERO.to_string(): B256::with_last_byte(7) },
        });
    }
    genesis
}

/// The transactions, each with a name, by block.
pub fn blocks() -> Vec<Vec<(String, TxEnvelope)>> {
    let (alice, bob, carol) = (Account::of(0), Account::of(1), Account::of(2));
    let mut nonce = 0_u64;
    let mut call = |to: Address, gas: u64, input: &[u8], value: u64| {
        let transaction = alice.sign_transaction(TxEip1559 {
            to: TxKind::Call(to),
            input: Bytes::copy_from_slice(input),
            value: U256::from(value),
            ..alice.call(nonce, gas)
        });
        nonce += 1;
        transaction
    };
    let word = B256::from(U256::from(0x1234));
    let mut first = vec![
        (
            "transfer".to_owned(),
            call(Address::repeat_byte(0xee), 21_000, &[], 1),
        ),
        ("store".to_owned(), call(STORE, 100_000, word.as_slice(), 0)),
        (
            "tree".to_owned(),
            call(TREE, 3_000_000, &hex!("01020304aabb"), 4),
        ),
        ("loop".to_owned(), call(LOOP, 100_000, &[], 0)),
        ("look".to_owned(), call(LOOK, 200_000, word.as_slice(), 0)),
        ("destroy".to_owned(), call(DESTROYER, 500_000, &[], 20)),
        ("clear".to_owned(), call(CLEAR, 100_000, &[], 0)),
        ("revert".to_owned(), call(REVERT, 100_000, &[], 0)),
        (
            "precompile".to_owned(),
            call(Address::with_last_byte(4), 50_000, &[1, 2, 3, 4, 5], 0),
        ),
        ("out of gas".to_owned(), call(LOOP, 23_000, &[], 0)),
        ("deep".to_owned(), call(DEEP, 60_000, &[], 0)),
    ];
    let second = vec![
        ("faults".to_owned(), call(FAULTS, 5_000_000, &[], 0)),
        (
            "precompiles".to_owned(),
            call(PRECOMPILES, 12_000_000, &[], 0),
        ),
        (
            "top fault".to_owned(),
            call(fault_address(0), 60_000, &[], 0),
        ),
        (
            "top bad jump".to_owned(),
            call(fault_address(1), 60_000, &[], 0),
        ),
        ("overflow".to_owned(), call(OVERFLOW, 60_000, &[], 0)),
        (
            "top revert".to_owned(),
            call(fault_address(10), 60_000, &[], 0),
        ),
    ];
    let create = |nonce, init: &str, value| {
        bob.sign_transaction(TxLegacy {
            chain_id: Some(CHAIN_ID),
            nonce,
            gas_price: 20_000_000_000,
            gas_limit: 200_000,
            to: TxKind::Create,
            value: U256::from(value),
            input: assemble(init).into(),
        })
    };
    first.push((
        "create".to_owned(),
        create(0, "0x3 0x2 SSTORE 0x2a 0x0 MSTORE 0x20 0x0 RETURN", 9),
    ));
    first.push(("create reverted".to_owned(), create(1, "0x4 0x0 REVERT", 0)));
    first.push((
        "create failed".to_owned(),
        create(2, "0xef 0x0 MSTORE8 0x1 0x0 RETURN", 0),
    ));
    first.push((
        "create too dear".to_owned(),
        create(3, "0x1000 0x0 RETURN", 0),
    ));
    let delegating = |nonce, to: Address, list| {
        carol.sign_transaction(TxEip7702 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 400_000,
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to,
            input: word.into(),
            authorization_list: list,
            ..TxEip7702::default()
        })
    };
    let (dave, nobody) = (Account::of(3), Account::of(99));
    let third = vec![
        (
            "delegate".to_owned(),
            delegating(
                0,
                dave.address,
                vec![
                    dave.delegate(0, STORE),
                    nobody.delegate(0, LOOK),
                    nobody.delegate(7, LOOK),
                    carol.delegate(1, CLEAR),
                ],
            ),
        ),
        (
            "access list".to_owned(),
            bob.sign_transaction(TxEip2930 {
                chain_id: CHAIN_ID,
                nonce: 4,
                gas_price: 20_000_000_000,
                gas_limit: 100_000,
                to: TxKind::Call(STORE),
                value: U256::ZERO,
                access_list: AccessList(vec![AccessListItem {
                    address: STORE,
                    storage_keys: vec![B256::ZERO],
                }]),
                input: word.into(),
            }),
        ),
    ];
    let fourth = vec![
        (
            "delegated".to_owned(),
            call(dave.address, 100_000, &hex!("01"), 0),
        ),
        (
            "undelegate".to_owned(),
            delegating(2, nobody.address, vec![nobody.delegate(1, Address::ZERO)]),
        ),
    ];
    vec![first, second, third, fourth]
}

/// How a block of the chain is built.
pub fn attributes(timestamp: u64, gas_limit: u64) -> BuildAttributes {
    BuildAttributes {
        timestamp,
        fee_recipient: Address::repeat_byte(0xfe),
        prev_randao: B256::repeat_byte(0x44),
        withdrawals: Vec::new(),
        parent_beacon_block_root: B256::repeat_byte(0xbe),
        gas_limit,
        extra_data: Bytes::new(),
    }
}

/// Options that each transaction is traced with.
fn options() -> Vec<Value> {
    vec![
        json!({}),
        json!({"enableMemory": true, "enableReturnData": true}),
        json!({"disableStack": true, "disableStorage": true}),
        json!({"limit": 500}),
        json!({"tracer": "callTracer"}),
        json!({"tracer": "callTracer", "tracerConfig": {"withLog": true}}),
        json!({"tracer": "callTracer", "tracerConfig": {"onlyTopCall": true, "withLog": true}}),
        json!({"tracer": "prestateTracer"}),
        json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}}),
        json!({"tracer": "prestateTracer", "tracerConfig": {"disableCode": true, "disableStorage": true}}),
        json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true, "disableCode": true}}),
        json!({"tracer": "prestateTracer", "tracerConfig": {"includeEmpty": true}}),
        json!({"tracer": "4byteTracer"}),
        json!({"tracer": "flatCallTracer"}),
        json!({"tracer": "flatCallTracer", "tracerConfig": {"convertParityErrors": true, "includePrecompiles": true}}),
        json!({"tracer": "noopTracer"}),
        json!({"tracer": "muxTracer", "tracerConfig": {"callTracer": {"withLog": true}, "4byteTracer": null, "prestateTracer": {"diffMode": true}}}),
    ]
}

/// Requests with a name each.
pub fn requests() -> Vec<(String, &'static str, Value)> {
    let mut requests = Vec::new();
    for (name, transaction) in blocks().into_iter().flatten() {
        for option in options() {
            // A thousand steps with up to a thousand words each say nothing new.
            if name == "overflow"
                && option.get("tracer").is_none()
                && option.get("disableStack").is_none()
            {
                continue;
            }
            requests.push((
                format!("{name} {option}"),
                "debug_traceTransaction",
                json!([transaction.hash(), option]),
            ));
        }
    }
    let mut other = |method: &'static str, params: Value| {
        requests.push((format!("{method} {params}"), method, params));
    };
    let calls = json!({"tracer": "callTracer"});
    for block in ["0x1", "0x2", "0x3", "latest"] {
        other("debug_traceBlockByNumber", json!([block, calls]));
    }
    other("debug_traceBlockByNumber", json!(["0x3"]));
    other(
        "debug_traceBlockByNumber",
        json!(["0x3", {"tracer": "flatCallTracer"}]),
    );
    other(
        "debug_traceBlockByNumber",
        json!(["0x3", {"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}}]),
    );
    other("debug_traceBlockByNumber", json!(["0x0"]));
    other("debug_traceBlockByNumber", json!(["0x99"]));
    other("debug_traceBlockByHash", json!([B256::repeat_byte(1)]));
    other("debug_traceTransaction", json!([B256::repeat_byte(1)]));
    other("debug_traceTransaction", json!([]));
    other("debug_traceTransaction", json!(["0x1"]));
    other(
        "debug_traceTransaction",
        json!([B256::repeat_byte(1), {"timeout": "soon"}]),
    );
    let (_, stored) = &blocks()[0][1];
    for timeout in ["soon", "5", "1x", "10s"] {
        other(
            "debug_traceTransaction",
            json!([stored.hash(), {"timeout": timeout, "tracer": "callTracer"}]),
        );
    }
    let alice = Account::of(0).address;
    let to_tree = json!({"from": alice, "to": TREE, "data": "0x01020304", "gas": "0x2dc6c0"});
    for option in options() {
        other("debug_traceCall", json!([to_tree, "latest", option]));
    }
    other("debug_traceCall", json!([{"to": STORE}, "0x0", calls]));
    other("debug_traceCall", json!([{"to": STORE}, "0x0", {}]));
    other(
        "debug_traceCall",
        json!([{"from": alice, "to": STORE, "gas": "0x186a0", "value": "0x1"}, "latest"]),
    );
    other(
        "debug_traceCall",
        json!([{"from": alice, "data": "0x602a60005260206000f3", "gas": "0x30d40"}, "latest", calls]),
    );
    other(
        "debug_traceCall",
        json!([{"to": STORE, "gas": "0x5208"}, "latest", calls]),
    );
    other(
        "debug_traceCall",
        json!([{"from": Address::repeat_byte(0x77), "to": STORE, "value": "0x1"}, "latest", calls]),
    );
    other(
        "debug_traceCall",
        json!([{"from": alice, "to": STORE, "gasPrice": "0x1"}, "latest", calls]),
    );
    other(
        "debug_traceCall",
        json!([{"from": alice, "to": STORE, "maxFeePerGas": "0xba43b7400", "gas": "0x30d40"}, "latest",
        {"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}}]),
    );
    other(
        "debug_traceCall",
        json!([{"from": alice, "to": STORE, "gas": "0x30d40"}, "latest", {
            "tracer": "callTracer",
            "stateOverrides": {STORE.to_string(): {"code": "0x4360005260206000f3"}},
            "blockOverrides": {"number": "0x64"},
        }]),
    );
    for index in ["0x0", "0x1", "0x2"] {
        other(
            "debug_traceCall",
            json!([{"to": STORE, "data": word_of(9), "gas": "0x30d40"}, "0x1", {"tracer": "callTracer", "txIndex": index}]),
        );
    }
    unusual_calls(&mut other);
    other("debug_traceCall", json!([{"to": STORE}, "pending"]));
    other("debug_traceCall", json!([{"to": STORE}, "0x99"]));
    other("debug_traceCall", json!([{"to": STORE}]));
    requests
}

/// What callers can bring about that no transaction of the chain does.
fn unusual_calls(other: &mut impl FnMut(&'static str, Value)) {
    let alice = Account::of(0).address;
    let few = [
        json!({}),
        json!({"tracer": "callTracer"}),
        json!({"tracer": "flatCallTracer"}),
        json!({"tracer": "flatCallTracer", "tracerConfig": {"includePrecompiles": true}}),
        json!({"tracer": "flatCallTracer", "tracerConfig": {"convertParityErrors": true}}),
        json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}}),
        json!({"tracer": "4byteTracer"}),
    ];
    let mut traced = |call: &Value, overrides: &Value| {
        for option in &few {
            let mut option = option.clone();
            if !overrides.is_null() {
                option["stateOverrides"] = overrides.clone();
            }
            other("debug_traceCall", json!([call, "latest", option]));
        }
    };
    // Creations without code, and too much of it.
    let create =
        |init: Vec<u8>| json!({"from": alice, "gas": "0xe4e1c0", "data": Bytes::from(init)});
    traced(&json!({"from": alice, "gas": "0x30d40"}), &Value::Null);
    traced(
        &json!({"from": alice, "gas": "0x30d40", "value": "0x1"}),
        &Value::Null,
    );
    traced(&create(vec![0; 49_153]), &Value::Null);
    traced(&create(assemble("0x6001 0x0 RETURN")), &Value::Null);
    traced(
        &create(assemble("0xef 0x0 MSTORE8 0x1 0x0 RETURN")),
        &Value::Null,
    );
    let here = json!({"from": alice, "to": STORE, "gas": "0x989680", "data": "0x0102030405060708"});
    for code in [
        "0x0 0x0 0x0 CREATE",
        "0x0 0x0 0x0 0x1 CREATE2 0x0 0x0 0x0 0x0 0x0 DUP6 0xffff CALL",
        "0xc001 0x0 0x0 CREATE",
        "0x0 0xc001 0x0 0x0 CREATE2",
        "0xffffffffffff 0x0 0x0 CREATE",
        "0xffffffffffffffff 0x1 0x0 CREATE",
        "0xffffffffffffffffffff 0x0 0x0 CREATE",
        "0x0 0x0 0x0 0x0 0x9 0xdead 0xffff CALL",
    ] {
        traced(
            &here,
            &json!({STORE.to_string(): {"code": Bytes::from(assemble(code))}}),
        );
    }
    let poor = json!({"from": alice, "to": STORE, "gas": "0x7530"});
    let large = Bytes::from(assemble("0xc001 0x0 0x0 CREATE"));
    traced(&poor, &json!({STORE.to_string(): {"code": large}}));
    // Precompiles that are replaced or moved, from a contract that calls both places.
    let at = |number: u64| Address::from_word(word_of(number));
    let calls = "0x20 0x0 0x4 0x0 0x0 0x2 0xffff CALL 0x20 0x0 0x4 0x0 0x0 0x999 0xffff CALL 0x2 BALANCE 0x999 BALANCE 0x0 0x0 LOG0";
    let caller = json!({"code": Bytes::from(assemble(calls))});
    let answering = json!({"code": Bytes::from(assemble("0x1 0x0 MSTORE 0x20 0x0 RETURN"))});
    for overrides in [
        json!({STORE.to_string(): caller}),
        json!({STORE.to_string(): caller, at(2).to_string(): answering}),
        json!({STORE.to_string(): caller, at(2).to_string(): {"movePrecompileToAddress": at(0x999)}}),
        json!({STORE.to_string(): caller, at(2).to_string(): {"movePrecompileToAddress": at(0x999), "code": answering["code"]}}),
        json!({STORE.to_string(): caller, at(2).to_string(): {}}),
        json!({STORE.to_string(): caller, at(2).to_string(): {"nonce": "0x5"}}),
        json!({STORE.to_string(): caller, at(0x999).to_string(): null}),
        json!({STORE.to_string(): {"code": "0x"}}),
        json!({STORE.to_string(): {"code": "0xef"}}),
        json!({STORE.to_string(): {"code": "0xef0001"}}),
        json!({STORE.to_string(): {"code": format!("0xef0100{}", alloy_primitives::hex::encode(REVERT))}}),
        json!({STORE.to_string(): {"code": format!("0xef0100{}", alloy_primitives::hex::encode(at(2)))}}),
        json!({STORE.to_string(): {"state": {}}}),
        json!({STORE.to_string(): {"state": {word_of(0).to_string(): word_of(7)}}}),
    ] {
        traced(&here, &overrides);
    }
    let direct = json!({"from": alice, "to": at(2), "gas": "0x30d40", "data": "0x01020304"});
    traced(&direct, &Value::Null);
    traced(&direct, &json!({at(2).to_string(): answering}));
    for limit in [
        json!(-1),
        json!(0),
        json!(1),
        json!(i64::MIN),
        json!(i64::MAX),
    ] {
        other("debug_traceCall", json!([here, "latest", {"limit": limit}]));
    }
    for timeout in ["2562047h", "2562048h", "9999999999h", ".5m", "1.h", "."] {
        other(
            "debug_traceCall",
            json!([{"to": alice}, "latest", {"timeout": timeout}]),
        );
    }
}

fn word_of(number: u64) -> B256 {
    B256::from(U256::from(number))
}
