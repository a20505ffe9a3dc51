//! What a subscriber or a filter wants to hear of.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use alloy_rpc_types_eth::Log;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;

use crate::budget::{Budget, Permit};
use crate::error::{LIMIT_EXCEEDED, METHOD_NOT_FOUND, RpcError, SERVER_ERROR, brief, echo};

/// Criteria up to this many bytes of JSON, a dozen addresses and topics each, are free: their number is limited anyway.
const SMALL_BYTES: usize = 4 << 10;
/// A log has at most four topics.
const TOPICS_MAX: usize = 4;
/// Transactions that a subscription to receipts may name, as in geth.
const RECEIPTS_MAX: usize = 200;
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

impl CriteriaLimits {
    /// Takes the memory that what was written so will need; small ones need none.
    fn hold(&self, written: &RawValue) -> Result<Option<Permit>, RpcError> {
        let bytes = written.get().len();
        if bytes <= SMALL_BYTES {
            return Ok(None);
        }
        let taken = self.memory.take(KEPT_FOR_A_BYTE * bytes);
        taken.map(Some).ok_or_else(|| {
            RpcError::new(LIMIT_EXCEEDED, "too many large log filters on this server")
        })
    }
}

/// Which logs somebody wants, and the memory that this takes.
#[derive(Debug, Default)]
pub(crate) struct Criteria {
    /// The first and the last block; without a last one there is no end.
    from: u64,
    to: Option<u64>,
    /// Sorted; none means any.
    addresses: Vec<Address>,
    /// For each position the accepted values, sorted; none means any.
    topics: Vec<Vec<B256>>,
    _memory: Option<Permit>,
}

impl Criteria {
    /// Whether a log of a new block is wanted. One with fewer topics than there are positions is not, as in `eth_getLogs`.
    pub(crate) fn want(&self, log: &Log) -> bool {
        let number = log.block_number.unwrap_or_default();
        let topics = log.topics();
        self.from <= number
            && self.to.is_none_or(|to| number <= to)
            && (self.addresses.is_empty() || self.addresses.binary_search(&log.address()).is_ok())
            && topics.len() >= self.topics.len()
            && self.topics.iter().zip(topics).all(|(accepted, topic)| {
                accepted.is_empty() || accepted.binary_search(topic).is_ok()
            })
    }

    fn read(given: Given<'_>) -> Result<Self, RpcError> {
        let refuse = |what: &str| Err(RpcError::invalid_params(what));
        let (from, to) = (given.from_block, given.to_block);
        if given.block_hash.is_some() && (from.is_some() || to.is_some()) {
            return refuse(
                "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other",
            );
        }
        let (from, to) = match (number(from)?, number(to)?) {
            (None, None) => (0, None),
            (Some(from), None) => (from, None),
            (Some(from), Some(to)) if from <= to => (from, Some(to)),
            // Also from the newest block on to one that is there: nothing will ever match.
            _ => return refuse("invalid block range params"),
        };
        let topics = given.topics.unwrap_or_default();
        if topics.len() > TOPICS_MAX {
            return refuse("exceed max topics");
        }
        Ok(Self {
            from,
            to,
            addresses: match given.address {
                Some(addresses) => sorted(one_or_many(addresses, "address")?),
                None => Vec::new(),
            },
            topics: topics.into_iter().map(accepted).collect::<Result<_, _>>()?,
            _memory: None,
        })
    }
}

/// A log filter as callers write it; what else stands in it is no matter, as in `eth_getLogs`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given<'a> {
    block_hash: Option<B256>,
    #[serde(borrow)]
    from_block: Option<&'a RawValue>,
    #[serde(borrow)]
    to_block: Option<&'a RawValue>,
    #[serde(borrow)]
    address: Option<&'a RawValue>,
    #[serde(borrow)]
    topics: Option<Vec<Option<&'a RawValue>>>,
}

/// One value, or an array of them.
fn one_or_many<T: DeserializeOwned>(text: &RawValue, what: &str) -> Result<Vec<T>, RpcError> {
    let text = text.get();
    let read = if text.starts_with('[') {
        serde_json::from_str(text)
    } else {
        serde_json::from_str(text).map(|one| vec![one])
    };
    read.map_err(|error| {
        RpcError::invalid_params(format!(
            "invalid argument: log filter: {what}: {}",
            brief(&error)
        ))
    })
}

/// The block that an end of a range names; none for the newest one, which is safe and finalized here.
fn number(end: Option<&RawValue>) -> Result<Option<u64>, RpcError> {
    let refuse = |what: &str| {
        Err(RpcError::invalid_params(format!(
            "invalid argument: log filter: {what}"
        )))
    };
    let Some(end) = end else { return Ok(None) };
    let Ok(text) = serde_json::from_str::<std::borrow::Cow<'_, str>>(end.get()) else {
        return refuse("expected a block's number as text, or its tag");
    };
    match &*text {
        "latest" | "safe" | "finalized" => return Ok(None),
        "earliest" => return Ok(Some(0)),
        "pending" => return Err(RpcError::invalid_params("pending logs are not supported")),
        _ => {}
    }
    // As `eth_getLogs` reads it, whose words these are.
    let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        return refuse("hex string without 0x prefix");
    };
    if digits.is_empty() {
        return refuse("hex string \"0x\"");
    }
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return refuse("invalid hex string");
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return refuse("hex number with leading zero digits");
    }
    match u64::from_str_radix(digits, 16) {
        Err(_) => refuse("hex number > 64 bits"),
        Ok(number) if i64::try_from(number).is_err() => refuse("block number larger than int64"),
        Ok(number) => Ok(Some(number)),
    }
}

/// The values of a position; `null`, also among others, means any.
fn accepted(values: Option<&RawValue>) -> Result<Vec<B256>, RpcError> {
    let Some(values) = values else {
        return Ok(Vec::new());
    };
    let values: Option<Vec<B256>> = one_or_many::<Option<B256>>(values, "topics")?
        .into_iter()
        .collect();
    Ok(sorted(values.unwrap_or_default()))
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values
}

/// A hash as go-ethereum reads it: with its `0x`, and nothing but text.
struct Hash(B256);

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(source)?;
        match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
            None => Err(D::Error::custom("hex string without 0x prefix")),
            // More digits, or a second prefix, is no hash.
            Some(digits) if digits.len() != 64 => Err(D::Error::custom(format!(
                "hex string has length {}, want 64 for common.Hash",
                digits.len()
            ))),
            Some(digits) => digits.parse().map(Self).map_err(D::Error::custom),
        }
    }
}

/// Transactions whose receipts somebody wants, and the memory that this takes.
#[derive(Debug, Default)]
pub(crate) struct WantedReceipts {
    /// Sorted; none means those of all transactions.
    transactions: Vec<B256>,
    _memory: Option<Permit>,
}

impl WantedReceipts {
    pub(crate) fn are_all(&self) -> bool {
        self.transactions.is_empty()
    }

    pub(crate) fn want(&self, transaction: B256) -> bool {
        self.are_all() || self.transactions.binary_search(&transaction).is_ok()
    }

    /// Reads `{transactionHashes}`; what else stands in it is no matter, as in a log filter.
    fn read(option: &RawValue, limits: &CriteriaLimits) -> Result<Self, RpcError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Given {
            transaction_hashes: Option<Vec<Hash>>,
        }
        if option.get() == "null" {
            return Ok(Self::default());
        }
        if !option.get().starts_with('{') {
            return Err(RpcError::invalid_params(
                "invalid argument 1: expected an object with transactionHashes",
            ));
        }
        let given: Given = serde_json::from_str(option.get()).map_err(|error| {
            RpcError::invalid_params(format!(
                "invalid argument 1: transactionHashes: {}",
                brief(&error)
            ))
        })?;
        let transactions = given.transaction_hashes.unwrap_or_default();
        if transactions.len() > RECEIPTS_MAX {
            return Err(RpcError::new(
                SERVER_ERROR,
                "exceed max number of transaction hashes allowed per transactionReceipts subscription",
            ));
        }
        Ok(Self {
            transactions: sorted(transactions.into_iter().map(|hash| hash.0).collect()),
            _memory: limits.hold(option)?,
        })
    }
}

/// The subject of a subscription or filter.
#[derive(Debug)]
pub(crate) enum Topic {
    Heads,
    Logs(Arc<Criteria>),
    Receipts(Arc<WantedReceipts>),
    PendingHashes,
    PendingFull,
    Syncing,
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
            Self::Syncing => 3,
            Self::Receipts(_) => 4,
        }
    }

    /// Reads the parameters of `eth_subscribe`.
    pub(crate) fn of_subscription(
        params: Option<&RawValue>,
        limits: &CriteriaLimits,
    ) -> Result<Self, RpcError> {
        let wrong = || {
            RpcError::invalid_params(
                "expected [\"newHeads\"], [\"logs\", filter], [\"newPendingTransactions\", full], \
                 [\"transactionReceipts\", {transactionHashes}] or [\"syncing\"]",
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
            "transactionReceipts" => match option {
                Some(option) => WantedReceipts::read(option, limits)
                    .map(|wanted| Self::Receipts(Arc::new(wanted))),
                None => Ok(Self::Receipts(Arc::default())),
            },
            "syncing" => Ok(Self::Syncing),
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
    if !criteria.get().starts_with('{') {
        return Err(RpcError::invalid_params(
            "invalid argument: log filter: expected an object",
        ));
    }
    let given: Given = serde_json::from_str(criteria.get()).map_err(|error| {
        RpcError::invalid_params(format!("invalid argument: log filter: {}", brief(&error)))
    })?;
    let found = Criteria::read(given)?;
    if found.addresses.len() > criteria_max
        || found.topics.iter().any(|topic| topic.len() > criteria_max)
    {
        let message =
            format!("log filter: more than {criteria_max} addresses or alternatives of a topic");
        return Err(RpcError::invalid_params(message));
    }
    Ok(Criteria {
        _memory: limits.hold(criteria)?,
        ..found
    })
}

#[cfg(test)]
mod tests {
    use alloy_primitives::LogData;
    use serde_json::{Value, json};

    use super::*;

    fn read(criteria: &Value) -> Result<Criteria, RpcError> {
        let text = RawValue::from_string(criteria.to_string()).unwrap();
        let limits = CriteriaLimits {
            alternatives_max: 2,
            memory: Budget::new(0),
        };
        parse_criteria(&text, &limits)
    }

    fn hash(byte: u8) -> B256 {
        B256::repeat_byte(byte)
    }

    /// A log of block 5 by address 1 with topics 1 and 2.
    fn log() -> Log {
        Log {
            inner: alloy_primitives::Log {
                address: Address::repeat_byte(1),
                data: LogData::new_unchecked(vec![hash(1), hash(2)], Default::default()),
            },
            block_number: Some(5),
            ..Log::default()
        }
    }

    #[test]
    fn a_log_is_wanted_by_address_topics_and_block() {
        let (one, two) = (Address::repeat_byte(1), Address::repeat_byte(2));
        for (criteria, expected) in [
            (json!({}), true),
            (json!({"address": null, "topics": null, "other": 7}), true),
            (json!({"address": one}), true),
            (json!({"address": [two, one]}), true),
            (json!({"address": two}), false),
            (json!({"address": []}), true),
            (json!({"topics": [hash(1)]}), true),
            (json!({"topics": [hash(2)]}), false),
            (json!({"topics": [null, [hash(9), hash(2)]]}), true),
            (json!({"topics": [[], null]}), true),
            (json!({"topics": [[hash(9), null]]}), true),
            // Three positions need three topics, even where any will do.
            (json!({"topics": [null, null, null]}), false),
            (json!({"fromBlock": "0x5", "toBlock": "0x5"}), true),
            (json!({"fromBlock": "0x6"}), false),
            (json!({"fromBlock": "earliest", "toBlock": "0x4"}), false),
            (json!({"fromBlock": "latest", "toBlock": "finalized"}), true),
            // It says what the past is asked for; the news is all that comes.
            (json!({"blockHash": hash(7)}), true),
        ] {
            assert_eq!(
                read(&criteria).unwrap().want(&log()),
                expected,
                "{criteria}"
            );
        }
    }

    #[test]
    fn criteria_that_nothing_can_meet_are_refused() {
        for criteria in [
            json!({"fromBlock": "0x2", "toBlock": "0x1"}),
            json!({"toBlock": "0x1"}),
            json!({"fromBlock": "pending"}),
            json!({"toBlock": "pending"}),
            json!({"fromBlock": "Latest"}),
            json!({"fromBlock": "0x"}),
            json!({"fromBlock": "0x00"}),
            json!({"fromBlock": "0x+5"}),
            json!({"fromBlock": "0xffffffffffffffff"}),
            json!({"fromBlock": "5"}),
            json!({"fromBlock": 5}),
            json!({"blockHash": hash(1), "toBlock": "latest"}),
            json!({"topics": [null, null, null, null, null]}),
            json!({"topics": [[hash(1), hash(2), hash(3)]]}),
            json!({"address": "0x1"}),
            json!({"topics": ["0x1"]}),
            json!([]),
            json!([null, null, null, null, null]),
            json!("latest"),
        ] {
            let error = read(&criteria).expect_err(&criteria.to_string());
            assert_eq!(error.code, crate::error::INVALID_PARAMS, "{criteria}");
        }
    }
}
