//! State out of one engine and into another, which then goes on as the first one does.

use alloy_consensus::{Receipt, ReceiptEnvelope, ReceiptWithBloom};

use crate::{
    Restoration,
    api::{Api, ApiLimits},
    restore::decode_receipts,
    testing::GENESIS_TIME,
};

use super::*;

/// Returns the low byte of the hash of the block whose number is the call's input: PUSH0 CALLDATALOAD BLOCKHASH PUSH0 SSTORE.
const HASHER: Bytes = bytes!("5f35405f55");
const BLOCKS: u64 = 300;

fn genesis_json() -> Vec<u8> {
    testing::genesis_json(accounts().iter().map(|account| account.address))
}

/// A chain with a contract that has storage, more blocks than BLOCKHASH reaches, and transfers in the last ones.
fn source() -> Arc<Engine> {
    let engine = open(None);
    let senders = accounts();
    // Stores 1 and 2, and returns the five bytes of HASHER.
    let init = hex!("60016001556002600255645f35405f555f526005601bf3");
    let contract = senders[1].sign_transaction(alloy_consensus::TxEip1559 {
        to: TxKind::Create,
        input: init.to_vec().into(),
        ..senders[1].call(0, 1_000_000)
    });
    submit(&engine, &[contract]);
    produce(&engine);
    assert_eq!(hasher_code(&engine), HASHER);
    for number in 2..BLOCKS {
        if number % 10 == 0 {
            let nonce = number / 10 - 1;
            submit(
                &engine,
                &[senders[2].transfer(nonce, Address::repeat_byte(number as u8), 1)],
            );
        }
        produce(&engine);
    }
    submit(
        &engine,
        &[senders[3].transfer(0, Address::repeat_byte(0x55), 7)],
    );
    produce(&engine);
    engine
}

fn hasher() -> Address {
    accounts()[1].address.create(0)
}

fn hasher_code(engine: &Engine) -> Bytes {
    engine.store().latest().code(hasher()).unwrap()
}

fn state(engine: &Engine, bytes_max: usize) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut after = Vec::new();
    loop {
        let chunk = engine.state_chunk(&after, bytes_max).unwrap();
        chunks.push(chunk.entries);
        match chunk.next {
            Some(next) => after = next,
            None => return chunks,
        }
    }
}

struct Head {
    rlp: Bytes,
    requests: Vec<Bytes>,
    receipts: Bytes,
    ancestors: Vec<Bytes>,
}

fn head(engine: &Engine) -> Head {
    let number = engine.head().number;
    let (rlp, requests) = engine.payload(number).unwrap().unwrap();
    let header = |number| {
        let header = engine.store().header(number).unwrap().unwrap();
        Bytes::from(alloy_rlp::encode(&header.0))
    };
    Head {
        rlp,
        requests,
        receipts: engine.receipts(number).unwrap().unwrap(),
        ancestors: (number.saturating_sub(256)..number).map(header).collect(),
    }
}

fn restore(
    path: Option<&Path>,
    chunks: &[Vec<u8>],
    head: &Head,
) -> crate::Result<crate::store::Head> {
    let mut restoration = Restoration::begin(&genesis_json(), path.map(Into::into), 1 << 20)?;
    for chunk in chunks {
        restoration.add(chunk)?;
    }
    let Head {
        rlp,
        requests,
        receipts,
        ancestors,
    } = head;
    restoration.finish(rlp, requests, receipts, ancestors)
}

#[test]
fn a_restored_engine_goes_on_as_the_one_that_the_state_is_from() {
    let source = source();
    let head = head(&source);
    for bytes_max in [200, 1 << 20] {
        let directory = tempfile::tempdir().unwrap();
        let restored = restore(Some(directory.path()), &state(&source, bytes_max), &head).unwrap();
        assert_eq!(restored, source.head());
        let engine = open(Some(directory.path()));
        assert_eq!(engine.head(), source.head());
        assert_eq!(engine.store().first_block(), BLOCKS);
        assert_eq!(state(&engine, 1 << 20), state(&source, 1 << 20));
        let both = |number| {
            let stored = |engine: &Engine| engine.store().block(number).unwrap();
            (stored(&engine), stored(&source))
        };
        let (ours, theirs) = both(BLOCKS);
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        assert!(ours.block.encode() == theirs.block.encode());
        assert!(ours.block.senders == theirs.block.senders && ours.receipts == theirs.receipts);
        assert!(both(0).0.is_some() && both(BLOCKS - 1).0.is_none());

        // A block whose execution needs the hash of a block before the snapshot.
        let nonce = source
            .store()
            .latest()
            .record(accounts()[4].address)
            .unwrap()
            .unwrap()
            .nonce;
        let asks = accounts()[4].sign_transaction(alloy_consensus::TxEip1559 {
            to: TxKind::Call(hasher()),
            input: B256::from(U256::from(BLOCKS - 200)).into(),
            ..accounts()[4].call(nonce, 100_000)
        });
        submit(&source, &[asks]);
        let next = produce(&source);
        let found = source
            .store()
            .latest()
            .storage(hasher(), U256::ZERO)
            .unwrap();
        let expected = source.store().header(BLOCKS - 200).unwrap().unwrap().1;
        assert_eq!(
            found,
            U256::from_be_bytes(expected.0),
            "the contract does what it says"
        );
        engine
            .validate(&next.block.encode(), &requests(&next.block))
            .unwrap();
        engine.finalize(next.block.hash).unwrap();
        for _ in 0..3 {
            let block = produce(&source);
            let rlp = block.block.encode();
            engine.import(&[(rlp, requests(&block.block))]).unwrap();
        }
        assert_eq!(engine.head(), source.head());
        drop(engine);
        let engine = open(Some(directory.path()));
        assert_eq!(engine.head(), source.head());
        assert_eq!(engine.store().first_block(), BLOCKS);
        source.rewind(BLOCKS).unwrap();
    }
}

#[test]
fn what_is_before_the_snapshot_is_said_to_be_pruned() {
    let source = source();
    let directory = tempfile::tempdir().unwrap();
    restore(
        Some(directory.path()),
        &state(&source, 1 << 20),
        &head(&source),
    )
    .unwrap();
    let engine = open(Some(directory.path()));
    let api = Api::new(engine.clone(), ApiLimits::default(), "test".into());
    let ask = |method: &str, params: &str| {
        let params = serde_json::value::RawValue::from_string(params.to_owned()).unwrap();
        api.call(method, Some(&params))
            .map(|answer| answer.get().to_owned())
    };
    for (method, params) in [
        ("eth_getBlockByNumber", r#"["0x1",false]"#),
        ("eth_getBlockByNumber", r#"["0x12b",false]"#),
        ("eth_getBlockReceipts", r#"["0x2"]"#),
        (
            "eth_getBalance",
            r#"["0x0000000000000000000000000000000000000001","0x5"]"#,
        ),
        ("eth_getLogs", r#"[{"fromBlock":"0x0","toBlock":"0x12c"}]"#),
        ("eth_feeHistory", r#"["0x2","0x10",[]]"#),
    ] {
        let error = ask(method, params).unwrap_err();
        assert_eq!(error.code, 4444, "{method} {params}: {error}");
        assert!(error.message.contains("its first block is 300"), "{error}");
    }
    for (method, params) in [
        ("eth_getBlockByNumber", r#"["0x12c",true]"#),
        ("eth_getBlockByNumber", r#"["earliest",false]"#),
        ("eth_getBlockReceipts", r#"["0x12c"]"#),
        (
            "eth_getBalance",
            r#"["0x0000000000000000000000000000000000000001","latest"]"#,
        ),
        (
            "eth_getLogs",
            r#"[{"fromBlock":"0x12c","toBlock":"latest"}]"#,
        ),
        ("eth_feeHistory", r#"["0x10","latest",[50]]"#),
        ("eth_gasPrice", "[]"),
    ] {
        let answer = ask(method, params).unwrap();
        assert_ne!(answer, "null", "{method} {params}");
    }
    assert!(ask("eth_capabilities", "[]").unwrap().contains("0x12c"));
    assert_eq!(engine.head().timestamp, GENESIS_TIME + 2 * BLOCKS);
}

fn refusal(chunks: &[Vec<u8>], head: &Head) -> String {
    match restore(None, chunks, head) {
        Err(EngineError::InvalidInput(text)) => text,
        Err(EngineError::InvalidBlock { code, detail }) => format!("{code}: {detail}"),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_state_that_is_not_the_header_s_is_refused_by_what_is_wrong() {
    let source = source();
    let good = head(&source);
    let whole = state(&source, 1 << 20).concat();
    let entries = split(&whole);
    let of = |kind: u8| entries.iter().position(|entry| entry[0] == kind).unwrap();
    let rebuilt = |entries: Vec<Vec<u8>>| refusal(&[entries.concat()], &good);

    let without = |at: usize| {
        let mut fewer = entries.clone();
        fewer.remove(at);
        rebuilt(fewer)
    };
    assert!(without(of(b's')).contains("the state has the root"));
    let code_of_contract = entries.iter().position(|entry| entry[0] == b'c').unwrap();
    assert!(without(code_of_contract).contains("is missing"));
    assert!(refusal(&[], &good).contains("the state has the root"));

    let changed = |at: usize, change: &dyn Fn(&mut Vec<u8>)| {
        let mut other = entries.clone();
        change(&mut other[at]);
        rebuilt(other)
    };
    assert!(
        changed(of(b'c'), &|entry| *entry.last_mut().unwrap() ^= 1).contains("has another hash")
    );
    assert!(
        changed(of(b's'), &|entry| *entry.last_mut().unwrap() += 4)
            .contains("the state has the root")
    );
    assert!(changed(of(b's'), &|entry| entry[69] = 0).contains("no valid value"));
    assert!(changed(of(b'a'), &|entry| entry[37] = 9).contains("no valid record"));
    assert!(changed(of(b'a'), &|entry| entry[0] = b'z').contains("an entry of kind 122"));
    assert!(changed(of(b'a') + 1, &|entry| entry[1] = 0).contains("not in order"));

    let twice = [&entries[..], &entries[entries.len() - 1..]].concat();
    assert!(rebuilt(twice).contains("not in order"));
    let mut foreign = entries[entries.len() - 1].clone();
    foreign[1..33].copy_from_slice(&[0xff; 32]);
    assert!(rebuilt([&entries[..], &[foreign]].concat()).contains("does not exist"));
    for cut in 1..40 {
        assert!(refusal(&[whole[..whole.len() - cut].to_vec()], &good).starts_with("snapshot: "));
    }
}

#[test]
fn a_head_that_does_not_belong_to_the_state_is_refused() {
    let source = source();
    let chunks = state(&source, 1 << 20);
    let with = |change: &dyn Fn(&mut Head)| {
        let mut other = head(&source);
        change(&mut other);
        refusal(&chunks, &other)
    };
    let no_receipts = Bytes::from(vec![0xc0]);
    assert!(
        with(&|head| head.receipts = no_receipts.clone()).contains("0 receipts for 1 transactions")
    );
    assert!(with(&|head| head.receipts = bytes!("c101")).contains("receipts"));
    assert!(
        with(&|head| drop(head.ancestors.remove(0)))
            .contains("255 headers before block 300, expected 256")
    );
    assert!(
        with(&|head| head.ancestors[7] = head.ancestors[8].clone()).contains("the header of block")
    );
    assert!(with(&|head| head.ancestors[7] = bytes!("01")).contains("a header before block 300"));
    let before = source.payload(BLOCKS - 1).unwrap().unwrap().0;
    assert!(!with(&|head| head.rlp = before.clone()).is_empty());
    let mut wrong = alloy_consensus::Receipt::<alloy_primitives::Log> {
        status: true.into(),
        cumulative_gas_used: 21_001,
        logs: Vec::new(),
    };
    wrong.cumulative_gas_used += 1;
    let mut rlp = Vec::new();
    let wrong = alloy_consensus::ReceiptEnvelope::Eip1559(wrong.into());
    alloy_rlp::encode_list(&[wrong], &mut rlp);
    assert!(with(&|head| head.receipts = rlp.clone().into()).starts_with("receipts_root"));
}

#[test]
fn a_directory_with_a_chain_is_left_alone_and_one_that_was_being_filled_holds_none() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(Some(directory.path()));
    produce(&engine);
    let head_before = engine.head();
    drop(engine);
    let genesis = genesis_json();
    let refused = Restoration::begin(&genesis, Some(directory.path().into()), 1 << 20);
    assert!(matches!(refused, Err(EngineError::InvalidInput(_))));
    assert_eq!(open(Some(directory.path())).head(), head_before);

    let other = tempfile::tempdir().unwrap();
    let source = source();
    let chunks = state(&source, 400);
    let mut half = Restoration::begin(&genesis, Some(other.path().into()), 1 << 20).unwrap();
    for chunk in &chunks[..chunks.len() / 2] {
        half.add(chunk).unwrap();
    }
    assert_ne!(half.root(), source.head().state_root);
    drop(half);
    let again = Restoration::begin(&genesis, Some(other.path().into()), 1 << 20);
    assert!(matches!(again, Err(EngineError::InvalidInput(_))));
}

#[test]
fn the_parts_of_a_state_are_of_one_block() {
    let engine = open(None);
    produce(&engine);
    let first = engine.state_chunk(&[], 100).unwrap();
    produce(&engine);
    let refused = engine.state_chunk(&first.next.unwrap(), 100).unwrap_err();
    assert!(matches!(refused, EngineError::InvalidInput(_)));
    assert!(engine.state_chunk(b"zebra", 100).is_err());
}

fn split(mut entries: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !entries.is_empty() {
        let key = if entries[0] == b's' { 65 } else { 33 };
        let length = u32::from_le_bytes(entries[key..key + 4].try_into().unwrap()) as usize;
        let (entry, rest) = entries.split_at(key + 4 + length);
        found.push(entry.to_vec());
        entries = rest;
    }
    found
}

#[test]
fn receipts_are_taken_in_their_one_encoding_alone() {
    let typed = ReceiptEnvelope::Eip1559(ReceiptWithBloom::<Receipt>::default());
    let encoded = alloy_rlp::encode(vec![typed.clone(), typed]);
    assert_eq!(decode_receipts(&encoded).expect("two receipts").len(), 2);
    // After the list's prefix of three bytes comes that of a string, whose length is said one too short.
    let mut other = encoded.clone();
    other[5] -= 1;
    for bytes in [&other[..], &[&encoded[..], &[0x80]].concat()] {
        let refused = decode_receipts(bytes).expect_err("these are no receipts");
        assert!(refused.to_string().contains("receipts: "), "{refused}");
    }
}
