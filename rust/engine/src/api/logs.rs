//! `eth_getLogs`: what is asked for, and what matches it.

use alloy_primitives::{Address, B256, Bloom, keccak256};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Answer, Api, RpcError,
    block_id::{BlockId, BlockNumber},
    log_search::Search,
    params::{Argument, HashField, Params, object, parse_fixed},
};

/// A log has at most four topics.
const TOPICS_MAX: usize = 4;

impl Api {
    pub(super) fn get_logs(&self, params: &Params<'_>) -> Answer {
        let filter = params.required::<LogFilter>(0)?;
        self.check_criteria(&filter)?;
        let (from, to) = match filter.range {
            LogRange::Block(hash) => {
                let number = self.find_number(BlockId::Hash(hash))?;
                let number = number.ok_or_else(|| RpcError::server("unknown block"))?;
                (number, number)
            }
            LogRange::Between(from, to) => self.log_range(from, to)?,
        };
        Search::new(self, params.caller(), Matcher::new(&filter), from..to + 1).run()
    }

    fn check_criteria(&self, filter: &LogFilter) -> Result<(), RpcError> {
        let max = self.limits.log_criteria_max;
        let largest = filter
            .topics
            .iter()
            .map(Vec::len)
            .chain([filter.addresses.len()])
            .max();
        if largest.is_some_and(|largest| largest > max) {
            return Err(RpcError::invalid_params(format!(
                "exceed max addresses or topics per search position ({max})"
            )));
        }
        Ok(())
    }

    /// Turn tags into numbers and check the distance.
    fn log_range(&self, from: BlockNumber, to: BlockNumber) -> Result<(u64, u64), RpcError> {
        let head = self.engine.store().head().number;
        let resolve = |number| match number {
            BlockNumber::Number(number) => Ok(number),
            BlockNumber::Latest => Ok(head),
            BlockNumber::Earliest => Ok(0),
            BlockNumber::Pending => Err(RpcError::invalid_params("pending logs are not supported")),
        };
        let (from, to) = (resolve(from)?, resolve(to)?);
        if from > to {
            return Err(RpcError::invalid_params(format!(
                "invalid block range params: fromBlock {from} is after toBlock {to}"
            )));
        }
        let max = self.limits.log_blocks_max;
        if to - from > max {
            return Err(RpcError::invalid_params(format!(
                "exceed maximum block range {max}: fromBlock {from} and toBlock {to} are {} apart",
                to - from
            )));
        }
        if to > head {
            return Err(RpcError::beyond_head(head));
        }
        // The first block of the range that is not there speaks for all of them; genesis is always there, and has no logs.
        self.check_kept(from.max(1).min(to))?;
        Ok((from, to))
    }
}

/// What eth_getLogs is asked for. No addresses, or no topics at a position, means any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogFilter {
    range: LogRange,
    addresses: Vec<Address>,
    topics: Vec<Vec<B256>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LogRange {
    Block(B256),
    Between(BlockNumber, BlockNumber),
}

impl Argument for LogFilter {
    fn read(json: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Object {
            block_hash: Option<HashField>,
            from_block: Option<Value>,
            to_block: Option<Value>,
            address: Option<Value>,
            topics: Option<Vec<Value>>,
        }
        let read: Object = object(json, "a filter object")?;
        let range = match read.block_hash {
            Some(_) if read.from_block.is_some() || read.to_block.is_some() => {
                return Err(
                    "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other"
                        .to_owned(),
                );
            }
            Some(hash) => LogRange::Block(hash.0),
            None => LogRange::Between(read_number(read.from_block)?, read_number(read.to_block)?),
        };
        let topics = read.topics.unwrap_or_default();
        if topics.len() > TOPICS_MAX {
            return Err("exceed max topics".to_owned());
        }
        Ok(Self {
            range,
            addresses: read_addresses(read.address)?,
            topics: topics.iter().map(read_topics).collect::<Result<_, _>>()?,
        })
    }
}

fn read_number(value: Option<Value>) -> Result<BlockNumber, String> {
    value.map_or(Ok(BlockNumber::Latest), |value| {
        BlockNumber::read(&value.to_string())
    })
}

fn read_addresses(value: Option<Value>) -> Result<Vec<Address>, String> {
    let read = |text: &str| parse_fixed(text, "an address").map(Address::new);
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![
            read(&text).map_err(|error| format!("invalid address: {error}"))?,
        ]),
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::String(text) => {
                    read(text).map_err(|error| format!("invalid address at index {index}: {error}"))
                }
                _ => Err(format!("non-string address at index {index}")),
            })
            .collect(),
        Some(_) => Err("invalid addresses in query".to_owned()),
    }
}

/// The alternatives at one position; `null`, also inside an array, matches everything.
fn read_topics(value: &Value) -> Result<Vec<B256>, String> {
    let read = |text: &str| parse_fixed(text, "a topic").map(B256::new);
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![read(text)?]),
        Value::Array(items) if items.iter().any(Value::is_null) => Ok(Vec::new()),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().ok_or("invalid topic(s)".to_owned()))
            .map(|text| read(text?))
            .collect(),
        _ => Err("invalid topic(s)".to_owned()),
    }
}

/// A filter made ready: bloom positions hashed once, criteria sorted for look-up.
pub(super) struct Matcher {
    addresses: Criterion<Address>,
    topics: Vec<Criterion<B256>>,
}

/// The accepted values of one position; none means any.
struct Criterion<T> {
    sorted: Vec<T>,
    bits: Vec<BloomBits>,
}

/// The three bits that a value sets in a bloom filter.
type BloomBits = [usize; 3];

impl<T: Ord + Copy + AsRef<[u8]>> Criterion<T> {
    fn new(values: &[T]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let bits = sorted.iter().map(|value| bloom_bits(value.as_ref()));
        Self {
            bits: bits.collect(),
            sorted,
        }
    }

    fn may_match(&self, bloom: &Bloom) -> bool {
        let has = |bit: &usize| bloom[bloom.len() - 1 - bit / 8] & (1 << (bit % 8)) != 0;
        self.bits.is_empty() || self.bits.iter().any(|bits| bits.iter().all(has))
    }

    fn matches(&self, value: &T) -> bool {
        self.sorted.is_empty() || self.sorted.binary_search(value).is_ok()
    }
}

/// The Yellow Paper's M3:2048: the low eleven bits of the first three pairs of bytes of the hash.
fn bloom_bits(value: &[u8]) -> BloomBits {
    let hash = keccak256(value);
    [0, 2, 4].map(|at| (usize::from(hash[at]) << 8 | usize::from(hash[at + 1])) & 2047)
}

impl Matcher {
    fn new(filter: &LogFilter) -> Self {
        Self {
            addresses: Criterion::new(&filter.addresses),
            topics: filter
                .topics
                .iter()
                .map(|topics| Criterion::new(topics))
                .collect(),
        }
    }

    /// The accepted addresses, each once; none means any.
    pub(super) fn addresses(&self) -> &[Address] {
        &self.addresses.sorted
    }

    pub(super) fn may_match(&self, bloom: &Bloom) -> bool {
        self.addresses.may_match(bloom) && self.topics.iter().all(|topic| topic.may_match(bloom))
    }

    /// A log with fewer topics than the filter has positions does not match, even where the position takes any.
    pub(super) fn matches(&self, address: &Address, topics: &[B256]) -> bool {
        topics.len() >= self.topics.len()
            && self.addresses.matches(address)
            && self
                .topics
                .iter()
                .zip(topics)
                .all(|(criterion, topic)| criterion.matches(topic))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{LogData, address, b256};

    use super::*;

    const TOKEN: Address = address!("0x1111111111111111111111111111111111111111");
    const OTHER: Address = address!("0x2222222222222222222222222222222222222222");
    const A: B256 = b256!("0x00000000000000000000000000000000000000000000000000000000000000aa");
    const B: B256 = b256!("0x00000000000000000000000000000000000000000000000000000000000000bb");

    fn filter(json: &str) -> LogFilter {
        LogFilter::read(json).expect(json)
    }

    #[test]
    fn a_filter_takes_one_or_many_at_each_position() {
        let cases = [
            ("{}".to_owned(), vec![], vec![]),
            (
                r#"{"address":null,"topics":null}"#.to_owned(),
                vec![],
                vec![],
            ),
            (format!(r#"{{"address":"{TOKEN}"}}"#), vec![TOKEN], vec![]),
            (
                format!(r#"{{"address":["{TOKEN}","{OTHER}"],"topics":[null,"{A}"]}}"#),
                vec![TOKEN, OTHER],
                vec![vec![], vec![A]],
            ),
            (
                format!(r#"{{"topics":[["{A}","{B}"],["{A}",null],[]]}}"#),
                vec![],
                vec![vec![A, B], vec![], vec![]],
            ),
        ];
        for (json, addresses, topics) in cases {
            let read = filter(&json);
            assert_eq!((read.addresses, read.topics), (addresses, topics), "{json}");
        }
    }

    #[test]
    fn a_bad_filter_is_refused_with_its_reason() {
        let cases = [
            (r#"[]"#.to_owned(), "expected a filter object, found []"),
            (
                format!(r#"{{"blockHash":"{A}","fromBlock":"0x1"}}"#),
                "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other",
            ),
            (
                r#"{"fromBlock":"1"}"#.to_owned(),
                "hex string without 0x prefix",
            ),
            (
                r#"{"fromBlock":1}"#.to_owned(),
                "hex string without 0x prefix",
            ),
            (
                format!(r#"{{"toBlock":"0x1{}"}}"#, "0".repeat(64)),
                "hex number > 64 bits",
            ),
            (
                r#"{"address":"0x11"}"#.to_owned(),
                "invalid address: hex string has length 2, want 40 for an address",
            ),
            (
                r#"{"address":[1]}"#.to_owned(),
                "non-string address at index 0",
            ),
            (r#"{"address":{}}"#.to_owned(), "invalid addresses in query"),
            (r#"{"topics":[1]}"#.to_owned(), "invalid topic(s)"),
            (r#"{"topics":[[1]]}"#.to_owned(), "invalid topic(s)"),
            (
                r#"{"topics":["0x11"]}"#.to_owned(),
                "hex string has length 2, want 64 for a topic",
            ),
            (
                r#"{"topics":[null,null,null,null,null]}"#.to_owned(),
                "exceed max topics",
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(LogFilter::read(&json), Err(expected.to_owned()), "{json}");
        }
    }

    #[test]
    fn a_log_matches_by_address_and_by_topic_position() {
        let log = |topics: &[B256]| alloy_primitives::Log {
            address: TOKEN,
            data: LogData::new_unchecked(topics.to_vec(), Default::default()),
        };
        let cases = [
            ("{}".to_owned(), &[][..], true),
            (format!(r#"{{"address":"{TOKEN}"}}"#), &[], true),
            (format!(r#"{{"address":"{OTHER}"}}"#), &[], false),
            (format!(r#"{{"topics":["{A}"]}}"#), &[A, B], true),
            (format!(r#"{{"topics":["{B}"]}}"#), &[A, B], false),
            (format!(r#"{{"topics":[null,"{B}"]}}"#), &[A, B], true),
            (format!(r#"{{"topics":[["{A}","{B}"]]}}"#), &[B], true),
            // Two positions need two topics, even where any will do.
            (r#"{"topics":[null,null]}"#.to_owned(), &[A], false),
            (r#"{"topics":[null]}"#.to_owned(), &[], false),
        ];
        for (json, topics, expected) in cases {
            let matcher = Matcher::new(&filter(&json));
            let log = log(topics);
            let matches = matcher.matches(&log.address, log.topics());
            assert_eq!(matches, expected, "{json}");
            let mut bloom = Bloom::ZERO;
            bloom.accrue_log(&log);
            assert!(
                !expected || matcher.may_match(&bloom),
                "the bloom must not hide a match: {json}"
            );
        }
    }

    #[test]
    fn a_bloom_without_the_value_rules_the_block_out() {
        let matcher = Matcher::new(&filter(&format!(r#"{{"address":"{TOKEN}"}}"#)));
        assert!(!matcher.may_match(&Bloom::ZERO));
    }
}
