//! The subscriptions of one WebSocket connection.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use alloy_primitives::map::HashMap;
use parking_lot::Mutex;

use crate::criteria::Topic;
use crate::error::{LIMIT_EXCEEDED, RpcError, SERVER_ERROR};
use crate::ids::Identifiers;
use crate::router::Router;
use crate::subscriptions::{Outlet, Subscriptions};

/// What one connection has subscribed to. Dropping it ends all of it.
pub(crate) struct Subscribed {
    router: Arc<Router>,
    subscriptions: Arc<Subscriptions>,
    identifiers: Arc<Identifiers>,
    outlet: Outlet,
    subscriptions_max: usize,
    /// With the place of the type in `SUBSCRIPTION_TYPES`.
    ids: Mutex<HashMap<Arc<str>, usize>>,
}

impl Subscribed {
    pub(crate) fn new(
        router: Arc<Router>,
        subscriptions: Arc<Subscriptions>,
        identifiers: Arc<Identifiers>,
        outlet: Outlet,
        subscriptions_max: usize,
    ) -> Self {
        Self {
            router,
            subscriptions,
            identifiers,
            outlet,
            subscriptions_max,
            ids: Mutex::default(),
        }
    }

    fn forget(&self, kind: usize) {
        self.router.counters.subscriptions[kind].fetch_sub(1, Relaxed);
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let ids = std::mem::take(&mut *self.ids.lock());
        for (id, kind) in ids {
            self.forget(kind);
            self.subscriptions.remove(&id);
        }
    }
}

/// The part of a session that belongs to one message: what it opens becomes active right before its response is
/// written. Notifications are written by the same task, later: none overtakes the id it is for, and who has read the
/// id misses nothing.
pub(crate) struct Session {
    subscribed: Arc<Subscribed>,
    opened: Mutex<Vec<(Arc<str>, Topic)>>,
}

impl Session {
    pub(crate) fn new(subscribed: Arc<Subscribed>) -> Self {
        Self {
            subscribed,
            opened: Mutex::default(),
        }
    }

    /// Opens a subscription and gives its id.
    pub(crate) fn subscribe(&self, topic: Topic) -> Result<Arc<str>, RpcError> {
        let subscribed = &self.subscribed;
        let mut ids = subscribed.ids.lock();
        if ids.len() >= subscribed.subscriptions_max {
            let message = format!(
                "too many subscriptions: at most {} on one connection",
                subscribed.subscriptions_max
            );
            return Err(RpcError::new(LIMIT_EXCEEDED, message));
        }
        let id: Arc<str> = subscribed.identifiers.next().into();
        let kind = topic.kind();
        ids.insert(Arc::clone(&id), kind);
        subscribed.router.counters.subscriptions[kind].fetch_add(1, Relaxed);
        self.opened.lock().push((Arc::clone(&id), topic));
        Ok(id)
    }

    /// Ends a subscription of this connection.
    pub(crate) fn unsubscribe(&self, id: &str) -> Result<(), RpcError> {
        let Some(kind) = self.subscribed.ids.lock().remove(id) else {
            return Err(RpcError::new(SERVER_ERROR, "subscription not found"));
        };
        self.subscribed.forget(kind);
        self.opened.lock().retain(|(opened, _)| **opened != *id);
        self.subscribed.subscriptions.remove(id);
        Ok(())
    }

    /// The response is written next: news may follow it.
    pub(crate) fn activate(self) {
        let ids = self.subscribed.ids.lock();
        for (id, topic) in self.opened.into_inner() {
            // Another message may have ended it in the meantime.
            if ids.contains_key(&id) {
                self.subscribed.subscriptions.add(
                    id,
                    topic,
                    self.subscribed.outlet.clone(),
                    || self.subscribed.router.head(),
                );
            }
        }
    }
}
