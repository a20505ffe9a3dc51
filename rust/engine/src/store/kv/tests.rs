//! The contract of [`Kv`], on both implementations, against a plain map.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(u8, u8, Option<u8>)>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = vec((0..4u8, any::<u8>(), any::<Option<u8>>()), 0..20).prop_map(Step::Write);
    vec(prop_oneof![6 => write, 1 => Just(Step::Reopen)], 1..12)
}

fn check(kv: &dyn Kv, model: &BTreeMap<Vec<u8>, Vec<u8>>) {
    for kind in 0..4u8 {
        for second in 0..=255u8 {
            let key = vec![kind, second];
            assert_eq!(kv.get(&key).unwrap(), model.get(&key).cloned());
        }
        let mut seen = Vec::new();
        kv.scan(&[kind], &mut |key, value| {
            seen.push((key.to_vec(), value.to_vec()));
            Ok(true)
        })
        .unwrap();
        let expected: Vec<Pair> = model
            .iter()
            .filter(|(key, _)| key[0] == kind)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(seen, expected);
        for from in [0u8, 100, 255] {
            let (from, to) = (vec![kind, from], vec![kind + 1]);
            let expected = model.range(from.clone()..to.clone()).next();
            let expected = expected.map(|(key, value)| (key.clone(), value.clone()));
            assert_eq!(kv.first(&from, &to).unwrap(), expected);
        }
    }
    assert_eq!(kv.first(&[2], &[2]).unwrap(), None);
}

fn run(steps: Vec<Step>, mut open: impl FnMut(Option<Box<dyn Kv>>) -> Box<dyn Kv>) {
    let mut kv = open(None);
    let mut model = BTreeMap::new();
    for step in steps {
        match step {
            Step::Reopen => kv = open(Some(kv)),
            Step::Write(entries) => {
                let mut batch = Batch::default();
                for (kind, second, value) in entries {
                    let key = vec![kind, second];
                    match value {
                        Some(value) => {
                            batch.put(key.clone(), vec![value]);
                            model.insert(key, vec![value]);
                        }
                        None => {
                            batch.delete(key.clone());
                            model.remove(&key);
                        }
                    }
                }
                kv.write(batch).unwrap();
            }
        }
        check(&*kv, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn memory_keeps_the_contract(steps in steps()) {
        run(steps, |old| old.unwrap_or_else(|| Box::new(MemoryKv::default())));
    }

    #[test]
    fn disk_keeps_the_contract_across_reopening(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        run(steps, |old| {
            drop(old);
            Box::new(DiskKv::open(directory.path(), 1 << 20).unwrap())
        });
    }
}

/// A write of a key: a value, a deletion, or one that yields to the others.
#[derive(Debug, Clone)]
enum Asked {
    Put(u8),
    Delete,
    DeleteUnlessWritten,
}

proptest! {
    #[test]
    fn of_many_writes_of_a_key_the_last_counts_and_a_deletion_that_yields_only_alone(
        asked in vec(
            (
                vec(0..2u8, 0..12),
                prop_oneof![
                    any::<u8>().prop_map(Asked::Put),
                    Just(Asked::Delete),
                    Just(Asked::DeleteUnlessWritten),
                ],
            ),
            0..40,
        ),
    ) {
        let mut batch = Batch::default();
        let mut model: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for (key, one) in &asked {
            match one {
                Asked::Put(value) => {
                    batch.put(key, [*value]);
                    model.insert(key.clone(), Some(vec![*value]));
                }
                Asked::Delete => {
                    batch.delete(key);
                    model.insert(key.clone(), None);
                }
                Asked::DeleteUnlessWritten => {
                    batch.delete_unless_written(key);
                    model.entry(key.clone()).or_insert(None);
                }
            }
        }
        prop_assert_eq!(batch.len(), asked.len());
        let sorted = batch.sorted().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)));
        prop_assert_eq!(sorted.collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_scan_stops_when_the_visitor_says_so() {
    let kv = MemoryKv::default();
    let mut batch = Batch::default();
    batch.put(vec![1, 1], vec![]);
    batch.put(vec![1, 2], vec![]);
    kv.write(batch).unwrap();
    let mut seen = 0;
    kv.scan(&[1], &mut |_, _| {
        seen += 1;
        Ok(false)
    })
    .unwrap();
    assert_eq!(seen, 1);
}
