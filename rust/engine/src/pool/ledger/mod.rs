//! What the pool's lock guards: every account's transactions, the bounds, and what is to be told to others.
//!
//! Rules that hold whenever the lock is free:
//! - `pending` of an account has consecutive nonces from the account's own; `queued` has greater ones.
//! - An account's transactions together cost no more than its balance.
//! - No bound of the configuration is exceeded. A queued transaction never displaces a pending one.
//! - Each transaction is in the index exactly as long as it is here.

mod bounds;
#[cfg(test)]
mod check;
mod heads;
mod sender;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use alloy_primitives::{Address, B256};

use self::bounds::{QueuedKey, queued_key};
pub(super) use self::{
    heads::account_or_end,
    sender::{Sender, Slot},
};
use super::{
    HeadState, Origin, PoolConfig, PoolError, PooledTransaction,
    account::{Account, AccountCode},
    admission::{Candidate, check_account},
    counters::{Counters, Removal},
    eviction::Evictor,
    index::Index,
    outbox::Outbox,
};

#[derive(Debug)]
pub(super) struct Ledger {
    config: PoolConfig,
    head: Arc<HeadState>,
    index: Arc<Index>,
    counters: Arc<Counters>,
    senders: HashMap<Address, Sender>,
    /// How many pooled transactions carry an authorization of the account.
    authorities: HashMap<Address, usize>,
    queued_by_price: BTreeSet<QueuedKey>,
    evictor: Option<Evictor>,
    pending: usize,
    queued: usize,
    bytes: usize,
    /// Those that came through this node's own RPC.
    local: usize,
    expired_at: Instant,
    forwarded_at: Instant,
    /// The arrival from which the next turn of forwarding again goes on.
    forward_cursor: u64,
    pub(super) outbox: Outbox,
    /// What was removed, to be freed when the lock is not held.
    garbage: Vec<Arc<PooledTransaction>>,
}

/// What the caller does when it has given the lock back.
#[must_use]
pub(super) struct Afterwards {
    pub(super) wake: bool,
    /// What was removed; freed with this.
    pub(super) garbage: Vec<Arc<PooledTransaction>>,
}

/// Figures of the ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) pending: usize,
    pub(super) queued: usize,
    pub(super) senders: usize,
    pub(super) bytes: usize,
    pub(super) local: usize,
}

impl Ledger {
    pub(super) fn new(
        config: PoolConfig,
        head: Arc<HeadState>,
        index: Arc<Index>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            outbox: Outbox::new(config.pending_max),
            config,
            head,
            index,
            counters,
            senders: HashMap::new(),
            authorities: HashMap::new(),
            queued_by_price: BTreeSet::new(),
            evictor: None,
            pending: 0,
            queued: 0,
            bytes: 0,
            local: 0,
            expired_at: Instant::now(),
            forwarded_at: Instant::now(),
            forward_cursor: 0,
            garbage: Vec::new(),
        }
    }

    // Intake.

    /// Admit each candidate or say why not; `answers` get the results in order.
    pub(super) fn insert_all(
        &mut self,
        candidates: impl IntoIterator<Item = Candidate>,
        mut answer: impl FnMut(Result<B256, PoolError>),
    ) -> Afterwards {
        for candidate in candidates {
            let (hash, sender) = (candidate.transaction.hash, candidate.transaction.sender());
            let result = self.insert(candidate).map(|()| hash);
            if result.is_err() && !self.index.contains(&hash) {
                self.index.remember(hash, sender);
            }
            answer(result);
        }
        self.afterwards()
    }

    fn insert(&mut self, candidate: Candidate) -> Result<(), PoolError> {
        let Candidate {
            transaction,
            account,
        } = candidate;
        if self.index.contains(&transaction.hash) {
            return Err(PoolError::AlreadyKnown);
        }
        let address = transaction.sender();
        let account = match (self.senders.get(&address), account) {
            (Some(sender), _) => sender.account,
            (None, Some((generation, account))) if generation == self.head.generation => account,
            (None, _) => self
                .head
                .accounts
                .account(address)
                .map_err(PoolError::State)?,
        };
        check_account(&transaction, &account)?;
        self.check_funds(&transaction, &account)?;
        self.check_delegation(&transaction, &account)?;

        let nonce = transaction.nonce();
        let replaced = self
            .senders
            .get(&address)
            .and_then(|sender| sender.get(nonce))
            .cloned();
        match replaced {
            Some(old) => self.replace(transaction, &old),
            None if nonce
                == self
                    .senders
                    .get(&address)
                    .map_or(account.nonce, Sender::next_nonce) =>
            {
                self.append(transaction, account)
            }
            None => self.enqueue(transaction, account),
        }
    }

    /// All that the account has in the pool, with this one, must be paid from its balance.
    fn check_funds(
        &self,
        transaction: &PooledTransaction,
        account: &Account,
    ) -> Result<(), PoolError> {
        let Some(sender) = self.senders.get(&transaction.sender()) else {
            return Ok(());
        };
        let (balance, queued, cost) = (account.balance, sender.cost, transaction.cost);
        match sender.get(transaction.nonce()) {
            Some(old) if (queued - old.cost).saturating_add(cost) > balance => {
                let bump = cost.saturating_sub(old.cost);
                Err(PoolError::InsufficientFundsForReplacement {
                    balance,
                    queued,
                    bump,
                })
            }
            None if queued.saturating_add(cost) > balance => {
                Err(PoolError::InsufficientFundsTogether {
                    balance,
                    queued,
                    cost,
                })
            }
            _ => Ok(()),
        }
    }

    /// EIP-7702: whoever holds a delegation can be emptied by others at any time, which would void a whole chain of
    /// transactions at once. So a delegated account, or one whose authorization is in the pool, has one in flight.
    fn check_delegation(
        &self,
        transaction: &PooledTransaction,
        account: &Account,
    ) -> Result<(), PoolError> {
        let address = transaction.sender();
        let sender = self.senders.get(&address);
        if account.code == AccountCode::Delegation || self.authorities.contains_key(&address) {
            let nonce = transaction.nonce();
            match sender.filter(|sender| !sender.pending.is_empty()) {
                None if nonce != account.nonce => return Err(PoolError::DelegatedGap),
                Some(sender) if sender.pending_place(nonce).is_none() => {
                    return Err(PoolError::DelegatedInFlight);
                }
                _ => {}
            }
        }
        let reserved = |authority| {
            self.senders
                .get(authority)
                .is_some_and(|sender| sender.len() > 1)
        };
        if transaction.authorities.iter().any(reserved) {
            return Err(PoolError::AuthorityReserved);
        }
        Ok(())
    }

    /// Put a better offer in the place of another of the same nonce.
    fn replace(
        &mut self,
        transaction: PooledTransaction,
        old: &Arc<PooledTransaction>,
    ) -> Result<(), PoolError> {
        if !transaction
            .price
            .bumps(old.price, self.config.price_bump_percent)
        {
            return Err(PoolError::ReplacementUnderpriced);
        }
        let (address, nonce) = (transaction.sender(), transaction.nonce());
        let bytes = transaction.raw.len().saturating_sub(old.raw.len());
        if self.bytes + bytes > self.config.bytes_max {
            return Err(PoolError::Full);
        }
        let transaction = Arc::new(transaction);
        self.enter(&transaction);
        let Some(sender) = self.senders.get_mut(&address) else {
            return Err(PoolError::Full);
        };
        sender.last_seen = transaction.added;
        sender.cost += transaction.cost;
        match sender.pending_place(nonce) {
            Some(place) => {
                Arc::make_mut(&mut sender.pending)[place].transaction = Arc::clone(&transaction);
                sender.restore_floors(place);
                self.leave(old, Removal::Replaced);
                self.follow_end(address);
                self.outbox.announce(&transaction);
            }
            None => {
                sender.queued.insert(nonce, Arc::clone(&transaction));
                self.queued_by_price.remove(&queued_key(old));
                self.queued_by_price.insert(queued_key(&transaction));
                self.leave(old, Removal::Replaced);
            }
        }
        Ok(())
    }

    /// Add a transaction to the end of its account's chain; those that waited for it follow.
    fn append(
        &mut self,
        transaction: PooledTransaction,
        account: Account,
    ) -> Result<(), PoolError> {
        let address = transaction.sender();
        let sender = self.senders.get(&address);
        let floor = sender.map_or(transaction.price, |sender| {
            sender.floor_with(transaction.price)
        });
        let length = sender.map_or(0, |sender| sender.pending.len());
        if length >= self.config.account_pending_max {
            return Err(PoolError::AccountLimit(length));
        }
        self.make_room_in_pending(floor, transaction.raw.len())?;

        let transaction = Arc::new(transaction);
        self.enter(&transaction);
        let sender = self.sender_or_new(address, account);
        sender.last_seen = transaction.added;
        sender.cost += transaction.cost;
        sender.push(Arc::clone(&transaction));
        self.pending += 1;
        self.outbox.announce(&transaction);
        self.promote(address);
        self.follow_end(address);
        Ok(())
    }

    /// Keep a transaction until those before it come.
    fn enqueue(
        &mut self,
        transaction: PooledTransaction,
        account: Account,
    ) -> Result<(), PoolError> {
        let (address, nonce) = (transaction.sender(), transaction.nonce());
        let sender = self.senders.get(&address);
        let highest = match sender {
            Some(sender) if sender.queued.len() >= self.config.account_queued_max => {
                let highest = sender
                    .queued
                    .last_key_value()
                    .map(|(_, highest)| Arc::clone(highest));
                // The nearer to the account's nonce, the sooner it is of use.
                Some(
                    highest
                        .filter(|highest| nonce < highest.nonce())
                        .ok_or(PoolError::AccountLimit(sender.len()))?,
                )
            }
            _ => None,
        };
        self.make_room_in_queued(transaction.price, transaction.raw.len(), highest.as_ref())?;

        let transaction = Arc::new(transaction);
        self.enter(&transaction);
        let sender = self.sender_or_new(address, account);
        sender.last_seen = transaction.added;
        sender.cost += transaction.cost;
        sender.queued.insert(nonce, Arc::clone(&transaction));
        self.queued_by_price.insert(queued_key(&transaction));
        self.queued += 1;
        Ok(())
    }

    // Entering and leaving.

    fn sender_or_new(&mut self, address: Address, account: Account) -> &mut Sender {
        self.senders.entry(address).or_insert_with(|| {
            self.index.add_sender(address);
            Sender::new(account)
        })
    }

    fn enter(&mut self, transaction: &Arc<PooledTransaction>) {
        self.bytes += transaction.raw.len();
        self.local += usize::from(transaction.origin == Origin::Local);
        for authority in &transaction.authorities {
            *self.authorities.entry(*authority).or_default() += 1;
        }
        self.index.insert(Arc::clone(transaction));
    }

    /// Undo `enter`, and take the cost off the account.
    fn leave(&mut self, transaction: &Arc<PooledTransaction>, removal: Removal) {
        self.bytes -= transaction.raw.len();
        self.local -= usize::from(transaction.origin == Origin::Local);
        for authority in &transaction.authorities {
            if let Some(count) = self.authorities.get_mut(authority) {
                *count -= 1;
                if *count == 0 {
                    self.authorities.remove(authority);
                }
            }
        }
        self.index.remove(&transaction.hash);
        if removal == Removal::Mined {
            self.counters.count_inclusion(transaction.added.elapsed());
        } else {
            self.index.remember(transaction.hash, transaction.sender());
        }
        if let Some(sender) = self.senders.get_mut(&transaction.sender()) {
            sender.cost -= transaction.cost;
        }
        self.counters.count_removal(removal);
        self.garbage.push(Arc::clone(transaction));
    }

    /// Remove the last pending transaction of an account.
    fn remove_end(&mut self, address: Address, removal: Removal) {
        let Some(sender) = self.senders.get_mut(&address) else {
            return;
        };
        let Some(slot) = Arc::make_mut(&mut sender.pending).pop() else {
            return;
        };
        self.pending -= 1;
        self.leave(&slot.transaction, removal);
        self.forget_if_empty(address);
    }

    fn remove_queued(&mut self, address: Address, nonce: u64, removal: Removal) {
        let Some(sender) = self.senders.get_mut(&address) else {
            return;
        };
        let Some(transaction) = sender.queued.remove(&nonce) else {
            return;
        };
        self.queued -= 1;
        self.queued_by_price.remove(&queued_key(&transaction));
        self.leave(&transaction, removal);
        self.forget_if_empty(address);
    }

    fn forget_if_empty(&mut self, address: Address) {
        if self
            .senders
            .get(&address)
            .is_some_and(|sender| sender.len() == 0)
        {
            self.senders.remove(&address);
            self.index.remove_sender(&address);
        }
    }

    fn follow_end(&mut self, address: Address) {
        let Some(evictor) = &mut self.evictor else {
            return;
        };
        if let Some(sender) = self.senders.get(&address) {
            evictor.follow(address, sender);
        }
        // Entries that are no longer ends are dropped when met; should they pile up, a new heap is cheaper.
        if evictor.len() > 4 * self.config.pending_max.max(1024) {
            self.evictor = None;
        }
    }

    fn afterwards(&mut self) -> Afterwards {
        Afterwards {
            wake: self.outbox.take_wake(),
            garbage: std::mem::take(&mut self.garbage),
        }
    }

    // Reading.

    pub(super) fn size(&self) -> Size {
        Size {
            pending: self.pending,
            queued: self.queued,
            senders: self.senders.len(),
            bytes: self.bytes,
            local: self.local,
        }
    }

    /// The chains of all accounts; one reference count each.
    pub(super) fn chains(&self) -> Vec<Arc<Vec<Slot>>> {
        let chains = self.senders.values().map(|sender| &sender.pending);
        chains
            .filter(|pending| !pending.is_empty())
            .map(Arc::clone)
            .collect()
    }

    pub(super) fn pending_nonce(&self, address: &Address) -> Option<u64> {
        self.senders
            .get(address)
            .filter(|sender| !sender.pending.is_empty())
            .map(Sender::next_nonce)
    }

    pub(super) fn chain_of(&self, address: &Address) -> Option<Arc<Vec<Slot>>> {
        self.senders
            .get(address)
            .map(|sender| Arc::clone(&sender.pending))
    }

    pub(super) fn queued_of(&self, address: &Address) -> Vec<Arc<PooledTransaction>> {
        self.senders
            .get(address)
            .map_or_else(Vec::new, |sender| sender.queued.values().cloned().collect())
    }

    pub(super) fn all_queued(&self) -> Vec<Arc<PooledTransaction>> {
        self.senders
            .values()
            .flat_map(|sender| sender.queued.values().cloned())
            .collect()
    }
}
