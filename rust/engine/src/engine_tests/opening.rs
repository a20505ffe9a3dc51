//! Opening, subscribing, rewinding.

use super::*;

#[test]
fn another_genesis_is_refused_with_both_hashes() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(Some(directory.path()));
    let hash = engine.head().hash;
    engine.close().unwrap();
    drop(engine);
    let config = EngineConfig {
        path: Some(directory.path().into()),
        ..EngineConfig::default()
    };
    let other = testing::genesis_json([Address::repeat_byte(1)]);
    let other_hash = crate::genesis::GenesisBlock::parse(&other)
        .unwrap()
        .block
        .hash;
    let error = Engine::open(&other, config).unwrap_err().to_string();
    assert!(
        error.contains(&hash.to_string()) && error.contains(&other_hash.to_string()),
        "{error}"
    );
    assert_eq!(open(Some(directory.path())).head().hash, hash);
}

#[test]
fn subscribers_hear_of_a_block_when_it_can_be_read() {
    let engine = open(None);
    let events = engine.subscribe();
    submit(&engine, &[Account::of(1).transfer(0, Address::ZERO, 1)]);
    let block = produce(&engine);
    let mut heads = 0;
    let mut pending = 0;
    while let Ok(event) = events.recv_timeout(Duration::from_millis(500)) {
        match event {
            EngineEvent::NewHead(stored) => {
                heads += 1;
                assert_eq!(stored.block.hash, block.block.hash);
                assert_eq!(stored.receipts.len(), 1);
            }
            EngineEvent::PendingTransactions(transactions) => pending += transactions.len(),
        }
        if (heads, pending) == (1, 1) {
            return;
        }
    }
    panic!("{heads} heads and {pending} transactions announced");
}

#[test]
fn rewinding_forgets_later_blocks() {
    let engine = open(None);
    let first = produce(&engine);
    produce(&engine);
    submit(
        &engine,
        &[Account::of(1).transfer(0, Address::repeat_byte(5), 1)],
    );
    produce(&engine);
    assert_eq!(engine.rewind(1).unwrap().hash, first.block.hash);
    assert_eq!(engine.head().number, 1);
    assert_eq!(engine.payload(2).unwrap(), None);
    assert_eq!(
        engine
            .store()
            .latest()
            .basic_ref(Address::repeat_byte(5))
            .unwrap(),
        None
    );
    produce(&engine);
    assert_eq!(engine.head().number, 2);
}
