//! `txpool_*`: what the pool holds, by account and nonce.

use std::collections::BTreeMap;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U64};
use alloy_rpc_types_eth::Transaction;
use alloy_rpc_types_txpool::{TxpoolContent, TxpoolContentFrom};
use serde::Serialize;

use super::{Answer, Api, json, objects, params::Params};
use crate::pool::{ByAccount, PooledTransaction};

/// Transactions by nonce, which is decimal text here.
type ByNonce<T> = BTreeMap<String, T>;

impl Api {
    pub(super) fn txpool_status(&self, _: &Params<'_>) -> Answer {
        let status = self.engine.pool().status();
        json(&BTreeMap::from([
            ("pending", U64::from(status.pending)),
            ("queued", U64::from(status.queued)),
        ]))
    }

    pub(super) fn txpool_content(&self, _: &Params<'_>) -> Answer {
        let content = self.engine.pool().content();
        json(&TxpoolContent {
            pending: by_account(&content.pending, objects::pending_transaction),
            queued: by_account(&content.queued, objects::pending_transaction),
        })
    }

    pub(super) fn txpool_content_from(&self, params: &Params<'_>) -> Answer {
        let address = params.required::<Address>(0)?;
        let content = self.engine.pool().content_from(address);
        let of = |transactions: &ByAccount| -> ByNonce<Transaction> {
            by_account(transactions, objects::pending_transaction)
                .remove(&address)
                .unwrap_or_default()
        };
        json(&TxpoolContentFrom {
            pending: of(&content.pending),
            queued: of(&content.queued),
        })
    }

    pub(super) fn txpool_inspect(&self, _: &Params<'_>) -> Answer {
        let content = self.engine.pool().content();
        json(&Inspection {
            pending: checksummed(by_account(&content.pending, summary)),
            queued: checksummed(by_account(&content.queued, summary)),
        })
    }
}

#[derive(Debug, Serialize)]
struct Inspection {
    pending: BTreeMap<String, ByNonce<String>>,
    queued: BTreeMap<String, ByNonce<String>>,
}

fn by_account<T>(
    accounts: &ByAccount,
    show: impl Fn(&PooledTransaction) -> T,
) -> BTreeMap<Address, ByNonce<T>> {
    accounts
        .iter()
        .map(|(address, transactions)| {
            let by_nonce = transactions
                .iter()
                .map(|pooled| (pooled.transaction.nonce().to_string(), show(pooled)))
                .collect();
            (*address, by_nonce)
        })
        .collect()
}

fn checksummed<T>(accounts: BTreeMap<Address, T>) -> BTreeMap<String, T> {
    accounts
        .into_iter()
        .map(|(address, value)| (address.to_checksum(None), value))
        .collect()
}

/// One line: recipient, value, gas and price.
fn summary(pooled: &PooledTransaction) -> String {
    let transaction = &pooled.transaction;
    let to = transaction
        .to()
        .map_or("contract creation".to_owned(), |to| to.to_checksum(None));
    format!(
        "{to}: {} wei + {} gas × {} wei",
        transaction.value(),
        transaction.gas_limit(),
        transaction.max_fee_per_gas()
    )
}
