//! What the store does not take, and that it stays as it was.

use std::sync::Arc;

use super::chain::{Chain, options, steady_touches};
use crate::{EngineError, ExecutedBlock, store::Store};

#[test]
fn a_block_that_does_not_extend_the_head_is_refused() {
    let mut chain = Chain::new(options(None));
    let (first, _) = chain.execute(&steady_touches(1));
    chain.commit(&steady_touches(1));
    let again = chain.store().commit(&first);
    assert!(matches!(again, Err(EngineError::InvalidInput(_))));
    let (mut executed, _) = chain.execute(&steady_touches(2));
    let block = Arc::get_mut(&mut executed).unwrap();
    block.block.header.state_root.0[0] ^= 1;
    let wrong_root = chain.store().commit(&executed);
    assert!(matches!(wrong_root, Err(EngineError::InvalidInput(_))));
    chain.check();
    chain.commit(&steady_touches(2));
    chain.check();
}

#[test]
fn a_block_other_than_the_one_in_the_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut chain = Chain::new(options(Some(directory.path())));
    for number in 1..=2 {
        chain.commit(&steady_touches(number));
    }
    chain.close();
    std::fs::remove_dir_all(directory.path().join("state")).unwrap();
    let store = Store::open(chain.options.clone()).unwrap();
    chain.store = Some(store);
    chain.states.truncate(1);
    chain.initialise();
    assert_eq!(chain.store().unapplied().unwrap().len(), 2);
    let (other, _) = chain.execute(&steady_touches(5));
    let refused = chain.store().commit(&other);
    assert!(matches!(refused, Err(EngineError::Corruption(_))));
    assert_eq!(chain.store().head().number, 0);
    let trie = chain
        .store()
        .root_after(&chain.store().trie(), &chain.blocks[0].bundle)
        .unwrap();
    let decided = &chain.blocks[0];
    let decided = ExecutedBlock {
        block: decided.block.clone(),
        receipts: decided.receipts.clone(),
        bundle: decided.bundle.clone(),
        trie,
    };
    chain.store().commit(&Arc::new(decided)).unwrap();
    assert_eq!(chain.store().head().number, 1);
}

#[test]
fn another_genesis_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut chain = Chain::new(options(Some(directory.path())));
    let genesis = chain.store().block(0).unwrap().unwrap();
    let twice = chain.store().initialise(genesis.block.clone(), &[]);
    assert!(matches!(twice, Err(EngineError::InvalidInput(_))));
    chain.close();
    std::fs::remove_dir_all(directory.path().join("state")).unwrap();
    let store = Store::open(chain.options.clone()).unwrap();
    let mut header = genesis.block.header.clone();
    header.state_root = Store::genesis_root(&[]);
    let other = crate::Block {
        hash: header.hash_slow(),
        header,
        ..genesis.block.clone()
    };
    let refused = store.initialise(other, &[]);
    assert!(matches!(refused, Err(EngineError::InvalidInput(_))));
    let wrong_root = store.initialise(genesis.block.clone(), &[]);
    assert!(matches!(wrong_root, Err(EngineError::InvalidInput(_))));
    assert!(store.is_empty());
}

#[test]
fn a_directory_in_use_or_of_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut chain = Chain::new(options(Some(directory.path())));
    let second = Store::open(chain.options.clone());
    assert!(matches!(second, Err(EngineError::Storage(_))));
    let mut batch = crate::store::kv::Batch::default();
    batch.put(crate::store::keys::META_FORMAT, b"77");
    chain.store().inner.kv.write(batch).unwrap();
    chain.close();
    let refused = Store::open(chain.options.clone());
    let refused = refused.map(|_| ()).unwrap_err();
    assert_eq!(
        refused,
        EngineError::Storage("the data has format 77, this version reads format 1".into())
    );
}

#[test]
fn a_closed_store_reads_but_does_not_commit() {
    let mut chain = Chain::new(options(None));
    chain.commit(&steady_touches(1));
    let (executed, _) = chain.execute(&steady_touches(2));
    chain.store().close().unwrap();
    chain.store().close().unwrap();
    let refused = chain.store().commit(&executed);
    assert!(matches!(refused, Err(EngineError::Storage(_))));
    chain.check();
}

#[test]
fn states_that_are_not_there_are_named() {
    let mut chain = Chain::new(options(None));
    chain.commit(&steady_touches(1));
    let ahead = chain.store().state_at(2).map(|_| ()).unwrap_err();
    assert_eq!(ahead, EngineError::NotFound("block 2".into()));
    let ahead = chain.store().proof(2, Default::default(), &[]);
    assert!(matches!(ahead, Err(EngineError::NotFound(_))));
    assert!(matches!(
        chain.store().rewind(9),
        Err(EngineError::NotFound(_))
    ));
}
