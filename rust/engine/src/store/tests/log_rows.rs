use super::chain::{Chain, options, steady_touches};
use crate::store::{StoreOptions, keys, kv::Batch};

fn grow(chain: &mut Chain, to: u64) {
    for number in chain.blocks.len() as u64 + 1..=to {
        chain.commit(&steady_touches(number));
    }
    chain.store().flush().unwrap();
}

#[test]
fn a_store_of_an_older_version_gets_rows_from_its_next_flush_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut chain = Chain::new(StoreOptions {
        flush_every_blocks: 1_000,
        ..options(Some(directory.path()))
    });
    grow(&mut chain, 5);
    let mut batch = Batch::default();
    batch.delete(keys::META_LOG_ROWS);
    chain.store().inner.kv.write(batch).unwrap();
    chain.reopen().unwrap();
    assert_eq!(chain.store().blocks_with_log_rows(), 0..0);
    grow(&mut chain, 9);
    assert_eq!(chain.store().blocks_with_log_rows(), 6..10);
    chain.reopen().unwrap();
    assert_eq!(chain.store().blocks_with_log_rows(), 6..10);
    grow(&mut chain, 12);
    assert_eq!(chain.store().blocks_with_log_rows(), 6..13);
    chain.store().rewind(7).unwrap();
    assert_eq!(chain.store().blocks_with_log_rows(), 6..8);
    chain.store().rewind(3).unwrap();
    assert!(chain.store().blocks_with_log_rows().is_empty());
}
