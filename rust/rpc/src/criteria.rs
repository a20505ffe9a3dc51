//! What a subscriber or a filter wants to hear of.

use std::ops::Deref;
use std::sync::Arc;

use alloy_rpc_types_eth::{BlockNumberOrTag, Filter};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::budget::{Budget, Permit};
use crate::error::{LIMIT_EXCEEDED, METHOD_NOT_FOUND, RpcError, brief, echo};

/// Criteria up to this many bytes of JSON, a dozen addresses and topics each, are free: their number is limited anyway.
const SMALL_BYTES: usize = 4 << 10;
/// What criteria take for each byte of their JSON: the text of a filter is kept beside what was read of it.
const KEPT_FOR_A_BYTE: usize = 2;

/// What log criteria may cost.
#[derive(Debug, Clone)]
pub(crate) struct CriteriaLimits {
    /// Addresses, and alternatives of each topic.
    pub(crate) alternatives_max: usize,
    /// Memory for the large ones of all callers.
    pub(crate) memory: Arc<Budget>,
}

/// Which logs somebody wants, and the memory that this takes.
#[derive(Debug, Default)]
pub(crate) struct Criteria {
    filter: Filter,
    _memory: Option<Permit>,
}

impl Deref for Criteria {
    type Target = Filter;

    fn deref(&self) -> &Filter {
        &self.filter
    }
}

/// The subject of a subscription or filter.
#[derive(Debug)]
pub(crate) enum Topic {
    Heads,
    Logs(Arc<Criteria>),
    PendingHashes,
    PendingFull,
}

#[derive(Deserialize)]
struct SubscribeParams<'a>(
    #[serde(borrow)] std::borrow::Cow<'a, str>,
    #[serde(borrow, default)] Option<&'a RawValue>,
);

impl Topic {
    /// The place of its type in `SUBSCRIPTION_TYPES`.
    pub(crate) fn kind(&self) -> usize {
        match self {
            Self::Heads => 0,
            Self::Logs(_) => 1,
            Self::PendingHashes | Self::PendingFull => 2,
        }
    }

    /// Reads the parameters of `eth_subscribe`.
    pub(crate) fn of_subscription(
        params: Option<&RawValue>,
        limits: &CriteriaLimits,
    ) -> Result<Self, RpcError> {
        let wrong = || {
            RpcError::invalid_params(
                "expected [\"newHeads\"], [\"logs\", filter] or [\"newPendingTransactions\", full]",
            )
        };
        let text = params.ok_or_else(wrong)?.get();
        let SubscribeParams(name, option) = serde_json::from_str(text)
            .or_else(|_| {
                serde_json::from_str::<(std::borrow::Cow<'_, str>,)>(text)
                    .map(|(name,)| SubscribeParams(name, None))
            })
            .map_err(|_| wrong())?;
        match &*name {
            "newHeads" => Ok(Self::Heads),
            "logs" => match option {
                Some(criteria) => {
                    parse_criteria(criteria, limits).map(|found| Self::Logs(Arc::new(found)))
                }
                None => Ok(Self::Logs(Arc::default())),
            },
            "newPendingTransactions" => Self::pending(option),
            other => {
                let name = echo(other);
                Err(RpcError::new(
                    METHOD_NOT_FOUND,
                    format!("no {name:?} subscription in eth namespace"),
                ))
            }
        }
    }

    /// Reads the parameters of `eth_newPendingTransactionFilter`: none, or whether full transactions are wanted.
    pub(crate) fn of_pending_filter(params: Option<&RawValue>) -> Result<Self, RpcError> {
        let Some(params) = params else {
            return Ok(Self::PendingHashes);
        };
        let options: Vec<&RawValue> = serde_json::from_str(params.get())
            .map_err(|_| RpcError::invalid_params("expected [] or [full transactions: bool]"))?;
        Self::pending(options.first().copied())
    }

    fn pending(option: Option<&RawValue>) -> Result<Self, RpcError> {
        match option.map(RawValue::get) {
            None | Some("false" | "null") => Ok(Self::PendingHashes),
            Some("true") => Ok(Self::PendingFull),
            Some(_) => Err(RpcError::invalid_params(
                "invalid argument 1: expected a boolean for full transactions",
            )),
        }
    }
}

/// Reads the object of a log filter.
pub(crate) fn parse_criteria(
    criteria: &RawValue,
    limits: &CriteriaLimits,
) -> Result<Criteria, RpcError> {
    let criteria_max = limits.alternatives_max;
    let filter: Filter = serde_json::from_str(criteria.get()).map_err(|error| {
        RpcError::invalid_params(format!("invalid argument: log filter: {}", brief(&error)))
    })?;
    if filter.address.len() > criteria_max
        || filter.topics.iter().any(|topic| topic.len() > criteria_max)
    {
        let message =
            format!("log filter: more than {criteria_max} addresses or alternatives of a topic");
        return Err(RpcError::invalid_params(message));
    }
    let pending = Some(&BlockNumberOrTag::Pending);
    if filter.block_option.get_from_block() == pending
        || filter.block_option.get_to_block() == pending
    {
        return Err(RpcError::invalid_params("pending logs are not supported"));
    }
    filter
        .block_option
        .ensure_valid_block_range()
        .map_err(|_| RpcError::invalid_params("invalid block range params"))?;
    let bytes = criteria.get().len();
    let memory = if bytes <= SMALL_BYTES {
        None
    } else {
        let taken = limits.memory.take(KEPT_FOR_A_BYTE * bytes);
        Some(taken.ok_or_else(|| {
            RpcError::new(LIMIT_EXCEEDED, "too many large log filters on this server")
        })?)
    };
    Ok(Criteria {
        filter,
        _memory: memory,
    })
}
