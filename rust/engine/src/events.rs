//! Telling subscribers what happened, without ever waiting for them.

use std::{
    ops::Deref,
    sync::{Arc, Weak},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::Mutex;

use crate::{
    EngineError, Result,
    pool::{PooledTransaction, TransactionPool},
    store::StoredBlock,
};

/// Events that wait for one subscriber: minutes of blocks, and at a few MB for a full block still bearable memory.
const QUEUED_EVENTS_MAX: usize = 128;

/// What subscribers are told. A block is announced after it and its state are visible.
#[derive(Debug, Clone)]
pub enum EngineEvent {
    NewHead(Arc<StoredBlock>),
    PendingTransactions(Vec<Arc<PooledTransaction>>),
}

/// A bounded queue of events; a reader that falls behind loses the oldest ones. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    receiver: Receiver<EngineEvent>,
    _alive: Arc<()>,
}

impl Deref for Subscription {
    type Target = Receiver<EngineEvent>;

    fn deref(&self) -> &Self::Target {
        &self.receiver
    }
}

#[derive(Debug)]
struct Subscriber {
    sender: Sender<EngineEvent>,
    /// Our own end of the queue, to drop the oldest event.
    receiver: Receiver<EngineEvent>,
    alive: Weak<()>,
}

/// All subscribers of one engine.
#[derive(Debug, Default)]
pub(crate) struct EventBus {
    subscribers: Mutex<Vec<Subscriber>>,
}

impl EventBus {
    pub(crate) fn subscribe(&self) -> Subscription {
        let (sender, receiver) = bounded(QUEUED_EVENTS_MAX);
        let alive = Arc::new(());
        let subscriber = Subscriber {
            sender,
            receiver: receiver.clone(),
            alive: Arc::downgrade(&alive),
        };
        self.subscribers.lock().push(subscriber);
        Subscription {
            receiver,
            _alive: alive,
        }
    }

    pub(crate) fn publish(&self, event: &EngineEvent) {
        let mut subscribers = self.subscribers.lock();
        subscribers.retain(|subscriber| subscriber.alive.strong_count() > 0);
        for subscriber in subscribers.iter() {
            let mut event = event.clone();
            while let Err(TrySendError::Full(refused)) = subscriber.sender.try_send(event) {
                let _ = subscriber.receiver.try_recv();
                event = refused;
            }
        }
    }
}

/// How long transactions are gathered before they are announced: one event, and one waking of each subscriber, for
/// hundreds of them instead of one each.
const PENDING_GATHERED_FOR: Duration = Duration::from_millis(10);

/// Announce what becomes pending in `pool`, in batches, on a thread that ends with the pool.
pub(crate) fn announce_pending(pool: &Arc<TransactionPool>, events: &Arc<EventBus>) -> Result<()> {
    let (wake, woken) = bounded(1);
    pool.set_listener(move || {
        // Full means that the thread is about to look anyway.
        let _ = wake.try_send(());
    });
    let pool = Arc::downgrade(pool);
    let events = Arc::clone(events);
    let announce = move || {
        while woken.recv().is_ok() {
            std::thread::sleep(PENDING_GATHERED_FOR);
            let Some(pool) = pool.upgrade() else { return };
            let fresh = pool.take_fresh();
            if !fresh.is_empty() {
                events.publish(&EngineEvent::PendingTransactions(fresh));
            }
        }
    };
    std::thread::Builder::new()
        .name("engine-pending".into())
        .spawn(announce)
        .map(drop)
        .map_err(|error| EngineError::LimitExceeded(format!("no threads: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> EngineEvent {
        EngineEvent::PendingTransactions(Vec::new())
    }

    #[test]
    fn a_slow_subscriber_loses_the_oldest_events_and_blocks_nobody() {
        let bus = EventBus::default();
        let slow = bus.subscribe();
        for _ in 0..QUEUED_EVENTS_MAX + 10 {
            bus.publish(&event());
        }
        assert_eq!(slow.len(), QUEUED_EVENTS_MAX);
        assert!(slow.try_recv().is_ok());
    }

    #[test]
    fn a_dropped_subscription_is_forgotten() {
        let bus = EventBus::default();
        drop(bus.subscribe());
        let kept = bus.subscribe();
        bus.publish(&event());
        assert_eq!(bus.subscribers.lock().len(), 1);
        assert_eq!(kept.len(), 1);
    }
}
