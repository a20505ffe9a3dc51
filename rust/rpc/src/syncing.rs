//! What subscribers of `syncing` hear: that the node catches up, how far it is now and then, and that it is done.
//!
//! As geth has it: who subscribes hears the present state first; `false` means that the node follows the head.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::criteria::Topic;
use crate::methods::Methods;
use crate::subscriptions::Subscriptions;

/// How often the node is asked, where somebody wants to know.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Between two reports of a node that goes on catching up.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(60);

/// Tells subscribers of changes. Owner: the thread that passes events on.
#[derive(Debug)]
pub(crate) struct SyncReports {
    looked: Instant,
    reported: Instant,
}

impl SyncReports {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            looked: now,
            reported: now,
        }
    }

    /// Looks once in an interval, if anybody listens.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        methods: &dyn Methods,
        subscriptions: &Subscriptions,
    ) {
        if now.saturating_duration_since(self.looked) < LOOK_INTERVAL {
            return;
        }
        self.looked = now;
        if !subscriptions.any(|topic| matches!(topic, Topic::Syncing)) {
            return;
        }
        let Ok(answer) = methods.call("eth_syncing", None) else {
            return;
        };
        let is_syncing = answer.get() != "false";
        let is_due =
            is_syncing && now.saturating_duration_since(self.reported) >= PROGRESS_INTERVAL;
        let report: Arc<str> = if is_syncing {
            format!("{{\"syncing\":true,\"status\":{}}}", answer.get()).into()
        } else {
            "false".into()
        };
        if subscriptions.tell_syncing(is_syncing, is_due, &report) {
            self.reported = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use serde_json::value::RawValue;

    use super::*;
    use crate::Declaration;
    use crate::methods::{Answer, Cost};
    use crate::subscriptions::Outlet;

    /// A node whose progress the test sets.
    struct Node(Mutex<&'static str>);

    impl Methods for Node {
        fn declarations(&self) -> Vec<Declaration> {
            Vec::new()
        }

        fn cost(&self, _: &str) -> Cost {
            Cost::Read
        }

        fn head(&self) -> u64 {
            0
        }

        fn call(&self, method: &str, _: Option<&RawValue>) -> Answer {
            assert_eq!(method, "eth_syncing");
            Ok(RawValue::from_string((*self.0.lock()).to_owned()).unwrap())
        }
    }

    #[test]
    fn a_subscriber_hears_the_state_then_changes_and_progress_once_a_minute() {
        let node = Node(Mutex::new("false"));
        let subscriptions = Subscriptions::default();
        let (outlet, mut queue, _) = Outlet::new(16);
        let add = |id: &str| {
            subscriptions.add(id.into(), Topic::Syncing, outlet.clone(), || 0);
        };
        let mut heard = || -> Vec<String> {
            std::iter::from_fn(|| queue.try_recv().ok())
                .map(|mut news| {
                    let report = news.next().unwrap();
                    format!("{} {report}", news.subscription)
                })
                .collect()
        };
        let mut reports = SyncReports::new();
        let start = Instant::now();
        let mut at = |seconds: u64| {
            reports.look(start + Duration::from_secs(seconds), &node, &subscriptions);
        };

        add("0x1");
        at(1);
        assert_eq!(heard(), ["0x1 false"], "the present state comes first");
        at(2);
        assert!(heard().is_empty(), "nothing has changed");
        *node.0.lock() = r#"{"currentBlock":"0x7"}"#;
        at(3);
        let behind = r#"0x1 {"syncing":true,"status":{"currentBlock":"0x7"}}"#;
        assert_eq!(heard(), [behind]);
        *node.0.lock() = r#"{"currentBlock":"0x8"}"#;
        at(62);
        assert!(heard().is_empty(), "progress is not news each second");
        at(63);
        assert_eq!(heard(), [behind.replace("0x7", "0x8")]);
        add("0x2");
        at(64);
        assert_eq!(
            heard(),
            [r#"0x2 {"syncing":true,"status":{"currentBlock":"0x8"}}"#],
            "who comes later hears it too, and nobody twice"
        );
        *node.0.lock() = "false";
        at(65);
        let mut ends = heard();
        ends.sort();
        assert_eq!(ends, ["0x1 false", "0x2 false"]);
    }
}
