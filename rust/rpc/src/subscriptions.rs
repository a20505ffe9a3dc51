//! Subscriptions of WebSocket connections: who is told what.
//!
//! Each connection has one bounded queue. Telling never waits: a connection whose queue is full is marked and
//! closes itself. A block takes one place in it for each subscription, however many logs it has: they are shared, and
//! written out when their turn comes. So nobody loses a connection to a transaction with many logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use alloy_primitives::map::HashMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::criteria::{Criteria, Topic, WantedReceipts};
use crate::event::{Head, LogTexts, Pending, ReceiptTexts};

/// News for one subscription. What is told is shared by all that get it.
#[derive(Debug)]
pub(crate) struct Notification {
    pub(crate) subscription: Arc<str>,
    news: News,
}

#[derive(Debug)]
enum News {
    /// One message.
    One(Option<Arc<str>>),
    /// One message with the receipts of a block that are wanted; written out when its turn comes.
    Receipts(Option<(Arc<ReceiptTexts>, Arc<WantedReceipts>)>),
    /// A message for each log of a block that the criteria want, from a place on.
    Logs {
        logs: Arc<LogTexts>,
        criteria: Arc<Criteria>,
        place: usize,
    },
}

impl Notification {
    /// The result of the next message; `None` when all is told.
    pub(crate) fn next(&mut self) -> Option<Arc<str>> {
        match &mut self.news {
            News::One(result) => result.take(),
            News::Receipts(receipts) => receipts
                .take()
                .map(|(receipts, wanted)| receipts.matching(&wanted)),
            News::Logs {
                logs,
                criteria,
                place,
            } => {
                let (text, after) = logs.next(criteria, *place)?;
                *place = after;
                Some(Arc::clone(text))
            }
        }
    }
}

/// The sending end of a connection's queue.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    queue: mpsc::Sender<Notification>,
    overflow: Arc<Overflow>,
}

/// Tells a connection that it was too slow.
#[derive(Debug, Default)]
pub(crate) struct Overflow {
    happened: AtomicBool,
    wake: Notify,
}

impl Overflow {
    /// Waits until the queue was full.
    pub(crate) async fn happened(&self) {
        let woken = self.wake.notified();
        if !self.happened.load(Relaxed) {
            woken.await;
        }
    }
}

impl Outlet {
    pub(crate) fn new(capacity: usize) -> (Self, mpsc::Receiver<Notification>, Arc<Overflow>) {
        let (queue, notifications) = mpsc::channel(capacity);
        let overflow = Arc::new(Overflow::default());
        (
            Self {
                queue,
                overflow: Arc::clone(&overflow),
            },
            notifications,
            overflow,
        )
    }

    /// Queues a notification; `false` when the connection has to go.
    fn tell(&self, subscription: &Arc<str>, news: News) -> bool {
        let notification = Notification {
            subscription: Arc::clone(subscription),
            news,
        };
        if self.queue.try_send(notification).is_ok() {
            return true;
        }
        self.overflow.happened.store(true, Relaxed);
        self.overflow.wake.notify_one();
        false
    }
}

#[derive(Debug)]
struct Subscriber {
    topic: Topic,
    /// The newest block that could be read when it subscribed: only later ones are its news.
    after: u64,
    /// What it heard last of whether the node catches up.
    heard_syncing: Option<bool>,
    outlet: Outlet,
}

/// All active subscriptions of the server.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_id: Mutex<HashMap<Arc<str>, Subscriber>>,
}

impl Subscriptions {
    /// `head` reads the newest visible block; it is asked while nobody can be told anything, so that no block is missed
    /// and none is told that was visible before.
    pub(crate) fn add(
        &self,
        id: Arc<str>,
        topic: Topic,
        outlet: Outlet,
        head: impl FnOnce() -> u64,
    ) {
        let mut by_id = self.by_id.lock();
        let after = head();
        by_id.insert(
            id,
            Subscriber {
                topic,
                after,
                heard_syncing: None,
                outlet,
            },
        );
    }

    pub(crate) fn remove(&self, id: &str) {
        self.by_id.lock().remove(id);
    }

    /// Whether a subscription of one of these kinds is there.
    pub(crate) fn any(&self, wanted: impl Fn(&Topic) -> bool) -> bool {
        self.by_id
            .lock()
            .values()
            .any(|subscriber| wanted(&subscriber.topic))
    }

    /// Tells of a block: everybody its header first, then the receipts that are wanted, then each matching log by itself, in
    /// order.
    pub(crate) fn tell_head(&self, head: &Arc<Head>, logs: &Arc<LogTexts>) {
        let header: Arc<str> = head.header.get().into();
        let receipts = Arc::new(ReceiptTexts::new(head));
        let mut by_id = self.by_id.lock();
        let mut tell = |news: &dyn Fn(&Topic) -> Option<News>| {
            by_id.retain(|id, subscriber| {
                if head.number <= subscriber.after {
                    return true;
                }
                news(&subscriber.topic).is_none_or(|news| subscriber.outlet.tell(id, news))
            });
        };
        tell(&|topic| matches!(topic, Topic::Heads).then(|| one(&header)));
        tell(&|topic| match topic {
            Topic::Receipts(wanted) if receipts.any(wanted) => Some(News::Receipts(Some((
                Arc::clone(&receipts),
                Arc::clone(wanted),
            )))),
            _ => None,
        });
        tell(&|topic| match topic {
            Topic::Logs(criteria) if logs.any(criteria) => Some(News::Logs {
                logs: Arc::clone(logs),
                criteria: Arc::clone(criteria),
                place: 0,
            }),
            _ => None,
        });
    }

    /// Tells of new executable transactions, one notification each.
    pub(crate) fn tell_pending(&self, hashes: &[Arc<str>], full: &[Arc<str>]) {
        self.by_id
            .lock()
            .retain(|id, subscriber| match &subscriber.topic {
                Topic::PendingHashes => hashes
                    .iter()
                    .all(|hash| subscriber.outlet.tell(id, one(hash))),
                Topic::PendingFull => full
                    .iter()
                    .all(|transaction| subscriber.outlet.tell(id, one(transaction))),
                Topic::Heads | Topic::Logs(_) | Topic::Receipts(_) | Topic::Syncing => true,
            });
    }

    /// Tells who has not heard it yet whether the node catches up; everybody where a report `is_due`. Whether anybody was told.
    pub(crate) fn tell_syncing(&self, is_syncing: bool, is_due: bool, report: &Arc<str>) -> bool {
        let mut told = false;
        self.by_id.lock().retain(|id, subscriber| {
            if !matches!(subscriber.topic, Topic::Syncing)
                || (subscriber.heard_syncing == Some(is_syncing) && !is_due)
            {
                return true;
            }
            told = true;
            subscriber.heard_syncing = Some(is_syncing);
            subscriber.outlet.tell(id, one(report))
        });
        told
    }
}

fn one(result: &Arc<str>) -> News {
    News::One(Some(Arc::clone(result)))
}

/// The JSON strings of hashes.
pub(crate) fn quote_hashes(pending: &Pending) -> Vec<Arc<str>> {
    pending
        .hashes
        .iter()
        .map(|hash| format!("\"{hash}\"").into())
        .collect()
}
