//! What happened in the node, as subscribers and filters see it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use alloy_primitives::B256;
use alloy_rpc_types_eth::Log;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::criteria::{Criteria, WantedReceipts};

/// News for subscriptions and filters. Everything a block refers to is already visible to readers.
#[derive(Debug, Clone)]
pub enum Event {
    /// A block was finalized.
    Head(Arc<Head>),
    /// Transactions became executable in the pool.
    Pending(Arc<Pending>),
}

/// A finalized block.
#[derive(Debug)]
pub struct Head {
    /// Number of the block.
    pub number: u64,
    /// Hash of the block.
    pub hash: B256,
    /// The JSON object a `newHeads` subscriber gets.
    pub header: Box<RawValue>,
    /// All logs of the block in order, with their places filled in.
    pub logs: Vec<Log>,
    /// The receipts of all its transactions in order.
    pub receipts: Vec<Receipt>,
}

/// The receipt of a transaction, as `eth_getTransactionReceipt` gives it.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Hash of the transaction.
    pub transaction: B256,
    /// The JSON object.
    pub json: Box<RawValue>,
}

impl Receipt {
    /// Takes a receipt as a node gave it; `None` for what does not name its transaction.
    pub fn read(json: Box<RawValue>) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Named {
            transaction_hash: B256,
        }
        let Named { transaction_hash } = serde_json::from_str(json.get()).ok()?;
        Some(Self {
            transaction: transaction_hash,
            json,
        })
    }
}

/// New executable transactions.
pub struct Pending {
    /// Their hashes, in the order in which the pool took them.
    pub hashes: Vec<B256>,
    /// Gives the transactions as JSON objects in the same order; asked at most once, and only if somebody wants them.
    pub full: Box<dyn Fn() -> Vec<Box<RawValue>> + Send + Sync>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pending")
            .field("hashes", &self.hashes)
            .finish_non_exhaustive()
    }
}

/// Which events somebody waits for at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interest {
    /// A subscription or a filter wants blocks.
    pub heads: bool,
    /// A subscription or a filter wants logs.
    pub logs: bool,
    /// A subscription wants receipts.
    pub receipts: bool,
    /// A subscription or a filter wants pending transactions.
    pub pending: bool,
}

/// A block's logs as they are told: the JSON of each is made when the first listener wants it, and shared by all.
#[derive(Debug)]
pub(crate) struct LogTexts {
    head: Arc<Head>,
    texts: Vec<OnceLock<Arc<str>>>,
}

impl LogTexts {
    pub(crate) fn new(head: &Arc<Head>) -> Self {
        Self {
            head: Arc::clone(head),
            texts: head.logs.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    /// Whether `criteria` want any.
    pub(crate) fn any(&self, criteria: &Criteria) -> bool {
        self.head.logs.iter().any(|log| criteria.want(log))
    }

    /// The text of the first log from `place` on that `criteria` want, and the place after it.
    pub(crate) fn next(&self, criteria: &Criteria, place: usize) -> Option<(&Arc<str>, usize)> {
        let logs = self.head.logs.iter().enumerate().skip(place);
        let (found, log) = logs.into_iter().find(|(_, log)| criteria.want(log))?;
        // Plain fields into a string: there is nothing that could fail.
        let text = self
            .texts
            .get(found)?
            .get_or_init(|| serde_json::to_string(log).unwrap_or_default().into());
        Some((text, found + 1))
    }

    /// The texts of the logs that `criteria` want, in order.
    pub(crate) fn matching(&self, criteria: &Criteria) -> impl Iterator<Item = &Arc<str>> {
        let mut place = 0;
        std::iter::from_fn(move || {
            let (text, after) = self.next(criteria, place)?;
            place = after;
            Some(text)
        })
    }
}

/// A block's receipts as they are told: an array of all of them is made once and shared, one of some for each listener.
#[derive(Debug)]
pub(crate) struct ReceiptTexts {
    head: Arc<Head>,
    all: OnceLock<Arc<str>>,
}

impl ReceiptTexts {
    pub(crate) fn new(head: &Arc<Head>) -> Self {
        Self {
            head: Arc::clone(head),
            all: OnceLock::new(),
        }
    }

    /// Whether any is `wanted`.
    pub(crate) fn any(&self, wanted: &WantedReceipts) -> bool {
        self.head
            .receipts
            .iter()
            .any(|receipt| wanted.want(receipt.transaction))
    }

    /// An array of those that are `wanted`, in order.
    pub(crate) fn matching(&self, wanted: &WantedReceipts) -> Arc<str> {
        if wanted.are_all() {
            return Arc::clone(self.all.get_or_init(|| self.array(wanted)));
        }
        self.array(wanted)
    }

    fn array(&self, wanted: &WantedReceipts) -> Arc<str> {
        let receipts = self.head.receipts.iter();
        let texts: Vec<&str> = receipts
            .filter(|receipt| wanted.want(receipt.transaction))
            .map(|receipt| receipt.json.get())
            .collect();
        format!("[{}]", texts.join(",")).into()
    }
}
