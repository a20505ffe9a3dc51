//! What happened in the node, as subscribers and filters see it.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, Log};
use serde_json::value::RawValue;

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
    /// A subscription or a filter wants pending transactions.
    pub pending: bool,
}

/// The JSON of a block's logs, each made when the first listener wants it and shared by all.
pub(crate) struct LogTexts<'a> {
    logs: &'a [Log],
    texts: Vec<OnceCell<Arc<str>>>,
}

impl<'a> LogTexts<'a> {
    pub(crate) fn new(logs: &'a [Log]) -> Self {
        Self {
            logs,
            texts: logs.iter().map(|_| OnceCell::new()).collect(),
        }
    }

    /// The texts of the logs that `filter` wants, in order.
    pub(crate) fn matching(&self, filter: &Filter) -> impl Iterator<Item = &Arc<str>> {
        let wanted = self
            .logs
            .iter()
            .zip(&self.texts)
            .filter(|(log, _)| filter.rpc_matches(log));
        // Plain fields into a string: there is nothing that could fail.
        wanted.map(|(log, text)| {
            text.get_or_init(|| serde_json::to_string(log).unwrap_or_default().into())
        })
    }
}
