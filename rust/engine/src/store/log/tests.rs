use alloy_primitives::{Address, Bytes};
use proptest::{collection::vec, prelude::*};

use super::*;

fn record(number: u64, size: usize) -> Record {
    Record {
        number,
        header: Bytes::from(vec![number as u8; 40 + size % 7]),
        rest: (0..size)
            .map(|at| (at * 7 + number as usize) as u8)
            .collect(),
        senders: vec![Address::repeat_byte(number as u8); size % 3],
        requests: vec![Bytes::from(vec![1, 2]); size % 2],
        receipts: Bytes::from(vec![0xc0]),
    }
}

fn write(path: &Path, sizes: &[usize]) -> Vec<Location> {
    let log = BlockLog::open(path).unwrap();
    let append =
        |(number, size): (usize, &usize)| log.append(&record(number as u64, *size)).unwrap();
    let locations = sizes.iter().enumerate().map(append).collect();
    log.sync().unwrap();
    locations
}

fn segment(path: &Path) -> std::path::PathBuf {
    path.join("00000000.log")
}

proptest! {
    #[test]
    fn a_record_decodes_to_itself_and_never_when_cut_or_altered(number: u64, size in 0usize..400, at: usize, bit in 0u8..8) {
        let record = record(number, size);
        let mut frame = record.encode();
        prop_assert_eq!(&Record::decode(&frame).unwrap(), &record);
        prop_assert_eq!(record::decode_header(&frame).unwrap(), record.header.to_vec());
        prop_assert!(Record::decode(&frame[..at % frame.len()]).is_err());
        let at = at % frame.len();
        frame[at] ^= 1 << bit;
        prop_assert!(Record::decode(&frame).is_err());
        frame[at] ^= 1 << bit;
        frame.push(0);
        prop_assert!(Record::decode(&frame).is_err());
    }

    #[test]
    fn a_location_decodes_to_itself(segment: u32, offset in 0u64..1 << 62, length: u32) {
        let location = Location { segment, offset, length };
        prop_assert_eq!(Location::decode(&location.encode()).unwrap(), location);
    }

    #[test]
    fn records_read_back_after_reopening(sizes in vec(0usize..5_000, 1..8)) {
        let directory = tempfile::tempdir().unwrap();
        let locations = write(directory.path(), &sizes);
        let log = BlockLog::open(directory.path()).unwrap();
        prop_assert_eq!(&log.recover(Position::default()).unwrap(), &locations);
        for (number, (size, location)) in sizes.iter().zip(&locations).enumerate() {
            let expected = record(number as u64, *size);
            prop_assert_eq!(&log.read_header(*location).unwrap(), &expected.header.to_vec());
            prop_assert_eq!(&log.read(*location).unwrap(), &expected);
        }
        let middle = locations[sizes.len() / 2];
        let from_the_middle = log.recover(Position { segment: 0, offset: middle.offset }).unwrap();
        prop_assert_eq!(&from_the_middle[..], &locations[sizes.len() / 2..]);
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_log_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let locations = write(directory.path(), &[30, 60, 90]);
    let whole = std::fs::read(segment(directory.path())).unwrap();
    let last = locations[2];
    for length in last.offset as usize..whole.len() {
        for filler in [None, Some(0)] {
            // A tail may be short, or long enough with blocks of zeros that were never written.
            let mut torn = whole[..length].to_vec();
            torn.resize(filler.map_or(length, |_| whole.len()), 0);
            if torn == whole {
                continue;
            }
            std::fs::write(segment(directory.path()), &torn).unwrap();
            let log = BlockLog::open(directory.path()).unwrap();
            assert_eq!(log.recover(Position::default()).unwrap(), locations[..2]);
            let again = log.append(&record(2, 90)).unwrap();
            assert_eq!(again, last);
            log.sync().unwrap();
            drop(log);
            assert_eq!(std::fs::read(segment(directory.path())).unwrap(), whole);
        }
    }
}

#[test]
fn damage_before_the_last_record_is_corruption_wherever_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let locations = write(directory.path(), &[30, 60, 90]);
    let whole = std::fs::read(segment(directory.path())).unwrap();
    for at in 0..locations[2].offset as usize {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(segment(directory.path()), &damaged).unwrap();
        let found =
            BlockLog::open(directory.path()).and_then(|log| log.recover(Position::default()));
        assert!(
            matches!(found, Err(EngineError::Corruption(_))),
            "byte {at}: {found:?}"
        );
        assert_eq!(
            std::fs::read(segment(directory.path())).unwrap(),
            damaged,
            "byte {at}"
        );
    }
}

#[test]
fn a_log_that_ends_before_the_known_head_is_corruption() {
    let directory = tempfile::tempdir().unwrap();
    let locations = write(directory.path(), &[30, 60]);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(segment(directory.path()))
        .unwrap();
    file.set_len(locations[1].offset).unwrap();
    let log = BlockLog::open(directory.path()).unwrap();
    assert!(matches!(
        log.recover(locations[1].end()),
        Err(EngineError::Corruption(_))
    ));
}

#[test]
fn a_missing_segment_is_corruption() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[30]);
    let (first, third) = (
        segment(directory.path()),
        directory.path().join("00000002.log"),
    );
    std::fs::copy(first, third).unwrap();
    assert!(matches!(
        BlockLog::open(directory.path()),
        Err(EngineError::Corruption(_))
    ));
}

#[test]
fn a_segment_torn_while_it_was_made_is_made_again() {
    for length in 0..12 {
        let directory = tempfile::tempdir().unwrap();
        let locations = write(directory.path(), &[30]);
        let next = directory.path().join("00000001.log");
        std::fs::write(next, vec![0; length]).unwrap();
        let log = BlockLog::open(directory.path()).unwrap();
        assert_eq!(log.recover(Position::default()).unwrap(), locations);
        assert_eq!(log.append(&record(1, 1)).unwrap().segment, 1);
    }
}

#[test]
fn a_cut_forgets_later_records() {
    let directory = tempfile::tempdir().unwrap();
    let locations = write(directory.path(), &[30, 60, 90]);
    let log = BlockLog::open(directory.path()).unwrap();
    log.cut(locations[0].end()).unwrap();
    assert_eq!(log.recover(Position::default()).unwrap(), locations[..1]);
    assert_eq!(log.append(&record(1, 60)).unwrap(), locations[1]);
}
