//! What is to be told to others: to subscribers everything that became pending, to peers what this node forwards.

use std::{collections::VecDeque, sync::Arc};

use super::{Origin, PooledTransaction};

/// Kept under the pool's lock. Each list holds at most `bound` transactions; the oldest give way.
#[derive(Debug)]
pub(super) struct Outbox {
    bound: usize,
    has_listener: bool,
    wake: bool,
    fresh: VecDeque<Arc<PooledTransaction>>,
    outgoing: VecDeque<Arc<PooledTransaction>>,
}

impl Outbox {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            bound,
            has_listener: false,
            wake: false,
            fresh: VecDeque::new(),
            outgoing: VecDeque::new(),
        }
    }

    /// Keep for the listener from now on.
    pub(super) fn listen(&mut self) {
        self.has_listener = true;
    }

    /// A transaction became pending; only the first time counts.
    pub(super) fn announce(&mut self, transaction: &Arc<PooledTransaction>) {
        if !transaction.announce() {
            return;
        }
        if self.has_listener {
            self.wake |= self.fresh.is_empty();
            push_bounded(&mut self.fresh, transaction, self.bound);
        }
        if transaction.origin != Origin::Gossip {
            push_bounded(&mut self.outgoing, transaction, self.bound);
        }
    }

    /// Forward once more, as far as there is room.
    pub(super) fn forward_again(&mut self, transactions: Vec<Arc<PooledTransaction>>) {
        let room = self.bound.saturating_sub(self.outgoing.len());
        self.outgoing.extend(transactions.into_iter().take(room));
    }

    /// Whether the listener is to be woken; asked once a hold of the lock.
    pub(super) fn take_wake(&mut self) -> bool {
        std::mem::take(&mut self.wake)
    }

    pub(super) fn take_fresh(&mut self) -> VecDeque<Arc<PooledTransaction>> {
        std::mem::take(&mut self.fresh)
    }

    pub(super) fn take_outgoing(&mut self) -> VecDeque<Arc<PooledTransaction>> {
        std::mem::take(&mut self.outgoing)
    }

    /// Put back what did not fit into a batch, before what came since.
    pub(super) fn return_outgoing(&mut self, mut rest: VecDeque<Arc<PooledTransaction>>) {
        rest.append(&mut self.outgoing);
        self.outgoing = rest;
    }
}

fn push_bounded(
    queue: &mut VecDeque<Arc<PooledTransaction>>,
    transaction: &Arc<PooledTransaction>,
    bound: usize,
) {
    if queue.len() >= bound {
        queue.pop_front();
    }
    queue.push_back(Arc::clone(transaction));
}
