//! Which block a request means: numbers, tags, hashes and EIP-1898 objects.

use alloy_primitives::B256;
use serde::Deserialize;

use super::{
    Api, RpcError,
    block_state::BlockState,
    params::{Argument, HashField, object, parse_fixed, parse_u64},
};

/// A number or a tag. A decided block is final, so `latest`, `safe` and `finalized` are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockNumber {
    Number(u64),
    Latest,
    Pending,
    Earliest,
}

impl BlockNumber {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "latest" | "safe" | "finalized" => Ok(Self::Latest),
            "pending" => Ok(Self::Pending),
            "earliest" => Ok(Self::Earliest),
            _ => match parse_u64(text)? {
                number if i64::try_from(number).is_err() => {
                    Err("block number larger than int64".to_owned())
                }
                number => Ok(Self::Number(number)),
            },
        }
    }
}

impl Argument for BlockNumber {
    fn read(json: &str) -> Result<Self, String> {
        let unquoted = json
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        Self::parse(unquoted.unwrap_or(json))
    }
}

/// A number, a tag or a hash (EIP-1898).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockId {
    Number(BlockNumber),
    Hash(B256),
}

impl Default for BlockId {
    fn default() -> Self {
        Self::Number(BlockNumber::Latest)
    }
}

impl Argument for BlockId {
    fn read(json: &str) -> Result<Self, String> {
        /// `requireCanonical` needs no reading: only decided blocks are known, so all are canonical.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Object<'a> {
            block_number: Option<&'a str>,
            block_hash: Option<HashField>,
        }
        if json.starts_with('{') {
            let parsed: Object<'_> = object(json, "a block")?;
            return match (parsed.block_number, parsed.block_hash) {
                (Some(_), Some(_)) => Err(
                    "cannot specify both BlockHash and BlockNumber, choose one or the other"
                        .to_owned(),
                ),
                (None, None) => Err("must specify either BlockHash or BlockNumber".to_owned()),
                (Some(number), None) => BlockNumber::parse(number).map(Self::Number),
                (None, Some(hash)) => Ok(Self::Hash(hash.0)),
            };
        }
        let text = String::read(json)?;
        if text.len() == 66 {
            return parse_fixed(&text, "a hash").map(B256::new).map(Self::Hash);
        }
        BlockNumber::parse(&text).map(Self::Number)
    }
}

impl Api {
    /// The number of a decided block, or `None` if there is no such block. `pending` has none and gives the head.
    pub(super) fn find_number(&self, id: BlockId) -> Result<Option<u64>, RpcError> {
        match id {
            BlockId::Number(BlockNumber::Latest | BlockNumber::Pending) => {
                Ok(Some(self.engine.store().head().number))
            }
            BlockId::Number(BlockNumber::Earliest) => Ok(Some(0)),
            BlockId::Number(BlockNumber::Number(number)) => {
                self.check_kept(number)?;
                Ok(Some(number).filter(|number| *number <= self.engine.store().head().number))
            }
            BlockId::Hash(hash) => Ok(self.engine.store().number_of(hash)?),
        }
    }

    /// A node that began from a snapshot has no blocks between genesis and that one.
    pub(super) fn check_kept(&self, number: u64) -> Result<(), RpcError> {
        let first = self.engine.store().first_block();
        if (1..first).contains(&number) {
            return Err(RpcError::pruned_history(number, first));
        }
        Ok(())
    }

    /// The state after a block; unlike a lookup of the block itself, an unknown one is an error.
    pub(super) fn state(&self, id: BlockId) -> Result<BlockState, RpcError> {
        let store = self.engine.store();
        if id == BlockId::Number(BlockNumber::Pending)
            && let Some(pending) = self.pending()
        {
            return Ok(BlockState::Pending(pending));
        }
        if let BlockId::Number(BlockNumber::Latest | BlockNumber::Pending) = id {
            return Ok(BlockState::Decided(store.latest()));
        }
        let number = self.find_number(id)?.ok_or_else(|| {
            RpcError::server(match id {
                BlockId::Hash(_) => "header for hash not found",
                BlockId::Number(_) => "header not found",
            })
        })?;
        Ok(BlockState::Decided(store.state_at(number)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_id_is_a_tag_a_number_a_hash_or_an_object() {
        let hash = B256::repeat_byte(0x11);
        let cases = [
            (r#""latest""#.to_owned(), Ok(BlockId::default())),
            (r#""safe""#.to_owned(), Ok(BlockId::default())),
            (r#""finalized""#.to_owned(), Ok(BlockId::default())),
            (
                r#""pending""#.to_owned(),
                Ok(BlockId::Number(BlockNumber::Pending)),
            ),
            (
                r#""earliest""#.to_owned(),
                Ok(BlockId::Number(BlockNumber::Earliest)),
            ),
            (
                r#""0x1f""#.to_owned(),
                Ok(BlockId::Number(BlockNumber::Number(31))),
            ),
            (format!("\"{hash}\""), Ok(BlockId::Hash(hash))),
            (
                format!(r#"{{"blockHash":"{hash}"}}"#),
                Ok(BlockId::Hash(hash)),
            ),
            (
                format!(r#"{{"blockHash":"{hash}","requireCanonical":true}}"#),
                Ok(BlockId::Hash(hash)),
            ),
            (
                r#"{"blockNumber":"0x5"}"#.to_owned(),
                Ok(BlockId::Number(BlockNumber::Number(5))),
            ),
            (
                r#"{"blockNumber":"latest"}"#.to_owned(),
                Ok(BlockId::default()),
            ),
            (
                "{}".to_owned(),
                Err("must specify either BlockHash or BlockNumber"),
            ),
            (
                format!(r#"{{"blockHash":"{hash}","blockNumber":"0x5"}}"#),
                Err("cannot specify both BlockHash and BlockNumber, choose one or the other"),
            ),
            (
                r#""newest""#.to_owned(),
                Err("hex string without 0x prefix"),
            ),
            (r#""2""#.to_owned(), Err("hex string without 0x prefix")),
            (r#""0x""#.to_owned(), Err("hex string \"0x\"")),
            (
                r#""0x01""#.to_owned(),
                Err("hex number with leading zero digits"),
            ),
            (
                r#""0x8000000000000000""#.to_owned(),
                Err("block number larger than int64"),
            ),
            (
                r#""0x10000000000000000""#.to_owned(),
                Err("hex number > 64 bits"),
            ),
            (r#""""#.to_owned(), Err("empty hex string")),
            ("5".to_owned(), Err("expected a string, found 5")),
        ];
        for (json, expected) in cases {
            assert_eq!(
                BlockId::read(&json),
                expected.map_err(str::to_owned),
                "{json}"
            );
        }
    }
}
