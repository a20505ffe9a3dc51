//! Following the chain, and the moves between pending and queued.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, U256};

use super::{
    super::{
        HeadState, Origin, PooledTransaction,
        account::{Account, AccountCode},
        counters::Removal,
    },
    Afterwards, Ledger, Sender, Slot,
    bounds::queued_key,
};

/// How often silent accounts are looked for; a walk over all accounts.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// Transactions forwarded again in one turn: some hundred kilobytes.
pub(in crate::pool) const FORWARD_AGAIN_MAX: usize = 1_024;

/// An account that can send nothing more.
const END: Account = Account {
    nonce: u64::MAX,
    balance: U256::ZERO,
    code: AccountCode::None,
};

/// Read an account. One that cannot be read loses its transactions: the pool holds nothing that it could not check.
pub(in crate::pool) fn account_or_end(head: &HeadState, address: Address) -> Account {
    head.accounts.account(address).unwrap_or(END)
}

impl Ledger {
    /// Follow the chain to `head`. Of `changed`, the accounts that were not known ahead are read here.
    pub(in crate::pool) fn advance(
        &mut self,
        head: Arc<HeadState>,
        mined: &HashSet<B256>,
        changed: Vec<(Address, Option<Account>)>,
    ) -> Afterwards {
        let gas_limit_fell = head.next_gas_limit < self.head.next_gas_limit;
        if head.next_base_fee != self.head.next_base_fee {
            self.evictor = None;
        }
        self.head = head;
        for (address, account) in changed {
            if self.senders.contains_key(&address) {
                let account = account.unwrap_or_else(|| account_or_end(&self.head, address));
                self.reconcile(address, account, mined);
            }
        }
        if gas_limit_fell {
            self.drop_over_gas_limit();
        }
        if self.expired_at.elapsed() >= EXPIRY_INTERVAL {
            self.drop_expired();
        }
        if self.forwarded_at.elapsed() >= self.config.forward_again_after {
            self.forward_again();
        }
        self.afterwards()
    }

    /// Drop everything.
    pub(in crate::pool) fn clear(&mut self) -> Afterwards {
        let addresses: Vec<Address> = self.senders.keys().copied().collect();
        for address in addresses {
            self.reconcile(address, END, &HashSet::new());
        }
        self.afterwards()
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

    pub(super) fn drop_expired(&mut self) {
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

    /// Hand a turn of old executable transactions to the outbox, by arrival.
    fn forward_again(&mut self) {
        self.forwarded_at = Instant::now();
        let base_fee = self.head.next_base_fee;
        let pays = |slot: &&Slot| slot.transaction.price.effective_tip(base_fee).is_some();
        let is_due = |transaction: &PooledTransaction| {
            transaction.origin != Origin::Gossip
                && transaction.sequence >= self.forward_cursor
                && transaction.added.elapsed() >= self.config.forward_again_after
        };
        let payable = self
            .senders
            .values()
            .flat_map(|sender| sender.pending.iter().take_while(pays));
        let mut due: Vec<Arc<PooledTransaction>> = payable
            .map(|slot| &slot.transaction)
            .filter(|transaction| is_due(transaction))
            .map(Arc::clone)
            .collect();
        due.sort_unstable_by_key(|transaction| transaction.sequence);
        // After the last one the next turn starts over.
        self.forward_cursor = due.get(FORWARD_AGAIN_MAX).map_or(0, |next| next.sequence);
        due.truncate(FORWARD_AGAIN_MAX);
        self.outbox.forward_again(due);
    }

    // Moves within an account.

    /// Move the queued transactions that follow on to the pending ones.
    pub(super) fn promote(&mut self, address: Address) {
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
            self.outbox.announce(&next);
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
}
