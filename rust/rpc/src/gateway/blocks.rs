//! Which block a call is about. A call about the newest one is given its number, so that every node answers the same.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::error::RpcError;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

/// What the parameters of a method say about blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A block at this place; the newest one where nothing is said.
    At(usize),
    /// A range in the object at the first place.
    Range,
    /// Nothing: the answer is about the newest block, or about something by its hash.
    Nowhere,
}

/// A call as nodes are asked it.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) params: Option<Cow<'a, RawValue>>,
    /// The block that a node must have.
    pub(crate) at_least: u64,
    /// It is about what waits for a block, which nodes know differently for a moment.
    pub(crate) is_pending: bool,
}

/// Where each method names its block.
pub(crate) fn place(method: &str) -> Place {
    match method {
        "eth_getBlockByNumber"
        | "eth_getHeaderByNumber"
        | "eth_getBlockTransactionCountByNumber"
        | "eth_getTransactionByBlockNumberAndIndex"
        | "eth_getRawTransactionByBlockNumberAndIndex"
        | "eth_getUncleByBlockNumberAndIndex"
        | "eth_getUncleCountByBlockNumber"
        | "eth_getBlockReceipts"
        | "ibft_getCommitCertificate"
        | "ibft_getRawHeader"
        | "ibft_getValidatorsByBlockNumber"
        | "debug_traceBlockByNumber"
        | "trace_block" => Place::At(0),
        "eth_call"
        | "eth_estimateGas"
        | "eth_createAccessList"
        | "eth_simulateV1"
        | "eth_getBalance"
        | "eth_getCode"
        | "eth_getTransactionCount"
        | "eth_getStorageValues"
        | "eth_feeHistory"
        | "debug_traceCall" => Place::At(1),
        "eth_getStorageAt" | "eth_getProof" => Place::At(2),
        "eth_getLogs" => Place::Range,
        _ => Place::Nowhere,
    }
}

/// Whether a method may take a node long, and its answer be large.
pub(crate) fn is_heavy(method: &str) -> bool {
    matches!(
        method,
        "eth_call"
            | "eth_estimateGas"
            | "eth_createAccessList"
            | "eth_simulateV1"
            | "eth_getLogs"
            | "eth_getProof"
            | "eth_feeHistory"
            | "eth_getBlockReceipts"
    ) || method.starts_with("debug_")
        || method.starts_with("trace_")
        || method.starts_with("ots_")
}

/// Replaces tags by numbers. `visible` is the newest block that callers see, `oldest` how far behind it a node may be.
///
/// What cannot be understood is left as it is: the node says what is wrong with it.
pub(crate) fn resolve<'a>(
    place: Place,
    params: Option<&'a RawValue>,
    visible: u64,
    oldest: u64,
    log_blocks_max: u64,
) -> Result<Resolved<'a>, RpcError> {
    let mut resolved = Resolved {
        params: params.map(Cow::Borrowed),
        at_least: visible,
        is_pending: false,
    };
    let text = params.map_or("[]", RawValue::get);
    let Ok(mut list) = serde_json::from_str::<Vec<&RawValue>>(text) else {
        return Ok(resolved);
    };
    match place {
        Place::Nowhere => {}
        Place::At(at) => {
            let block = match list.get(at).copied() {
                Some(block) => Block::read(block),
                None if at == list.len() && at > 0 => Block::Newest,
                None => return Ok(resolved),
            };
            match block {
                Block::Newest => {
                    let number = quantity(visible);
                    if at < list.len() {
                        list[at] = &number;
                    } else {
                        list.push(&number);
                    }
                    resolved.params = Some(Cow::Owned(join(&list)?));
                }
                Block::Number(number) => resolved.at_least = needed(number, visible, oldest),
                Block::Pending => resolved.is_pending = true,
                Block::Other => {}
            }
        }
        Place::Range => {
            let Some(filter) = list.first().copied() else {
                return Ok(resolved);
            };
            let Ok(mut fields) = serde_json::from_str::<Fields<'_>>(filter.get()) else {
                return Ok(resolved);
            };
            if fields
                .get("blockHash")
                .is_some_and(|hash| hash.get() != "null")
            {
                return Ok(resolved);
            }
            let end = |name: &str| match fields.get(name).copied() {
                Some(block) => Block::read(block).number(visible),
                None => Some(visible),
            };
            let (Some(from), Some(to)) = (end("fromBlock"), end("toBlock")) else {
                return Ok(resolved);
            };
            if to.saturating_sub(from) > log_blocks_max {
                return Err(RpcError::invalid_params(format!(
                    "exceed maximum block range {log_blocks_max}: fromBlock {from} and toBlock {to} are {} apart",
                    to - from
                )));
            }
            resolved.at_least = needed(to, visible, oldest);
            let (from, to) = (quantity(from), quantity(to));
            fields.insert("fromBlock".into(), &from);
            fields.insert("toBlock".into(), &to);
            let object = to_raw_value(&fields).map_err(|_| RpcError::internal())?;
            list[0] = &object;
            resolved.params = Some(Cow::Owned(join(&list)?));
        }
    }
    Ok(resolved)
}

type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// A node that has an old block may be a little behind.
fn needed(number: u64, visible: u64, oldest: u64) -> u64 {
    if number > visible {
        visible
    } else {
        number.max(oldest)
    }
}

enum Block {
    Newest,
    Pending,
    Number(u64),
    /// A hash, or nothing that makes sense.
    Other,
}

impl Block {
    fn read(json: &RawValue) -> Self {
        match json.get() {
            "null" | "\"latest\"" | "\"safe\"" | "\"finalized\"" => Self::Newest,
            "\"pending\"" => Self::Pending,
            "\"earliest\"" => Self::Number(0),
            text => parse_quantity(text).map_or(Self::Other, Self::Number),
        }
    }

    fn number(&self, visible: u64) -> Option<u64> {
        match self {
            Self::Newest => Some(visible),
            Self::Number(number) => Some(*number),
            Self::Pending | Self::Other => None,
        }
    }
}

/// A number as JSON-RPC writes it, with its quotes.
pub(crate) fn parse_quantity(json: &str) -> Option<u64> {
    let digits = json.strip_prefix("\"0x")?.strip_suffix('"')?;
    (digits.len() <= 16)
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

pub(crate) fn quantity(number: u64) -> Box<RawValue> {
    // Quotes and digits are JSON.
    RawValue::from_string(format!("\"0x{number:x}\"")).unwrap_or_default()
}

fn join(list: &[&RawValue]) -> Result<Box<RawValue>, RpcError> {
    to_raw_value(list).map_err(|_| RpcError::internal())
}

/// The number of the block that an answer shows: of a block, a transaction or a receipt.
pub(crate) fn shown(answer: &str) -> Option<u64> {
    /// Blocks begin with their header; of longer answers nothing more is looked at.
    const LOOKED_AT_BYTES: usize = 16 << 10;
    #[derive(Deserialize)]
    struct Numbered<'a> {
        #[serde(borrow, default)]
        number: Option<Cow<'a, str>>,
        #[serde(borrow, default, rename = "blockNumber")]
        block_number: Option<Cow<'a, str>>,
    }
    if !answer.starts_with('{') {
        return None;
    }
    if answer.len() <= LOOKED_AT_BYTES {
        let read: Numbered<'_> = serde_json::from_str(answer).ok()?;
        let digits = read.number.or(read.block_number)?;
        return u64::from_str_radix(digits.strip_prefix("0x")?, 16).ok();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(method: &str, params: &str) -> Result<(String, u64, bool), String> {
        let params = RawValue::from_string(params.to_owned()).unwrap();
        resolve(place(method), Some(&params), 100, 98, 50)
            .map(|found| {
                let text = found.params.unwrap().get().to_owned();
                (text, found.at_least, found.is_pending)
            })
            .map_err(|error| error.message)
    }

    #[test]
    fn the_newest_block_gets_its_number_and_everything_else_stays() {
        for (method, params, expected, at_least) in [
            (
                "eth_getBalance",
                r#"["0xaa","latest"]"#,
                r#"["0xaa","0x64"]"#,
                100,
            ),
            ("eth_getBalance", r#"["0xaa"]"#, r#"["0xaa","0x64"]"#, 100),
            (
                "eth_getBalance",
                r#"["0xaa",null]"#,
                r#"["0xaa","0x64"]"#,
                100,
            ),
            (
                "eth_getBalance",
                r#"["0xaa","0x5"]"#,
                r#"["0xaa","0x5"]"#,
                98,
            ),
            (
                "eth_getBalance",
                r#"["0xaa","earliest"]"#,
                r#"["0xaa","earliest"]"#,
                98,
            ),
            (
                "eth_getBalance",
                r#"["0xaa","0x63"]"#,
                r#"["0xaa","0x63"]"#,
                99,
            ),
            (
                "eth_getBalance",
                r#"["0xaa","0x70"]"#,
                r#"["0xaa","0x70"]"#,
                100,
            ),
            ("eth_getBalance", "[]", "[]", 100),
            (
                "eth_getBalance",
                r#"{"address":1}"#,
                r#"{"address":1}"#,
                100,
            ),
            (
                "eth_getBalance",
                r#"["0xaa",{"blockHash":"0x1"}]"#,
                r#"["0xaa",{"blockHash":"0x1"}]"#,
                100,
            ),
            (
                "eth_call",
                r#"[{"to":"0x1"},"safe",{"0x2":{}}]"#,
                r#"[{"to":"0x1"},"0x64",{"0x2":{}}]"#,
                100,
            ),
            (
                "eth_call",
                r#"[{"to":"0x1"}]"#,
                r#"[{"to":"0x1"},"0x64"]"#,
                100,
            ),
            (
                "eth_getStorageAt",
                r#"["0x1","0x0"]"#,
                r#"["0x1","0x0","0x64"]"#,
                100,
            ),
            (
                "eth_getBlockByNumber",
                r#"["finalized",false]"#,
                r#"["0x64",false]"#,
                100,
            ),
            ("eth_getBlockByNumber", "[]", "[]", 100),
            ("eth_getTransactionReceipt", r#"["0x1"]"#, r#"["0x1"]"#, 100),
            (
                "eth_getBalance",
                r#"["0xaa","0xfffffffffffffffff"]"#,
                r#"["0xaa","0xfffffffffffffffff"]"#,
                100,
            ),
        ] {
            let found = resolved(method, params);
            assert_eq!(
                found,
                Ok((expected.to_owned(), at_least, false)),
                "{method} {params}"
            );
        }
        let pending = r#"["0xaa","pending"]"#;
        assert_eq!(
            resolved("eth_getTransactionCount", pending),
            Ok((pending.to_owned(), 100, true))
        );
    }

    #[test]
    fn ranges_of_logs_get_numbers_and_have_a_limit() {
        for (params, expected, at_least) in [
            ("[{}]", r#"[{"fromBlock":"0x64","toBlock":"0x64"}]"#, 100),
            (
                r#"[{"fromBlock":"0x40","toBlock":"latest","topics":[null,["0x1"]]}]"#,
                r#"[{"fromBlock":"0x40","toBlock":"0x64","topics":[null,["0x1"]]}]"#,
                100,
            ),
            (
                r#"[{"fromBlock":"earliest","toBlock":"0x32"}]"#,
                r#"[{"fromBlock":"0x0","toBlock":"0x32"}]"#,
                98,
            ),
            (r#"[{"blockHash":"0x1"}]"#, r#"[{"blockHash":"0x1"}]"#, 100),
            (r#"[{"fromBlock":7}]"#, r#"[{"fromBlock":7}]"#, 100),
            ("[7]", "[7]", 100),
            ("[]", "[]", 100),
        ] {
            let found = resolved("eth_getLogs", params);
            assert_eq!(
                found,
                Ok((expected.to_owned(), at_least, false)),
                "{params}"
            );
        }
        assert_eq!(
            resolved("eth_getLogs", r#"[{"fromBlock":"earliest"}]"#),
            Err(
                "exceed maximum block range 50: fromBlock 0 and toBlock 100 are 100 apart"
                    .to_owned()
            )
        );
    }

    #[test]
    fn an_answer_shows_its_block() {
        for (answer, expected) in [
            (r#"{"hash":"0x1","number":"0x10","x":[]}"#, Some(16)),
            (r#"{"blockNumber":"0x11"}"#, Some(17)),
            (r#"{"blockNumber":null}"#, None),
            (r#"{"revertReason":"\"blockNumber\":\"0xff\""}"#, None),
            ("null", None),
            (r#""0x10""#, None),
            ("[]", None),
        ] {
            assert_eq!(shown(answer), expected, "{answer}");
        }
    }
}
