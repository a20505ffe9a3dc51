//! Filters: news kept for callers who ask again and again instead of subscribing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use alloy_primitives::map::HashMap;
use parking_lot::Mutex;
use serde_json::value::RawValue;

use crate::criteria::Topic;
use crate::error::{LIMIT_EXCEEDED, RpcError, SERVER_ERROR};
use crate::event::{Head, LogTexts};
use crate::ids::Identifiers;

/// The filters of all callers.
#[derive(Debug)]
pub(crate) struct Filters {
    by_id: Mutex<HashMap<String, Kept>>,
    identifiers: Identifiers,
    filters_max: usize,
    per_owner_max: u32,
    entries_max: usize,
    entries_in_all_max: usize,
    timeout: Duration,
}

#[derive(Debug)]
struct Kept {
    topic: Topic,
    /// The newest block that could be read when the filter was made: only later ones are its news.
    after: u64,
    /// The parameters of `eth_getLogs` that ask for the past of a log filter.
    past: Option<Box<RawValue>>,
    entries: Vec<Arc<str>>,
    asked: Instant,
    /// Counts the filters of one address.
    owner: Arc<AtomicU32>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.owner.fetch_sub(1, Relaxed);
    }
}

impl Filters {
    pub(crate) fn new(
        filters_max: usize,
        per_owner_max: u32,
        entries_max: usize,
        entries_in_all_max: usize,
        timeout: Duration,
    ) -> Self {
        let identifiers = Identifiers::new();
        Self {
            by_id: Mutex::default(),
            identifiers,
            filters_max,
            per_owner_max,
            entries_max,
            entries_in_all_max,
            timeout,
        }
    }

    /// Adds a filter and gives its id. `exempt` callers have no limit of their own. `head` reads the newest visible
    /// block; it is asked while no news can be kept, so that none is missed and none is told that was visible before.
    pub(crate) fn add(
        &self,
        topic: Topic,
        past: Option<Box<RawValue>>,
        owner: &Arc<AtomicU32>,
        exempt: bool,
        head: impl FnOnce() -> u64,
        now: Instant,
    ) -> Result<String, RpcError> {
        let mut by_id = self.by_id.lock();
        if by_id.len() >= self.filters_max {
            return Err(RpcError::new(
                LIMIT_EXCEEDED,
                "too many filters on this server",
            ));
        }
        if !exempt && owner.load(Relaxed) >= self.per_owner_max {
            let message = format!(
                "too many filters: at most {} for one address",
                self.per_owner_max
            );
            return Err(RpcError::new(LIMIT_EXCEEDED, message));
        }
        owner.fetch_add(1, Relaxed);
        let id = self.identifiers.next();
        by_id.insert(
            id.clone(),
            Kept {
                topic,
                after: head(),
                past,
                entries: Vec::new(),
                asked: now,
                owner: Arc::clone(owner),
            },
        );
        Ok(id)
    }

    /// Takes what came in since the last question.
    pub(crate) fn take_changes(&self, id: &str, now: Instant) -> Result<Vec<Arc<str>>, RpcError> {
        self.with(id, now, |kept| Ok(std::mem::take(&mut kept.entries)))
    }

    /// The parameters of `eth_getLogs` for the past of a log filter.
    pub(crate) fn past(&self, id: &str, now: Instant) -> Result<Box<RawValue>, RpcError> {
        self.with(id, now, |kept| kept.past.clone().ok_or_else(not_found))
    }

    /// Removes a filter; `false` if there was none.
    pub(crate) fn remove(&self, id: &str) -> bool {
        self.by_id.lock().remove(id).is_some()
    }

    /// Forgets the filters nobody has asked for a while.
    pub(crate) fn expire(&self, now: Instant) {
        self.by_id
            .lock()
            .retain(|_, kept| now.saturating_duration_since(kept.asked) <= self.timeout);
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.lock().len()
    }

    /// Whether a filter of one of these kinds is there.
    pub(crate) fn any(&self, wanted: impl Fn(&Topic) -> bool) -> bool {
        self.by_id.lock().values().any(|kept| wanted(&kept.topic))
    }

    /// Keeps a block and its logs for those who wait for them.
    pub(crate) fn keep_head(&self, head: &Head, logs: &LogTexts) {
        let hash: Arc<str> = format!("\"{}\"", head.hash).into();
        self.keep(|topic, after, entries| match topic {
            _ if head.number <= after => {}
            Topic::Heads => entries.push(Arc::clone(&hash)),
            Topic::Logs(filter) => entries.extend(logs.matching(filter).cloned()),
            Topic::PendingHashes | Topic::PendingFull | Topic::Receipts(_) | Topic::Syncing => {}
        });
    }

    /// Keeps new executable transactions for those who wait for them.
    pub(crate) fn keep_pending(&self, hashes: &[Arc<str>], full: &[Arc<str>]) {
        self.keep(|topic, _, entries| match topic {
            Topic::PendingHashes => entries.extend_from_slice(hashes),
            Topic::PendingFull => entries.extend_from_slice(full),
            Topic::Heads | Topic::Logs(_) | Topic::Receipts(_) | Topic::Syncing => {}
        });
    }

    /// A filter that would hold too much is removed: better than an answer with a hole in it. Where all together would, those have
    /// room first that hold least, since their callers ask, and then those whose callers have few.
    fn keep(&self, add: impl Fn(&Topic, u64, &mut Vec<Arc<str>>)) {
        let mut by_id = self.by_id.lock();
        let mut all: Vec<(&String, &mut Kept)> = by_id.iter_mut().collect();
        all.sort_unstable_by_key(|(_, kept)| (kept.entries.len(), kept.owner.load(Relaxed)));
        let (mut held, mut removed) = (0, Vec::new());
        for (id, kept) in all {
            add(&kept.topic, kept.after, &mut kept.entries);
            let entries = kept.entries.len();
            if entries <= self.entries_max && held + entries <= self.entries_in_all_max {
                held += entries;
            } else {
                kept.entries = Vec::new();
                removed.push(id.clone());
            }
        }
        for id in removed {
            by_id.remove(&id);
        }
    }

    fn with<T>(
        &self,
        id: &str,
        now: Instant,
        answer: impl FnOnce(&mut Kept) -> Result<T, RpcError>,
    ) -> Result<T, RpcError> {
        let mut by_id = self.by_id.lock();
        let kept = by_id.get_mut(id).ok_or_else(not_found)?;
        if now.saturating_duration_since(kept.asked) > self.timeout {
            by_id.remove(id);
            return Err(not_found());
        }
        kept.asked = now;
        answer(kept)
    }
}

fn not_found() -> RpcError {
    RpcError::new(SERVER_ERROR, "filter not found")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::criteria::CriteriaLimits;

    fn filters() -> Filters {
        Filters::new(3, 2, 2, 5, Duration::from_secs(300))
    }

    fn head(number: u64) -> Head {
        Head {
            number,
            hash: alloy_primitives::B256::repeat_byte(u8::try_from(number).unwrap()),
            header: RawValue::from_string("{}".to_owned()).unwrap(),
            logs: vec![alloy_rpc_types_eth::Log {
                block_hash: Some(alloy_primitives::B256::ZERO),
                block_number: Some(number),
                ..Default::default()
            }],
            receipts: Vec::new(),
        }
    }

    #[test]
    fn a_filter_reports_only_what_could_not_be_read_when_it_was_made() {
        let (filters, owner, now) = (filters(), Arc::default(), Instant::now());
        let add = |topic| filters.add(topic, None, &owner, true, || 7, now).unwrap();
        let all = RawValue::from_string("{}".to_owned()).unwrap();
        let limits = CriteriaLimits {
            alternatives_max: 1,
            memory: Budget::new(0),
        };
        let all = crate::criteria::parse_criteria(&all, &limits).unwrap();
        let (heads, logs) = (add(Topic::Heads), add(Topic::Logs(Arc::new(all))));
        for number in [6, 7, 8] {
            let head = Arc::new(head(number));
            filters.keep_head(&head, &LogTexts::new(&head));
        }
        let eighth = format!("\"0x{}\"", "08".repeat(32));
        assert_eq!(filters.take_changes(&heads, now).unwrap(), [entry(&eighth)]);
        assert_eq!(filters.take_changes(&logs, now).unwrap().len(), 1);
    }

    fn entry(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn a_filter_gives_each_entry_once() {
        let (filters, owner, now) = (filters(), Arc::default(), Instant::now());
        let id = filters
            .add(Topic::PendingHashes, None, &owner, false, || 0, now)
            .unwrap();
        filters.keep_pending(&[entry("1"), entry("2")], &[]);
        assert_eq!(
            filters.take_changes(&id, now).unwrap(),
            [entry("1"), entry("2")]
        );
        assert!(filters.take_changes(&id, now).unwrap().is_empty());
        assert!(filters.remove(&id));
        assert!(!filters.remove(&id));
        assert_eq!(
            filters.take_changes(&id, now).unwrap_err().message,
            "filter not found"
        );
    }

    #[test]
    fn a_filter_expires_five_minutes_after_the_last_question() {
        let (filters, owner, start) = (filters(), Arc::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let id = filters
            .add(Topic::Heads, None, &owner, false, || 0, start)
            .unwrap();
        assert!(filters.take_changes(&id, at(299)).is_ok());
        assert!(filters.take_changes(&id, at(598)).is_ok());
        filters.expire(at(898));
        assert_eq!(filters.len(), 1);
        assert!(filters.take_changes(&id, at(899)).is_err());
        assert_eq!(owner.load(Relaxed), 0);
    }

    #[test]
    fn the_limits_of_one_address_and_of_all_hold() {
        let (filters, owner, now) = (filters(), Arc::default(), Instant::now());
        let first = filters
            .add(Topic::Heads, None, &owner, false, || 0, now)
            .unwrap();
        filters
            .add(Topic::Heads, None, &owner, false, || 0, now)
            .unwrap();
        assert!(
            filters
                .add(Topic::Heads, None, &owner, false, || 0, now)
                .is_err()
        );
        filters
            .add(Topic::Heads, None, &owner, true, || 0, now)
            .unwrap();
        assert!(
            filters
                .add(Topic::Heads, None, &Arc::default(), true, || 0, now)
                .is_err()
        );
        filters.remove(&first);
        filters
            .add(Topic::Heads, None, &Arc::default(), false, || 0, now)
            .unwrap();
    }

    #[test]
    fn where_all_hold_too_much_those_go_that_nobody_asks_and_then_those_of_who_has_many() {
        let filters = Filters::new(10, 10, 9, 5, Duration::from_secs(300));
        let (modest, greedy) = (Arc::default(), Arc::default());
        let now = Instant::now();
        let add = |owner: &Arc<AtomicU32>| {
            filters
                .add(Topic::PendingHashes, None, owner, false, || 0, now)
                .unwrap()
        };
        let asked = add(&modest);
        let forgotten: Vec<String> = (0..2).map(|_| add(&greedy)).collect();
        for _ in 0..2 {
            filters.keep_pending(&[entry("1")], &[]);
            assert_eq!(filters.take_changes(&asked, now).unwrap().len(), 1);
        }
        assert_eq!(filters.len(), 3, "four entries and one");
        filters.keep_pending(&[entry("1"), entry("2")], &[]);
        assert_eq!(filters.len(), 1);
        assert_eq!(filters.take_changes(&asked, now).unwrap().len(), 2);
        assert!(filters.take_changes(&forgotten[0], now).is_err());
        let many: Vec<String> = (0..9).map(|_| add(&greedy)).collect();
        filters.keep_pending(&[entry("1")], &[]);
        assert_eq!(filters.len(), 5);
        assert!(filters.take_changes(&asked, now).is_ok());
        let left = many
            .iter()
            .filter(|id| filters.take_changes(id, now).is_ok());
        assert_eq!(left.count(), 4);
    }

    #[test]
    fn a_filter_that_holds_too_much_is_removed() {
        let (filters, owner, now) = (filters(), Arc::default(), Instant::now());
        let id = filters
            .add(Topic::PendingHashes, None, &owner, false, || 0, now)
            .unwrap();
        filters.keep_pending(&[entry("1"), entry("2"), entry("3")], &[]);
        assert!(filters.take_changes(&id, now).is_err());
    }
}
