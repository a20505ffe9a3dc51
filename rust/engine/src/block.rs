//! A block with what was computed from it: senders, hash, and after execution receipts and state changes.
//!
//! The decoder is strict: it accepts exactly the bytes that the encoder gives, so a block has one encoding.

use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_eips::{eip4895::Withdrawal, eip7685::Requests};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable, Header as RlpHeader};
use rayon::prelude::*;
use revm::database::BundleState;

use crate::{
    ChainSpec, EngineError, Result,
    transaction::{self, SenderRules},
    trie::StateTrie,
};

/// Below this many transactions a hop to the thread pool costs more than it saves.
const PARALLEL_TRANSACTIONS_MIN: usize = 8;

/// A decoded block. `senders[i]` signed `transactions[i]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub header: Header,
    pub hash: B256,
    pub transactions: Vec<TxEnvelope>,
    pub senders: Vec<Address>,
    /// Part of the encoding from Shanghai on, that is, where the header has a withdrawals root.
    pub withdrawals: Vec<Withdrawal>,
    pub ommers: Vec<Header>,
    /// The EIP-7685 requests, carried beside the RLP.
    pub requests: Requests,
    /// Length of the block's RLP in bytes.
    pub size: usize,
}

/// A block and everything its execution gave; immutable, shared in `Arc`.
#[derive(Debug)]
pub struct ExecutedBlock {
    pub block: Block,
    pub receipts: Vec<ReceiptEnvelope>,
    pub bundle: BundleState,
    /// The state trie after the block.
    pub trie: StateTrie,
}

impl Block {
    /// A block of our own making; hash and size are computed.
    pub fn from_parts(
        header: Header,
        transactions: Vec<TxEnvelope>,
        senders: Vec<Address>,
        withdrawals: Vec<Withdrawal>,
        requests: Requests,
    ) -> Self {
        let mut block = Self {
            hash: header.hash_slow(),
            header,
            transactions,
            senders,
            withdrawals,
            ommers: Vec::new(),
            requests,
            size: 0,
        };
        block.size = rlp_length(block.payload_length());
        block
    }

    /// Decode a block and recover its senders in parallel, except those that `known` gives by transaction hash.
    pub fn decode(
        spec: &ChainSpec,
        rlp: &[u8],
        requests: &[Bytes],
        known: &(dyn Fn(&B256) -> Option<Address> + Sync),
        threads: &rayon::ThreadPool,
    ) -> Result<Self> {
        let parts = Parts::split(rlp)?;
        let rules = SenderRules::at(spec, parts.header.number);
        let decode = |(index, item): (usize, &&[u8])| -> Result<(TxEnvelope, Address)> {
            let transaction = decode_transaction(index, item)?;
            // Asking for the hash here caches it, so that it is computed in parallel in any case.
            let hash = transaction.tx_hash();
            let sender = match known(hash) {
                Some(sender) => rules.validate(&transaction).map(|()| sender),
                None => rules.recover(&transaction),
            };
            let sender = sender.map_err(|refusal| refusal.of_transaction(index))?;
            Ok((transaction, sender))
        };
        let decoded: Vec<_> = if parts.transactions.len() < PARALLEL_TRANSACTIONS_MIN {
            parts
                .transactions
                .iter()
                .enumerate()
                .map(decode)
                .collect::<Result<_>>()?
        } else {
            threads.install(|| {
                let items = parts.transactions.par_iter().enumerate();
                items
                    .with_min_len(PARALLEL_TRANSACTIONS_MIN)
                    .map(decode)
                    .collect::<Result<_>>()
            })?
        };
        let (transactions, senders) = decoded.into_iter().unzip();
        parts.assemble(rlp, transactions, senders, requests)
    }

    /// Decode a block whose senders were recovered before and kept beside it.
    pub fn decode_with_senders(
        rlp: &[u8],
        requests: &[Bytes],
        senders: Vec<Address>,
    ) -> Result<Self> {
        let parts = Parts::split(rlp)?;
        if parts.transactions.len() != senders.len() {
            return Err(EngineError::InvalidInput(format!(
                "{} senders for {} transactions",
                senders.len(),
                parts.transactions.len()
            )));
        }
        let items = parts.transactions.iter().enumerate();
        let transactions = items
            .map(|(index, item)| decode_transaction(index, item))
            .collect::<Result<_>>()?;
        parts.assemble(rlp, transactions, senders, requests)
    }

    /// Header and hash of an encoded block, without decoding its body.
    pub fn header_of(rlp: &[u8]) -> Result<(Header, B256)> {
        let mut payload = list_payload(&mut &*rlp, "block")?;
        let item = next_item(&mut payload)?;
        Ok((decode_exact(item, "header")?, keccak256(item)))
    }

    pub fn encode(&self) -> Bytes {
        let payload_length = self.payload_length();
        let mut out = Vec::with_capacity(rlp_length(payload_length));
        RlpHeader {
            list: true,
            payload_length,
        }
        .encode(&mut out);
        self.header.encode(&mut out);
        alloy_rlp::encode_list(&self.transactions, &mut out);
        alloy_rlp::encode_list(&self.ommers, &mut out);
        if self.header.withdrawals_root.is_some() {
            alloy_rlp::encode_list(&self.withdrawals, &mut out);
        }
        out.into()
    }

    fn payload_length(&self) -> usize {
        let withdrawals = if self.header.withdrawals_root.is_some() {
            alloy_rlp::list_length(&self.withdrawals)
        } else {
            0
        };
        self.header.length()
            + alloy_rlp::list_length(&self.transactions)
            + alloy_rlp::list_length(&self.ommers)
            + withdrawals
    }
}

/// A block's RLP cut into its items; nothing but the header is decoded yet.
struct Parts<'a> {
    header: Header,
    hash: B256,
    transactions: Vec<&'a [u8]>,
    ommers: Vec<Header>,
    withdrawals: Option<Vec<Withdrawal>>,
}

impl<'a> Parts<'a> {
    fn split(rlp: &'a [u8]) -> Result<Self> {
        let mut rest = rlp;
        let mut payload = list_payload(&mut rest, "block")?;
        if !rest.is_empty() {
            return Err(malformed(format!("{} bytes after the block", rest.len())));
        }
        let header_item = next_item(&mut payload)?;
        let header = decode_exact(header_item, "header")?;
        let mut items = list_payload(&mut payload, "transactions")?;
        let mut transactions = Vec::new();
        while !items.is_empty() {
            transactions.push(next_item(&mut items)?);
        }
        let ommers = Vec::<Header>::decode(&mut payload)
            .map_err(|error| malformed(format!("ommers: {error}")))?;
        let withdrawals = if payload.is_empty() {
            None
        } else {
            Some(decode_exact::<Vec<Withdrawal>>(payload, "withdrawals")?)
        };
        Ok(Self {
            header,
            hash: keccak256(header_item),
            transactions,
            ommers,
            withdrawals,
        })
    }

    fn assemble(
        self,
        rlp: &[u8],
        transactions: Vec<TxEnvelope>,
        senders: Vec<Address>,
        requests: &[Bytes],
    ) -> Result<Block> {
        if self.header.withdrawals_root.is_some() != self.withdrawals.is_some() {
            return Err(invalid(
                "withdrawals_root",
                format!(
                    "the header has {} withdrawals root, the body has {} withdrawals",
                    some_or_no(self.header.withdrawals_root.is_some()),
                    some_or_no(self.withdrawals.is_some())
                ),
            ));
        }
        let block = Block {
            header: self.header,
            hash: self.hash,
            transactions,
            senders,
            withdrawals: self.withdrawals.unwrap_or_default(),
            ommers: self.ommers,
            requests: Requests::from(requests.to_vec()),
            size: rlp.len(),
        };
        // The libraries below accept a few encodings that they would not write; two byte strings must not be one block.
        if *block.encode() != *rlp {
            return Err(malformed("not the canonical encoding".into()));
        }
        Ok(block)
    }
}

fn some_or_no(present: bool) -> &'static str {
    if present { "a" } else { "no" }
}

fn decode_transaction(index: usize, item: &[u8]) -> Result<TxEnvelope> {
    let mut rest = item;
    let header = RlpHeader::decode(&mut rest)
        .map_err(|error| malformed(format!("transaction {index}: {error}")))?;
    // A typed transaction is a byte string in the list, a legacy one is a list itself.
    let encoded = if header.list { item } else { rest };
    transaction::decode(encoded).map_err(|refusal| refusal.of_transaction(index))
}

fn list_payload<'a>(buffer: &mut &'a [u8], what: &str) -> Result<&'a [u8]> {
    RlpHeader::decode_bytes(buffer, true).map_err(|error| malformed(format!("{what}: {error}")))
}

/// Take one item, with its RLP header, from the front of `buffer`.
fn next_item<'a>(buffer: &mut &'a [u8]) -> Result<&'a [u8]> {
    let whole = *buffer;
    let mut rest = whole;
    let header = RlpHeader::decode(&mut rest).map_err(|error| malformed(error.to_string()))?;
    // A single byte below 0x80 is its own header: nothing was consumed then.
    let length = whole.len() - rest.len() + header.payload_length;
    let (item, after) = whole
        .split_at_checked(length)
        .ok_or_else(|| malformed("input too short".into()))?;
    *buffer = after;
    Ok(item)
}

fn decode_exact<T: Decodable>(bytes: &[u8], what: &str) -> Result<T> {
    alloy_rlp::decode_exact(bytes).map_err(|error| malformed(format!("{what}: {error}")))
}

fn rlp_length(payload_length: usize) -> usize {
    payload_length + alloy_rlp::length_of_length(payload_length)
}

fn malformed(detail: String) -> EngineError {
    invalid("rlp", detail)
}

pub(crate) fn invalid(code: &'static str, detail: String) -> EngineError {
    EngineError::InvalidBlock { code, detail }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{EthereumTxEnvelope, TxEip2930, TxEip7702, TxLegacy};
    use alloy_eips::eip2718::Encodable2718;
    use alloy_primitives::{TxKind, U256};

    use super::*;
    use crate::{
        genesis::GenesisBlock,
        testing::{Account, CHAIN_ID, genesis_json},
    };

    fn threads() -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .unwrap()
    }

    /// A block with a transaction of each type that the network carries, and ten more.
    fn block() -> Block {
        let sender = Account::of(1);
        let to = TxKind::Call(Address::repeat_byte(0xaa));
        let chain_id = Some(CHAIN_ID);
        let mut transactions = vec![
            sender.sign_transaction(TxLegacy {
                chain_id,
                nonce: 0,
                gas_limit: 21_000,
                to,
                ..Default::default()
            }),
            sender.sign_transaction(TxLegacy {
                chain_id: None,
                nonce: 1,
                gas_limit: 21_000,
                to,
                ..Default::default()
            }),
            sender.sign_transaction(TxEip2930 {
                chain_id: CHAIN_ID,
                nonce: 2,
                to,
                ..Default::default()
            }),
            sender.transfer(3, Address::repeat_byte(0xbb), 5),
            sender.sign_transaction(TxEip7702 {
                chain_id: CHAIN_ID,
                nonce: 4,
                authorization_list: vec![Account::of(2).delegate(0, Address::repeat_byte(0xcc))],
                ..Default::default()
            }),
        ];
        transactions.extend((5..15).map(|nonce| sender.transfer(nonce, Address::ZERO, 1)));
        let withdrawal = Withdrawal {
            index: 1,
            validator_index: 2,
            address: sender.address,
            amount: 3,
        };
        let header = Header {
            base_fee_per_gas: Some(1),
            withdrawals_root: Some(B256::ZERO),
            ..Header::default()
        };
        let senders = vec![sender.address; transactions.len()];
        Block::from_parts(
            header,
            transactions,
            senders,
            vec![withdrawal],
            Requests::default(),
        )
    }

    fn spec() -> ChainSpec {
        GenesisBlock::parse(&genesis_json([])).unwrap().spec
    }

    fn decode(rlp: &[u8]) -> Result<Block> {
        Block::decode(&spec(), rlp, &[], &|_| None, &threads())
    }

    #[test]
    fn decoding_gives_back_what_was_encoded() {
        let block = block();
        let rlp = block.encode();
        assert_eq!(rlp.len(), block.size);
        assert_eq!(decode(&rlp).unwrap(), block);
        assert_eq!(
            Block::decode_with_senders(&rlp, &[], block.senders.clone()).unwrap(),
            block
        );
        assert_eq!(
            Block::header_of(&rlp).unwrap(),
            (block.header.clone(), block.hash)
        );
        assert!(Block::decode_with_senders(&rlp, &[], vec![]).is_err());
    }

    #[test]
    fn known_senders_are_taken_as_given() {
        let block = block();
        let known = Address::repeat_byte(0x77);
        let first = *block.transactions[0].tx_hash();
        let lookup = |hash: &B256| (*hash == first).then_some(known);
        let decoded = Block::decode(&spec(), &block.encode(), &[], &lookup, &threads()).unwrap();
        assert_eq!(decoded.senders[0], known);
        assert_eq!(decoded.senders[1..], block.senders[1..]);
    }

    #[test]
    fn a_block_cut_anywhere_or_with_more_bytes_is_malformed() {
        let rlp = block().encode();
        for length in 0..rlp.len() {
            assert!(
                matches!(
                    decode(&rlp[..length]),
                    Err(EngineError::InvalidBlock { code: "rlp", .. })
                ),
                "{length}"
            );
        }
        let mut longer = rlp.to_vec();
        longer.push(0);
        assert!(matches!(
            decode(&longer),
            Err(EngineError::InvalidBlock { code: "rlp", .. })
        ));
    }

    /// Rebuild a block's RLP with the items of its transaction list replaced.
    fn with_transaction_items(block: &Block, items: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = Vec::new();
        block.header.encode(&mut payload);
        let list = items.concat();
        RlpHeader {
            list: true,
            payload_length: list.len(),
        }
        .encode(&mut payload);
        payload.extend(list);
        payload.push(0xc0);
        alloy_rlp::encode_list(&block.withdrawals, &mut payload);
        let mut out = Vec::new();
        RlpHeader {
            list: true,
            payload_length: payload.len(),
        }
        .encode(&mut out);
        out.extend(payload);
        out
    }

    #[test]
    fn a_transaction_has_one_encoding() {
        let block = block();
        let item = |transaction: &TxEnvelope| alloy_rlp::encode(transaction);
        let items: Vec<_> = block.transactions.iter().map(item).collect();
        assert_eq!(with_transaction_items(&block, &items), block.encode());
        let legacy = block.transactions[0].encoded_2718();
        let typed = block.transactions[3].encoded_2718();
        for (name, index, bad) in [
            (
                "a legacy transaction wrapped in a string",
                0,
                alloy_rlp::encode(Bytes::from(legacy)),
            ),
            ("a typed transaction without its string", 3, typed.clone()),
            ("an empty string", 3, vec![0x80]),
            ("an empty list", 3, vec![0xc0]),
            ("a type alone", 3, vec![0x02]),
            (
                "an unknown type",
                3,
                alloy_rlp::encode(Bytes::from(vec![0x7f, 0xc0])),
            ),
            (
                "bytes after the transaction",
                3,
                alloy_rlp::encode(Bytes::from([typed, vec![0]].concat())),
            ),
        ] {
            let mut items = items.clone();
            items[index] = bad;
            let decoded = decode(&with_transaction_items(&block, &items));
            assert!(
                matches!(decoded, Err(EngineError::InvalidBlock { code: "rlp", .. })),
                "{name}: {decoded:?}"
            );
        }
    }

    #[test]
    fn a_signature_with_high_s_is_refused() {
        let mut block = block();
        let signature = block.transactions[3].signature();
        let order = U256::from_str_radix(
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
            16,
        )
        .unwrap();
        let high =
            alloy_primitives::Signature::new(signature.r(), order - signature.s(), !signature.v());
        let EthereumTxEnvelope::Eip1559(signed) = &block.transactions[3] else {
            panic!("a dynamic fee transaction")
        };
        block.transactions[3] =
            alloy_consensus::Signed::new_unhashed(signed.tx().clone(), high).into();
        let error = decode(&block.encode()).unwrap_err();
        assert!(
            matches!(
                error,
                EngineError::InvalidBlock {
                    code: "transaction_signature",
                    ..
                }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn withdrawals_must_be_where_the_header_says() {
        let block = block();
        let without = Block {
            header: Header::default(),
            ..block.clone()
        }
        .encode();
        assert!(decode(&without).is_ok());
        let mut header_only = block.clone();
        header_only.header.withdrawals_root = None;
        // Take the encoding with withdrawals and give it a header without their root.
        let items: Vec<_> = block.transactions.iter().map(alloy_rlp::encode).collect();
        let rlp = with_transaction_items(&header_only, &items);
        assert!(matches!(
            decode(&rlp),
            Err(EngineError::InvalidBlock {
                code: "withdrawals_root",
                ..
            })
        ));
    }
}
