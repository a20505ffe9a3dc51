//! Readers beside the writer: a pinned view does not move.

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicBool, Ordering},
};

use super::chain::{Chain, State, check_state, options, steady_touches};
use crate::store::{Store, StoreOptions};

const BLOCKS: u64 = 150;

fn read_along(store: &Store, states: &RwLock<Vec<State>>, done: &AtomicBool, seed: u64) -> u64 {
    let mut turns = seed;
    let mut held = store.latest();
    // A reader that is first scheduled after the last commit takes its turn then.
    let mut is_last = false;
    while !is_last {
        is_last = done.load(Ordering::Relaxed);
        turns += 1;
        let view = match turns % 4 {
            0 => store.latest(),
            1 => store
                .state_at(turns * 7919 % (store.head().number + 1))
                .unwrap(),
            2 => held.clone(),
            _ => {
                held = store.latest();
                held.clone()
            }
        };
        let number = view.number();
        let expected = states.read().unwrap()[number as usize].clone();
        check_state(&view, &expected);
        let header = store.header(number).unwrap().unwrap();
        assert_eq!(store.number_of(header.1).unwrap(), Some(number));
        let block = store.block(number).unwrap().unwrap();
        for transaction in &block.block.transactions {
            let place = store.transaction_location(*transaction.tx_hash()).unwrap();
            assert_eq!(place.unwrap().0, number);
        }
    }
    turns - seed
}

fn commit_with_readers(options: StoreOptions) {
    // Computed ahead, so that a reader that sees block n finds its state in the model.
    let model = Chain::expecting(
        StoreOptions {
            path: None,
            ..options.clone()
        },
        BLOCKS,
    );
    let mut chain = Chain::new(options);
    let states = RwLock::new(model.states);
    let done = AtomicBool::new(false);
    let store = Arc::new(chain.store.take().unwrap());
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|seed| {
                let (store, states, done) = (&store, &states, &done);
                scope.spawn(move || read_along(store, states, done, seed * 100))
            })
            .collect();
        for executed in &model.blocks {
            store.commit(executed).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        let turns: u64 = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum();
        assert!(turns > 0);
    });
    chain.store = Some(Arc::into_inner(store).unwrap());
    (chain.blocks, chain.states) = (model.blocks, states.into_inner().unwrap());
    chain.check();
}

#[test]
fn pinned_views_stay_while_blocks_commit_and_flush_in_memory() {
    commit_with_readers(options(None));
}

#[test]
fn pinned_views_stay_while_blocks_commit_and_flush_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    commit_with_readers(options(Some(directory.path())));
}

#[test]
fn an_undecided_block_stays_usable_while_its_parent_is_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let mut chain = Chain::new(options(Some(directory.path())));
    for number in 1..=7 {
        chain.commit(&steady_touches(number));
    }
    let (executed, state) = chain.execute(&steady_touches(8));
    chain.store().flush().unwrap();
    let child = chain
        .store()
        .root_after(&executed.trie, &Default::default())
        .unwrap();
    assert_eq!(child.root(), executed.trie.root());
    chain.store().commit(&executed).unwrap();
    chain.blocks.push(executed);
    chain.states.push(state);
    chain.check();
    chain.check_proof(8, 1, &[0, 1]);
}

#[test]
fn flushed_nodes_leave_memory_although_each_block_is_executed_before_its_parents_flush() {
    let options = StoreOptions {
        flush_every_blocks: 1_000,
        ..options(None)
    };
    let mut chain = Chain::new(options);
    let mut unflushed = 0;
    for number in 1..=60 {
        // As an engine in a hurry does it: the next block is there before the flush ends.
        let (executed, state) = chain.execute(&steady_touches(number));
        unflushed = unflushed.max(executed.trie.branches_up_to(number));
        if number % 5 == 0 {
            chain.store().flush().unwrap();
        }
        chain.store().commit(&executed).unwrap();
        chain.blocks.push(executed);
        chain.states.push(state);
        let flushed = chain.store().stats().flushed;
        let lingering = chain.store().trie().branches_up_to(flushed + 1);
        assert_eq!(lingering, 0, "block {number}, flushed {flushed}");
    }
    assert!(unflushed > 0, "the chain has branches to let go");
    chain.check();
}
