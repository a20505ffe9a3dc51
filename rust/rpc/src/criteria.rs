//! What a subscriber or a filter wants to hear of.

use alloy_rpc_types_eth::{BlockNumberOrTag, Filter};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{METHOD_NOT_FOUND, RpcError, echo};

/// The subject of a subscription or filter.
#[derive(Debug)]
pub(crate) enum Topic {
    Heads,
    Logs(Box<Filter>),
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
        criteria_max: usize,
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
                Some(criteria) => parse_criteria(criteria, criteria_max)
                    .map(|filter| Self::Logs(Box::new(filter))),
                None => Ok(Self::Logs(Box::default())),
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
pub(crate) fn parse_criteria(criteria: &RawValue, criteria_max: usize) -> Result<Filter, RpcError> {
    let filter: Filter = serde_json::from_str(criteria.get()).map_err(|error| {
        RpcError::invalid_params(format!("invalid argument: log filter: {error}"))
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
    Ok(filter)
}
