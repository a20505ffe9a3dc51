//! A transaction as its caller hands it over, read once.
//!
//! Whose rate it counts for, what nodes are given and the hash that callers are told come from the same bytes. Passed on as it
//! was written, a parameter that nodes read in another way than this would be a transaction of nobody here, and one of its
//! key there.

use alloy_consensus::TxEnvelope;
use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, Bytes, keccak256};
use serde_json::value::{RawValue, to_raw_value};

use crate::data;
use crate::error::{RpcError, SERVER_ERROR};

/// What was between the quotes of the only parameter.
pub(crate) struct Submitted {
    raw: Bytes,
    /// As nodes are asked it.
    pub(crate) params: Box<RawValue>,
}

impl Submitted {
    /// Reads the parameters of `eth_sendRawTransaction`, as strictly as nodes do and with their words.
    pub(crate) fn read(params: Option<&RawValue>) -> Result<Self, RpcError> {
        let wrong = |what: &str| RpcError::invalid_params(what);
        let text = params.map(RawValue::get).filter(|text| *text != "null");
        let params: Vec<&RawValue> =
            serde_json::from_str(text.unwrap_or("[]")).map_err(|_| wrong("non-array args"))?;
        let transaction = match *params {
            [] => return Err(wrong("missing value for required argument 0")),
            [transaction] if transaction.get() == "null" => {
                return Err(wrong("missing value for required argument 0"));
            }
            [transaction] => transaction,
            _ => return Err(wrong("too many arguments, want at most 1")),
        };
        let raw = bytes(transaction)
            .map_err(|what| RpcError::invalid_params(format!("invalid argument 0: {what}")))?;
        let params = to_raw_value(&[&raw]).map_err(|_| RpcError::internal())?;
        Ok(Self { raw, params })
    }

    /// Who has signed it; the error says why that is nobody.
    pub(crate) fn signer(&self) -> Result<Address, RpcError> {
        let wrong = |what: String| RpcError::new(SERVER_ERROR, what);
        match self.raw.first() {
            None => return Err(wrong("typed transaction too short".to_owned())),
            Some(1..=4 | 0xc0..) => {}
            Some(_) => return Err(wrong("transaction type not supported".to_owned())),
        }
        let transaction = TxEnvelope::decode_2718_exact(&self.raw)
            .map_err(|error| wrong(format!("rlp: {error}")))?;
        transaction
            .recover_signer()
            .map_err(|_| wrong("invalid sender: invalid transaction v, r, s values".to_owned()))
    }

    /// Its hash, as JSON.
    pub(crate) fn hash(&self) -> Option<Box<RawValue>> {
        to_raw_value(&keccak256(&self.raw)).ok()
    }
}

fn bytes(json: &RawValue) -> Result<Bytes, &'static str> {
    let text: String = serde_json::from_str(json.get()).map_err(|_| "expected a string")?;
    data::parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::INVALID_PARAMS;

    fn read(params: &str) -> Result<Submitted, RpcError> {
        let raw = RawValue::from_string(params.to_owned()).unwrap();
        Submitted::read(Some(&raw))
    }

    #[test]
    fn however_a_transaction_is_written_nodes_are_given_its_bytes() {
        for params in [
            r#"["0x02abcd"]"#,
            r#"["0X02abcd"]"#,
            r#"["0x02AbCD"]"#,
            r#" [ "0x02abcd" ] "#,
            r#"["\u0030x02\u0061bcd"]"#,
        ] {
            let submitted = read(params).unwrap();
            assert_eq!(submitted.params.get(), r#"["0x02abcd"]"#, "{params}");
            let hash = to_raw_value(&keccak256([0x02, 0xab, 0xcd])).unwrap();
            assert_eq!(submitted.hash().unwrap().get(), hash.get());
        }
        for nothing in [r#"["0x"]"#, r#"[""]"#] {
            assert_eq!(read(nothing).unwrap().params.get(), r#"["0x"]"#);
        }
    }

    #[test]
    fn what_is_no_data_is_refused_with_the_words_of_nodes() {
        for (params, expected) in [
            (r#"["0x0x02"]"#, "invalid argument 0: invalid hex string"),
            (r#"["0X0x02"]"#, "invalid argument 0: invalid hex string"),
            (r#"["0x0X02"]"#, "invalid argument 0: invalid hex string"),
            (r#"["0x0g"]"#, "invalid argument 0: invalid hex string"),
            (r#"["0x02  "]"#, "invalid argument 0: invalid hex string"),
            (r#"["0x2"]"#, "invalid argument 0: hex string of odd length"),
            (
                r#"["02"]"#,
                "invalid argument 0: hex string without 0x prefix",
            ),
            (
                r#"[" 0x02"]"#,
                "invalid argument 0: hex string without 0x prefix",
            ),
            ("[[2, 3]]", "invalid argument 0: expected a string"),
            ("[2]", "invalid argument 0: expected a string"),
            ("[]", "missing value for required argument 0"),
            ("[null]", "missing value for required argument 0"),
            ("null", "missing value for required argument 0"),
            (r#"["0x02", null]"#, "too many arguments, want at most 1"),
            (r#"{"0": "0x02"}"#, "non-array args"),
            (r#""0x02""#, "non-array args"),
        ] {
            let error = read(params).map(|_| params).unwrap_err();
            assert_eq!((error.code, &*error.message), (INVALID_PARAMS, expected));
        }
        let error = Submitted::read(None).map(|_| ()).unwrap_err();
        assert_eq!(error.message, "missing value for required argument 0");
    }

    #[test]
    fn what_nobody_has_signed_has_no_signer() {
        for (params, expected) in [
            (r#"["0x"]"#, "typed transaction too short"),
            (r#"["0x02c0"]"#, "rlp: "),
            (r#"["0x7fc0"]"#, "transaction type not supported"),
        ] {
            let error = read(params).unwrap().signer().unwrap_err();
            assert_eq!(error.code, SERVER_ERROR);
            assert!(error.message.starts_with(expected), "{}", error.message);
        }
    }
}
