//! Crashes at every moment, and what opening makes of what is left.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::chain::{Chain, options, steady_touches};
use crate::{
    EngineError,
    store::{Store, StoreOptions},
};

/// The directory that a child process writes to until it is killed.
const VICTIM_DIRECTORY: &str = "METANODE_TEST_STORE_DIRECTORY";

fn grow(chain: &mut Chain, to: u64) {
    for number in chain.blocks.len() as u64 + 1..=to {
        chain.commit(&steady_touches(number));
    }
}

/// What is on disk at this moment, as a crash would leave it. Nothing may be flushing.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn log_of(directory: &Path) -> PathBuf {
    directory.join("blocks/00000000.log")
}

/// A chain of nine blocks of which the key-value store has five, as it was on disk before it was closed.
fn crashed() -> (tempfile::TempDir, Chain) {
    let directory = tempfile::tempdir().unwrap();
    let live = directory.path().join("live");
    let options = StoreOptions {
        flush_every_blocks: 1_000,
        ..options(Some(&live))
    };
    let mut chain = Chain::new(options);
    grow(&mut chain, 5);
    chain.store().flush().unwrap();
    grow(&mut chain, 9);
    copy(&live, &directory.path().join("image"));
    chain.close();
    chain.options.path = Some(directory.path().join("image"));
    (directory, chain)
}

#[test]
fn after_a_crash_the_blocks_of_the_log_are_applied_again() {
    let (_directory, mut chain) = crashed();
    assert_eq!(chain.reopen().unwrap(), 4);
    assert_eq!(chain.blocks.len(), 9);
    chain.check();
    grow(&mut chain, 12);
    assert_eq!(chain.reopen().unwrap(), 0);
    chain.check();
    for number in 0..=12 {
        chain.check_proof(number, 1, &[0, 1, 2]);
    }
}

#[test]
fn a_flush_that_failed_is_not_made_again_by_a_disk_that_has_recovered() {
    let directory = tempfile::tempdir().unwrap();
    let mut chain = Chain::new(StoreOptions {
        flush_every_blocks: 1_000,
        ..options(Some(directory.path()))
    });
    grow(&mut chain, 5);
    chain.store().flush().unwrap();
    grow(&mut chain, 9);
    let tables = directory.path().join("state/keyspaces/1/tables");
    let away = directory.path().join("away");
    std::fs::rename(&tables, &away).unwrap();
    let failed = chain.store().flush().unwrap_err();
    std::fs::rename(&away, &tables).unwrap();

    assert_eq!(chain.store().flush().unwrap_err(), failed);
    let (executed, _) = chain.execute(&steady_touches(10));
    assert_eq!(chain.store().commit(&executed).unwrap_err(), failed);
    assert_eq!(chain.reopen().unwrap(), 4, "closing writes nothing either");
    chain.check();
    grow(&mut chain, 12);
    assert_eq!(chain.reopen().unwrap(), 0);
    chain.check();
}

#[test]
fn a_log_cut_at_any_byte_opens_at_a_decided_block() {
    let (directory, chain) = crashed();
    let image = directory.path().join("image");
    let whole = std::fs::read(log_of(&image)).unwrap();
    let length_of_last = {
        let store = Store::open(chain.options.clone()).unwrap();
        let pending = store.inner.writer.lock().pending_locations();
        pending.last().unwrap().length as usize
    };
    for length in whole.len() - length_of_last..whole.len() {
        std::fs::write(log_of(&image), &whole[..length]).unwrap();
        let store = Store::open(chain.options.clone()).unwrap();
        assert_eq!(store.head().number, 5);
        assert_eq!(store.head().hash, chain.blocks[4].block.hash);
        let unapplied = store.unapplied().unwrap();
        assert_eq!(unapplied.len(), 3, "cut at byte {length}");
    }
}

#[test]
fn damage_above_the_flushed_head_is_corruption_unless_it_is_the_tail() {
    let (directory, chain) = crashed();
    let image = directory.path().join("image");
    let whole = std::fs::read(log_of(&image)).unwrap();
    let (from, last) = {
        let store = Store::open(chain.options.clone()).unwrap();
        let pending = store.inner.writer.lock().pending_locations();
        (pending[0].offset as usize, pending[3].offset as usize)
    };
    for at in (from..last).step_by(29) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(log_of(&image), &damaged).unwrap();
        let opened = Store::open(chain.options.clone());
        assert!(
            matches!(opened, Err(EngineError::Corruption(_))),
            "byte {at}"
        );
    }
}

#[test]
fn damage_below_the_head_is_found_when_it_is_read() {
    let (directory, mut chain) = crashed();
    chain.reopen().unwrap();
    chain.close();
    let path = log_of(&directory.path().join("image"));
    let mut damaged = std::fs::read(&path).unwrap();
    let at = {
        let store = Store::open(chain.options.clone()).unwrap();
        let location = store.inner.blocks.location(3).unwrap().unwrap();
        location.offset + u64::from(location.length) - 3
    };
    damaged[at as usize] ^= 1;
    std::fs::write(path, damaged).unwrap();
    let store = Store::open(chain.options.clone()).unwrap();
    assert!(matches!(store.block(3), Err(EngineError::Corruption(_))));
    assert!(store.block(2).unwrap().is_some());
}

#[test]
fn a_lost_key_value_store_is_made_again_from_the_log() {
    let (directory, mut chain) = crashed();
    std::fs::remove_dir_all(directory.path().join("image/state")).unwrap();
    assert_eq!(chain.reopen().unwrap(), 9);
    assert_eq!(chain.blocks.len(), 9);
    chain.check();
}

#[test]
fn a_lost_log_is_corruption() {
    let (directory, chain) = crashed();
    std::fs::remove_dir_all(directory.path().join("image/blocks")).unwrap();
    let opened = Store::open(chain.options);
    assert!(matches!(opened, Err(EngineError::Corruption(_))));
}

#[test]
fn a_rewind_that_was_interrupted_is_completed() {
    let (directory, mut chain) = crashed();
    chain.reopen().unwrap();
    chain.close();
    let log = std::fs::read(log_of(&directory.path().join("image"))).unwrap();
    chain.reopen().unwrap();
    // Leave the mark that the rewind leaves before it cuts the log, and the log uncut.
    chain.store().rewind(6).unwrap();
    let location = chain.store().inner.blocks.location(6).unwrap().unwrap();
    let mut batch = crate::store::kv::Batch::default();
    batch.put(crate::store::keys::META_CUT, location.encode());
    chain.store().inner.kv.write(batch).unwrap();
    chain.close();
    std::fs::write(log_of(&directory.path().join("image")), log).unwrap();
    assert_eq!(chain.reopen().unwrap(), 0);
    assert_eq!(chain.store().head().number, 6);
    chain.check();
    grow(&mut chain, 9);
    chain.check();
}

/// The child process of the test below; without its directory there is nothing to do.
#[test]
fn victim() {
    let Some(directory) = std::env::var_os(VICTIM_DIRECTORY) else {
        return;
    };
    let mut chain = Chain::new(options(Some(Path::new(&directory))));
    for number in 1.. {
        chain.commit(&steady_touches(number));
        println!("committed {number}");
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_reported() {
    for round in 0..6u64 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::crash::victim", "--nocapture"])
            .env(VICTIM_DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut numbers =
            lines.filter_map(|line| line.ok()?.rsplit_once("committed ")?.1.parse().ok());
        let mut reported: u64 = numbers
            .by_ref()
            .take(20 + 13 * round as usize)
            .last()
            .unwrap();
        std::thread::sleep(Duration::from_millis(round));
        child.kill().unwrap();
        child.wait().unwrap();
        reported = numbers.last().unwrap_or(reported);

        let options = options(Some(directory.path()));
        let mut chain = Chain::expecting(options, reported + 100);
        chain.reopen().unwrap();
        let head = chain.store().head().number;
        assert!(head >= reported, "head {head}, reported {reported}");
        chain.check();
        chain.commit(&steady_touches(head + 1));
        chain.check_proof(head, 1, &[0, 1]);
        chain.check_proof(head.saturating_sub(9), 1, &[0, 1]);
    }
}
