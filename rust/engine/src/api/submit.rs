//! `eth_sendRawTransaction`: the only method that changes anything.

use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::Decodable2718;
use alloy_primitives::{Bytes, U256};
use serde_json::value::RawValue;

use super::{Answer, Api, RpcError, json, methods::SUBMIT_ARGUMENTS, params::Params};
use crate::pool::{Origin, PoolError};

impl Api {
    pub(super) fn send_raw_transaction(&self, params: &Params<'_>) -> Answer {
        let raw = params.required::<Bytes>(0)?;
        self.check_fee(&raw)?;
        let hash = self.engine.pool().add_one(raw, Origin::Local)?;
        json(&hash)
    }

    /// The same for many requests, each of which is answered for itself.
    pub(super) fn send_raw_transactions(&self, requests: &[Option<Box<RawValue>>]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = Vec::with_capacity(requests.len());
        let mut raws = Vec::with_capacity(requests.len());
        for request in requests {
            let read = Params::parse(request.as_deref(), SUBMIT_ARGUMENTS)
                .and_then(|params| params.required::<Bytes>(0))
                .and_then(|raw| self.check_fee(&raw).map(|()| raw));
            match read {
                Ok(raw) => {
                    raws.push(raw);
                    answers.push(None);
                }
                Err(error) => answers.push(Some(Err(error))),
            }
        }
        let mut admitted = self.engine.pool().add(&raws, Origin::Local).into_iter();
        let mut next = || match admitted.next() {
            Some(Ok(hash)) => json(&hash),
            Some(Err(error)) => Err(error.into()),
            None => Err(RpcError::internal(
                "the pool gave fewer answers than it was asked for",
            )),
        };
        answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(&mut next))
            .collect()
    }

    /// Refuse a fee that nobody means. What does not decode is left to the pool, which says why.
    fn check_fee(&self, raw: &Bytes) -> Result<(), RpcError> {
        let Ok(transaction) = TxEnvelope::decode_2718_exact(raw) else {
            return Ok(());
        };
        let fee = U256::from(transaction.max_fee_per_gas())
            .saturating_mul(U256::from(transaction.gas_limit()));
        let cap = self.limits.fee_cap_wei;
        if fee <= cap {
            return Ok(());
        }
        Err(RpcError::server(format!(
            "tx fee ({:.2} ether) exceeds the configured cap ({:.2} ether)",
            ether(fee),
            ether(cap)
        )))
    }
}

/// Whole coins, for people.
fn ether(wei: U256) -> f64 {
    f64::from(wei) / 1e18
}

impl From<PoolError> for RpcError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::State(error) => error.into(),
            other => Self::server(other.to_string()),
        }
    }
}
