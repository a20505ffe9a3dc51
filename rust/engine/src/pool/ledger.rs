//! What the pool's lock guards: every account's transactions, the bounds, and what is to be told to others.
//!
//! Rules that hold whenever the lock is free:
//! - `pending` of an account has consecutive nonces from the account's own; `queued` has greater ones.
//! - An account's transactions together cost no more than its balance.
//! - No bound of the configuration is exceeded. A queued transaction never displaces a pending one.
//! - Each transaction is in the index exactly as long as it is here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, U256};

use super::{
    HeadState, Origin, PoolConfig, PoolError, PooledTransaction,
    account::{Account, AccountCode},
    admission::{Candidate, check_account},
    counters::{Counters, Removal},
    eviction::Evictor,
    index::Index,
    transaction::Price,
};

/// How often silent accounts are looked for; a walk over all accounts.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// An account that can send nothing more.
const END: Account = Account {
    nonce: u64::MAX,
    balance: U256::ZERO,
    code: AccountCode::None,
};

/// Read an account. One that cannot be read loses its transactions: the pool holds nothing that it could not check.
pub(super) fn account_or_end(head: &HeadState, address: Address) -> Account {
    head.accounts.account(address).unwrap_or(END)
}

/// A pending transaction and the least that it and those before it offer.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) transaction: Arc<PooledTransaction>,
    pub(super) floor: Price,
}

/// An account with transactions in the pool.
#[derive(Debug)]
pub(super) struct Sender {
    /// As of the pool's head.
    account: Account,
    /// Shared with the snapshots that blocks are built from; copied when changed meanwhile.
    pub(super) pending: Arc<Vec<Slot>>,
    queued: BTreeMap<u64, Arc<PooledTransaction>>,
    /// What all of them can take together, in wei.
    cost: U256,
    last_seen: Instant,
}

impl Sender {
    fn new(account: Account) -> Self {
        Self {
            account,
            pending: Arc::default(),
            queued: BTreeMap::new(),
            cost: U256::ZERO,
            last_seen: Instant::now(),
        }
    }

    fn next_nonce(&self) -> u64 {
        self.account.nonce + self.pending.len() as u64
    }

    /// The place of a nonce among the pending ones.
    fn pending_place(&self, nonce: u64) -> Option<usize> {
        let place = usize::try_from(nonce.checked_sub(self.account.nonce)?).ok()?;
        (place < self.pending.len()).then_some(place)
    }

    fn get(&self, nonce: u64) -> Option<&Arc<PooledTransaction>> {
        match self.pending_place(nonce) {
            Some(place) => Some(&self.pending[place].transaction),
            None => self.queued.get(&nonce),
        }
    }

    fn len(&self) -> usize {
        self.pending.len() + self.queued.len()
    }

    fn floor_with(&self, price: Price) -> Price {
        self.pending
            .last()
            .map_or(price, |last| last.floor.min(price))
    }

    fn push(&mut self, transaction: Arc<PooledTransaction>) {
        let floor = self.floor_with(transaction.price);
        Arc::make_mut(&mut self.pending).push(Slot { transaction, floor });
    }

    /// Calculate the floors again from `place` on.
    fn restore_floors(&mut self, place: usize) {
        let slots = Arc::make_mut(&mut self.pending);
        for index in place..slots.len() {
            let price = slots[index].transaction.price;
            slots[index].floor = if index == 0 {
                price
            } else {
                slots[index - 1].floor.min(price)
            };
        }
    }
}

/// Queued transactions by what they offer, the cheapest first, of equals the latest.
type QueuedKey = (u128, u128, std::cmp::Reverse<u64>, Address, u64);

fn queued_key(transaction: &PooledTransaction) -> QueuedKey {
    let Price { fee, tip } = transaction.price;
    (
        fee,
        tip,
        std::cmp::Reverse(transaction.sequence),
        transaction.sender(),
        transaction.nonce(),
    )
}

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
    expired_at: Instant,
    /// Whether somebody wants to be told what became pending.
    pub(super) has_listener: bool,
    /// What became pending and was not taken yet.
    fresh: Vec<Arc<PooledTransaction>>,
    /// What is to be forwarded.
    outgoing: VecDeque<Arc<PooledTransaction>>,
    /// What was removed, to be freed when the lock is not held.
    garbage: Vec<Arc<PooledTransaction>>,
}

/// What the caller does when it has given the lock back.
#[must_use]
pub(super) struct Afterwards {
    pub(super) wake: bool,
    _garbage: Vec<Arc<PooledTransaction>>,
}

/// Figures of the ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) pending: usize,
    pub(super) queued: usize,
    pub(super) senders: usize,
    pub(super) bytes: usize,
}

impl Ledger {
    pub(super) fn new(
        config: PoolConfig,
        head: Arc<HeadState>,
        index: Arc<Index>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
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
            expired_at: Instant::now(),
            has_listener: false,
            fresh: Vec::new(),
            outgoing: VecDeque::new(),
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
        let had_fresh = !self.fresh.is_empty();
        for candidate in candidates {
            let (hash, sender) = (candidate.transaction.hash, candidate.transaction.sender());
            let result = self.insert(candidate).map(|()| hash);
            if result.is_err() && !self.index.contains(&hash) {
                self.index.remember(hash, sender);
            }
            answer(result);
        }
        self.afterwards(had_fresh)
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
                self.announce(&transaction);
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
        self.announce(&transaction);
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

    // Bounds.

    /// Free a place among the pending ones, and bytes. Gapped transactions give way first, then cheaper chain ends.
    fn make_room_in_pending(&mut self, floor: Price, bytes: usize) -> Result<(), PoolError> {
        let count = (self.pending + 1).saturating_sub(self.config.pending_max);
        let mut excess = (self.bytes + bytes).saturating_sub(self.config.bytes_max);
        if count == 0 && excess == 0 {
            return Ok(());
        }
        let mut gapped = Vec::new();
        for key in &self.queued_by_price {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(self.queued_bytes(key));
            gapped.push(*key);
        }
        if count > 0 || excess > 0 {
            let base_fee = self.head.next_base_fee;
            let mut evictor = self
                .evictor
                .take()
                .unwrap_or_else(|| Evictor::new(base_fee, &self.senders));
            let losses = evictor.choose(&self.senders, floor.rank(base_fee), count, excess);
            self.evictor = Some(evictor);
            for (address, lost) in losses.ok_or(PoolError::Underpriced)? {
                for _ in 0..lost {
                    self.remove_end(address, Removal::Evicted);
                }
            }
        }
        for key in gapped {
            self.remove_queued(key.3, key.4, Removal::Evicted);
        }
        Ok(())
    }

    /// Free a place among the queued ones: `own`, or cheaper ones. Pending ones stay.
    fn make_room_in_queued(
        &mut self,
        price: Price,
        bytes: usize,
        own: Option<&Arc<PooledTransaction>>,
    ) -> Result<(), PoolError> {
        let freed = own.map_or(0, |own| own.raw.len());
        let mut count =
            (self.queued + 1 - usize::from(own.is_some())).saturating_sub(self.config.queued_max);
        let mut excess = (self.bytes + bytes).saturating_sub(self.config.bytes_max + freed);
        let mut victims: Vec<(Address, u64)> =
            own.iter().map(|own| (own.sender(), own.nonce())).collect();
        for key in &self.queued_by_price {
            if count == 0 && excess == 0 {
                break;
            }
            if (key.0, key.1) >= (price.fee, price.tip) {
                return Err(PoolError::Underpriced);
            }
            if victims.first() == Some(&(key.3, key.4)) {
                continue;
            }
            count = count.saturating_sub(1);
            excess = excess.saturating_sub(self.queued_bytes(key));
            victims.push((key.3, key.4));
        }
        if count > 0 || excess > 0 {
            return Err(PoolError::Full);
        }
        for (address, nonce) in victims {
            self.remove_queued(address, nonce, Removal::Evicted);
        }
        Ok(())
    }

    fn queued_bytes(&self, key: &QueuedKey) -> usize {
        let transaction = self
            .senders
            .get(&key.3)
            .and_then(|sender| sender.queued.get(&key.4));
        transaction.map_or(0, |transaction| transaction.raw.len())
    }

    // The chain's head.

    /// The accounts of `changed` that have transactions here.
    pub(super) fn affected(&self, changed: &[Address]) -> Vec<Address> {
        changed
            .iter()
            .filter(|address| self.senders.contains_key(*address))
            .copied()
            .collect()
    }

    /// Follow the chain to `head`. `accounts` are those of `changed` that were read ahead; whoever came since is read
    /// here.
    pub(super) fn advance(
        &mut self,
        head: Arc<HeadState>,
        mined: &HashSet<B256>,
        changed: &[Address],
        accounts: &HashMap<Address, Account>,
    ) -> Afterwards {
        let mut now = Vec::with_capacity(accounts.len());
        for address in self.affected(changed) {
            let account = match accounts.get(&address) {
                Some(account) => *account,
                None => account_or_end(&head, address),
            };
            now.push((address, account));
        }
        let had_fresh = !self.fresh.is_empty();
        let gas_limit_fell = head.next_gas_limit < self.head.next_gas_limit;
        if head.next_base_fee != self.head.next_base_fee {
            self.evictor = None;
        }
        self.head = head;
        for (address, account) in now {
            self.reconcile(address, account, mined);
        }
        if gas_limit_fell {
            self.drop_over_gas_limit();
        }
        if self.expired_at.elapsed() >= EXPIRY_INTERVAL {
            self.drop_expired();
        }
        self.afterwards(had_fresh)
    }

    /// Drop everything.
    pub(super) fn clear(&mut self) -> Afterwards {
        let had_fresh = !self.fresh.is_empty();
        let addresses: Vec<Address> = self.senders.keys().copied().collect();
        for address in addresses {
            self.reconcile(address, END, &HashSet::new());
        }
        self.afterwards(had_fresh)
    }

    /// Make an account's transactions agree with its state.
    fn reconcile(&mut self, address: Address, account: Account, mined: &HashSet<B256>) {
        let Some(sender) = self.senders.get_mut(&address) else {
            return;
        };
        let nonce = if matches!(account.code, AccountCode::Contract { .. }) {
            u64::MAX
        } else {
            account.nonce
        };
        let went_back = account.nonce < sender.account.nonce;
        let done = sender
            .pending
            .partition_point(|slot| slot.transaction.nonce() < nonce);
        let mut gone = Vec::new();
        if done > 0 {
            gone.extend(
                Arc::make_mut(&mut sender.pending)
                    .drain(..done)
                    .map(|slot| slot.transaction),
            );
            sender.restore_floors(0);
        }
        self.pending -= done;
        sender.account = account;
        let waiting = sender.queued.split_off(&nonce);
        for transaction in std::mem::replace(&mut sender.queued, waiting).into_values() {
            self.queued -= 1;
            self.queued_by_price.remove(&queued_key(&transaction));
            gone.push(transaction);
        }
        for transaction in &gone {
            let removal = if mined.contains(&transaction.hash) {
                Removal::Mined
            } else {
                Removal::Stale
            };
            self.leave(transaction, removal);
        }
        if went_back {
            self.demote(address, 0);
        }
        self.drop_unpayable(address);
        self.promote(address);
        self.follow_end(address);
        self.forget_if_empty(address);
    }

    /// Remove an account's last transactions until the rest can be paid.
    fn drop_unpayable(&mut self, address: Address) {
        while let Some(sender) = self.senders.get(&address) {
            if sender.cost <= sender.account.balance {
                break;
            }
            match sender.queued.last_key_value().map(|(nonce, _)| *nonce) {
                Some(nonce) => self.remove_queued(address, nonce, Removal::Funds),
                None => self.remove_end(address, Removal::Funds),
            }
        }
    }

    fn drop_over_gas_limit(&mut self) {
        let limit = self.head.next_gas_limit;
        let over = |transaction: &PooledTransaction| transaction.transaction.gas_limit() > limit;
        let mut pending = Vec::new();
        let mut queued = Vec::new();
        for (address, sender) in &self.senders {
            pending.extend(
                sender
                    .pending
                    .iter()
                    .position(|slot| over(&slot.transaction))
                    .map(|place| (*address, place)),
            );
            queued.extend(
                sender
                    .queued
                    .values()
                    .filter(|queued| over(queued))
                    .map(|queued| (*address, queued.nonce())),
            );
        }
        for (address, nonce) in queued {
            self.remove_queued(address, nonce, Removal::Gas);
        }
        for (address, place) in pending {
            // Those behind it have a gap now; what is over the limit among them goes as well.
            let nonces: Vec<u64> = self.senders.get(&address).map_or_else(Vec::new, |sender| {
                let behind = sender
                    .pending
                    .iter()
                    .skip(place)
                    .map(|slot| &slot.transaction);
                behind
                    .filter(|behind| over(behind))
                    .map(|behind| behind.nonce())
                    .collect()
            });
            self.demote(address, place);
            for nonce in nonces {
                self.remove_queued(address, nonce, Removal::Gas);
            }
            self.forget_if_empty(address);
        }
    }

    fn drop_expired(&mut self) {
        self.expired_at = Instant::now();
        let silent = |sender: &Sender| {
            !sender.queued.is_empty() && sender.last_seen.elapsed() >= self.config.queued_lifetime
        };
        let expired: Vec<(Address, u64)> = self
            .senders
            .iter()
            .filter(|(_, sender)| silent(sender))
            .flat_map(|(address, sender)| sender.queued.keys().map(|nonce| (*address, *nonce)))
            .collect();
        for (address, nonce) in expired {
            self.remove_queued(address, nonce, Removal::Expired);
        }
    }

    // Moves within an account.

    /// Move the queued transactions that follow on to the pending ones.
    fn promote(&mut self, address: Address) {
        while let Some(sender) = self.senders.get(&address) {
            let Some(next) = sender.queued.get(&sender.next_nonce()).cloned() else {
                break;
            };
            if sender.pending.len() >= self.config.account_pending_max {
                break;
            }
            let floor = sender.floor_with(next.price);
            // Its bytes are counted already.
            if self.make_room_in_pending(floor, 0).is_err() {
                self.remove_queued(address, next.nonce(), Removal::Evicted);
                break;
            }
            let Some(sender) = self.senders.get_mut(&address) else {
                break;
            };
            if sender.queued.remove(&next.nonce()).is_none() {
                break;
            }
            sender.push(Arc::clone(&next));
            self.queued_by_price.remove(&queued_key(&next));
            self.queued -= 1;
            self.pending += 1;
            self.announce(&next);
        }
    }

    /// Move the pending transactions from `place` on to the queued ones; what exceeds the bounds there is dropped.
    fn demote(&mut self, address: Address, place: usize) {
        let Some(sender) = self.senders.get_mut(&address) else {
            return;
        };
        if place >= sender.pending.len() {
            return;
        }
        let moved = Arc::make_mut(&mut sender.pending).split_off(place);
        self.pending -= moved.len();
        self.queued += moved.len();
        for Slot { transaction, .. } in moved {
            self.queued_by_price.insert(queued_key(&transaction));
            sender.queued.insert(transaction.nonce(), transaction);
        }
        while let Some(sender) = self.senders.get(&address)
            && sender.queued.len() > self.config.account_queued_max
            && let Some((nonce, _)) = sender.queued.last_key_value()
        {
            self.remove_queued(address, *nonce, Removal::Evicted);
        }
        while self.queued > self.config.queued_max
            && let Some(key) = self.queued_by_price.first().copied()
        {
            self.remove_queued(key.3, key.4, Removal::Evicted);
        }
        self.follow_end(address);
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
        for authority in &transaction.authorities {
            *self.authorities.entry(*authority).or_default() += 1;
        }
        self.index.insert(Arc::clone(transaction));
    }

    /// Undo `enter`, and take the cost off the account.
    fn leave(&mut self, transaction: &Arc<PooledTransaction>, removal: Removal) {
        self.bytes -= transaction.raw.len();
        for authority in &transaction.authorities {
            if let Some(count) = self.authorities.get_mut(authority) {
                *count -= 1;
                if *count == 0 {
                    self.authorities.remove(authority);
                }
            }
        }
        self.index.remove(&transaction.hash);
        if removal != Removal::Mined {
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

    // What others are told.

    fn announce(&mut self, transaction: &Arc<PooledTransaction>) {
        if !transaction.announce() {
            return;
        }
        if self.has_listener {
            if self.fresh.len() >= self.config.pending_max {
                self.fresh.clear();
            }
            self.fresh.push(Arc::clone(transaction));
        }
        if transaction.origin != Origin::Gossip {
            if self.outgoing.len() >= self.config.pending_max {
                self.outgoing.pop_front();
            }
            self.outgoing.push_back(Arc::clone(transaction));
        }
    }

    fn afterwards(&mut self, had_fresh: bool) -> Afterwards {
        Afterwards {
            wake: !had_fresh && !self.fresh.is_empty(),
            _garbage: std::mem::take(&mut self.garbage),
        }
    }

    pub(super) fn take_fresh(&mut self) -> Vec<Arc<PooledTransaction>> {
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

    // Reading.

    pub(super) fn size(&self) -> Size {
        Size {
            pending: self.pending,
            queued: self.queued,
            senders: self.senders.len(),
            bytes: self.bytes,
        }
    }

    pub(super) fn next_base_fee(&self) -> u64 {
        self.head.next_base_fee
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

    #[cfg(test)]
    pub(super) fn expire_now(&mut self) {
        self.drop_expired();
    }

    /// Check the rules at the head of this file.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let (mut pending, mut queued, mut bytes) = (0, 0, 0);
        for (address, sender) in &self.senders {
            assert!(sender.len() > 0, "an account without transactions is kept");
            assert!(self.index.has_sender(address));
            let mut cost = U256::ZERO;
            let mut floor: Option<Price> = None;
            for (place, slot) in sender.pending.iter().enumerate() {
                assert_eq!(
                    slot.transaction.nonce(),
                    sender.account.nonce + place as u64,
                    "pending has a gap"
                );
                floor = Some(floor.map_or(slot.transaction.price, |floor| {
                    floor.min(slot.transaction.price)
                }));
                assert_eq!(Some(slot.floor), floor);
            }
            let all = sender
                .pending
                .iter()
                .map(|slot| &slot.transaction)
                .chain(sender.queued.values());
            for transaction in all {
                cost += transaction.cost;
                bytes += transaction.raw.len();
                assert!(
                    self.index.contains(&transaction.hash),
                    "the index lacks a transaction"
                );
                assert_eq!(transaction.sender(), *address);
            }
            for (nonce, transaction) in &sender.queued {
                assert_eq!(*nonce, transaction.nonce());
                assert!(*nonce >= sender.next_nonce(), "queued below pending");
                assert!(
                    *nonce > sender.next_nonce()
                        || sender.pending.len() >= self.config.account_pending_max,
                    "an executable transaction is queued"
                );
                assert!(self.queued_by_price.contains(&queued_key(transaction)));
            }
            assert_eq!(cost, sender.cost);
            assert!(
                cost <= sender.account.balance,
                "an account owes more than it has"
            );
            assert!(sender.pending.len() <= self.config.account_pending_max);
            assert!(sender.queued.len() <= self.config.account_queued_max);
            pending += sender.pending.len();
            queued += sender.queued.len();
        }
        assert_eq!(
            (pending, queued, bytes),
            (self.pending, self.queued, self.bytes)
        );
        assert_eq!(self.queued_by_price.len(), queued);
        assert!(pending <= self.config.pending_max && queued <= self.config.queued_max);
        assert!(bytes <= self.config.bytes_max);
    }
}
