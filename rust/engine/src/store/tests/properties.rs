use std::collections::BTreeMap;

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};

use super::chain::{Chain, Touch, options};
use crate::store::StoreOptions;

pub(super) fn touches() -> impl Strategy<Value = BTreeMap<u8, Touch>> {
    let slots = || vec((0u8..6, 0u64..3), 0..5);
    let touch = prop_oneof![
        6 => (0u64..3, 0u64..100, slots()).prop_map(|(nonce, balance, slots)| Touch::Set(nonce, balance, slots)),
        1 => Just(Touch::Destroy),
        1 => (0u64..9, slots()).prop_map(|(balance, slots)| Touch::Recreate(balance, slots)),
        1 => Just(Touch::Empty),
        1 => (0u8..4).prop_map(Touch::Deploy),
    ];
    btree_map(0u8..8, touch, 0..5)
}

#[derive(Debug, Clone)]
enum Step {
    Commit(BTreeMap<u8, Touch>),
    Flush,
    Reopen,
    Rewind(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => touches().prop_map(Step::Commit),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => (0u64..4).prop_map(Step::Rewind),
    ];
    vec(step, 1..20)
}

fn run(options: StoreOptions, steps: Vec<Step>) {
    let on_disk = options.path.is_some();
    let pruned = options.history_blocks.is_some();
    let mut chain = Chain::new(options);
    for step in steps {
        match step {
            Step::Commit(touches) => chain.commit(&touches),
            Step::Flush => chain.store().flush().unwrap(),
            Step::Reopen if on_disk => {
                assert_eq!(
                    chain.reopen().unwrap(),
                    0,
                    "a closed store has nothing left to apply"
                );
            }
            Step::Reopen => {}
            Step::Rewind(back) => {
                // So that no flush in the background moves the window meanwhile.
                chain.store().flush().unwrap();
                let head = chain.store().head().number;
                let oldest = chain.store().stats().oldest_state;
                let to = head.saturating_sub(back).max(oldest);
                let head = chain.store().rewind(to).unwrap();
                assert_eq!(head, chain.store().head());
                chain.blocks.truncate(to as usize);
                chain.states.truncate(to as usize + 1);
            }
        }
    }
    if !pruned {
        // With a window, a flush in the background may move it in the middle of this.
        chain.check();
    }
    chain.store().flush().unwrap();
    chain.check();
    let head = chain.store().head().number;
    assert_eq!(chain.store().blocks_with_log_rows(), 0..head + 1);
    let oldest = chain.store().stats().oldest_state;
    for number in oldest..chain.states.len() as u64 {
        for seed in [0, 1, 2, 7] {
            chain.check_proof(number, seed, &[0, 1, 5]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_state_and_proof_is_right_in_memory(steps in steps()) {
        run(options(None), steps);
    }

    #[test]
    fn every_state_and_proof_is_right_on_disk(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        run(options(Some(directory.path())), steps);
    }

    #[test]
    fn a_pruned_store_is_right_within_its_window(steps in steps(), history_blocks in 0u64..6) {
        let directory = tempfile::tempdir().unwrap();
        let options = StoreOptions { history_blocks: Some(history_blocks), ..options(Some(directory.path())) };
        run(options, steps);
    }
}
