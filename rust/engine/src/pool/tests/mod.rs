//! Tests of the pool, on an account map in memory.

mod blobs;
mod concurrency;
mod gossip;
mod heads;
mod order;
mod properties;
mod refusals;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use alloy_consensus::{
    Header, SignableTransaction, TxEip1559, TxEnvelope, crypto::secp256k1::sign_message,
    transaction::RlpEcdsaEncodableTx,
};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use parking_lot::RwLock;

use super::{
    Account, AccountReader, Admitted, Origin, PoolConfig, PoolError, PoolHead, PoolStatus,
    TransactionPool,
};
use crate::{Block, EngineError, Result};

const CHAIN_ID: u64 = 1337;
const GWEI: u128 = 1_000_000_000;
const BASE_FEE: u64 = 1_000_000_000;
const GAS_LIMIT: u64 = 60_000_000;
const ETHER: u128 = 1_000_000_000_000_000_000;

static THREADS: LazyLock<Arc<rayon::ThreadPool>> = LazyLock::new(|| {
    Arc::new(
        rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .expect("two threads can be started"),
    )
});

/// A state that tests write to.
#[derive(Debug, Default)]
struct Accounts(RwLock<HashMap<Address, Account>>);

impl Accounts {
    fn set(&self, address: Address, account: Account) {
        self.0.write().insert(address, account);
    }

    fn change(&self, address: Address, change: impl FnOnce(&mut Account)) {
        change(self.0.write().entry(address).or_default());
    }
}

impl AccountReader for Accounts {
    fn account(&self, address: Address) -> Result<Account> {
        if address == broken_address() {
            return Err(EngineError::Storage("the disk is gone".to_owned()));
        }
        Ok(self.0.read().get(&address).copied().unwrap_or_default())
    }
}

/// The account whose read fails.
fn broken_address() -> Address {
    Wallet::new(u64::MAX).address
}

#[derive(Debug, Clone, Copy)]
struct Wallet {
    secret: B256,
    address: Address,
}

impl Wallet {
    fn new(number: u64) -> Self {
        let secret = keccak256(number.to_be_bytes());
        let key = k256::ecdsa::SigningKey::from_slice(secret.as_slice()).expect("a hash is a key");
        Self {
            secret,
            address: Address::from_public_key(key.verifying_key()),
        }
    }

    fn sign<T>(&self, transaction: T) -> Bytes
    where
        T: SignableTransaction<Signature> + RlpEcdsaEncodableTx,
        TxEnvelope: From<alloy_consensus::Signed<T>>,
    {
        let signature =
            sign_message(self.secret, transaction.signature_hash()).expect("the key is good");
        TxEnvelope::from(transaction.into_signed(signature))
            .encoded_2718()
            .into()
    }

    fn transfer(&self, nonce: u64) -> Bytes {
        self.sign(transfer(nonce))
    }

    /// A transfer that offers `tip` gwei over a base fee of up to a hundred.
    fn tipping(&self, nonce: u64, tip: u128) -> Bytes {
        self.sign(TxEip1559 {
            max_fee_per_gas: (100 + tip) * GWEI,
            max_priority_fee_per_gas: tip * GWEI,
            ..transfer(nonce)
        })
    }
}

fn transfer(nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: TxKind::Call(Address::repeat_byte(0x42)),
        value: U256::from(1),
        ..TxEip1559::default()
    }
}

/// A pool over a state, with rich wallets.
struct Bench {
    pool: TransactionPool,
    accounts: Arc<Accounts>,
}

impl Bench {
    fn new(config: PoolConfig) -> Self {
        let accounts = Arc::new(Accounts::default());
        let head = PoolHead {
            number: 0,
            next_base_fee: BASE_FEE,
            next_gas_limit: GAS_LIMIT,
            accounts: Arc::clone(&accounts) as Arc<dyn AccountReader>,
        };
        let pool = TransactionPool::new(config, CHAIN_ID, Arc::clone(&THREADS), head);
        Self { pool, accounts }
    }

    fn wallet(&self, number: u64) -> Wallet {
        self.wallet_with(
            number,
            Account {
                balance: U256::from(1_000 * ETHER),
                ..Account::default()
            },
        )
    }

    fn wallet_with(&self, number: u64, account: Account) -> Wallet {
        let wallet = Wallet::new(number);
        self.accounts.set(wallet.address, account);
        wallet
    }

    fn add(&self, raw: Bytes) -> Admitted {
        let answer = self.pool.add_one(raw, Origin::Local);
        self.check();
        answer
    }

    fn refuse(&self, raw: Bytes) -> String {
        let before = self.pool.status();
        let error = self.add(raw).expect_err("the transaction is refused");
        assert_eq!(self.pool.status(), before, "a refusal changes nothing");
        error.to_string()
    }

    fn status(&self) -> (usize, usize) {
        let PoolStatus { pending, queued } = self.pool.status();
        (pending, queued)
    }

    fn check(&self) {
        self.pool.ledger.lock().check();
    }

    /// Put pooled transactions into a block: nonces advance, the next head follows.
    fn mine(&self, hashes: &[B256]) {
        let mined: Vec<_> = hashes
            .iter()
            .map(|hash| self.pool.get(hash).expect("it is pooled"))
            .collect();
        for transaction in &mined {
            self.accounts.change(transaction.sender(), |account| {
                account.nonce = account.nonce.max(transaction.nonce() + 1);
                account.balance -= U256::from(21_000 * 10 * GWEI).min(account.balance);
            });
        }
        let transactions = mined
            .iter()
            .map(|transaction| transaction.transaction.inner().clone())
            .collect();
        let senders = mined
            .iter()
            .map(|transaction| transaction.sender())
            .collect();
        self.follow(transactions, senders, BASE_FEE, GAS_LIMIT);
    }

    /// A block that holds nothing of the pool but changed these accounts.
    fn touch(&self, changed: &[Address]) {
        self.follow(Vec::new(), changed.to_vec(), BASE_FEE, GAS_LIMIT);
    }

    fn follow(
        &self,
        transactions: Vec<TxEnvelope>,
        senders: Vec<Address>,
        base_fee: u64,
        gas_limit: u64,
    ) {
        self.follow_head(
            &block(transactions, senders),
            base_fee,
            gas_limit,
            Arc::clone(&self.accounts) as _,
        );
    }

    /// A block that changed these accounts, with another reader of the state after it.
    fn follow_with(&self, changed: Vec<Address>, accounts: Arc<dyn AccountReader>) {
        self.follow_head(&block(Vec::new(), changed), BASE_FEE, GAS_LIMIT, accounts);
    }

    fn follow_head(
        &self,
        block: &Block,
        next_base_fee: u64,
        next_gas_limit: u64,
        accounts: Arc<dyn AccountReader>,
    ) {
        let number = self.pool.head.read().number + 1;
        let changed = block.senders.iter().map(|sender| (*sender, None));
        self.pool.on_new_head(
            block,
            changed,
            PoolHead {
                number,
                next_base_fee,
                next_gas_limit,
                accounts,
            },
        );
        self.check();
    }
}

fn block(transactions: Vec<TxEnvelope>, senders: Vec<Address>) -> Block {
    Block {
        header: Header::default(),
        hash: B256::ZERO,
        transactions,
        senders,
        withdrawals: Vec::new(),
        ommers: Vec::new(),
        requests: Default::default(),
        size: 0,
    }
}

fn hash(raw: &Bytes) -> B256 {
    keccak256(raw)
}

fn hash_of(raw: &Bytes, answer: &Admitted) -> B256 {
    let expected = hash(raw);
    assert_eq!(answer, &Ok(expected));
    expected
}

fn is_refused(answer: &Admitted, error: &PoolError) -> bool {
    answer.as_ref().err() == Some(error)
}
