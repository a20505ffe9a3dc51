//! Positional parameters: cut apart without allocation, then read strictly, with geth's error texts.
//!
//! A QUANTITY has no leading zeros and is hexadecimal, DATA has whole bytes, and nothing is guessed. Missing and `null`
//! mean the same. The texts of hexadecimal errors are geth's, without the names of Go types.

use std::{
    borrow::Cow,
    fmt::{self, Display},
    marker::PhantomData,
};

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use super::{Caller, RpcError};

/// No method takes more.
const ARGUMENTS_MAX: usize = 4;

/// The arguments of one request, as slices of its JSON.
#[derive(Debug, Clone)]
pub(super) struct Params<'a> {
    items: [&'a str; ARGUMENTS_MAX],
    count: usize,
    caller: Caller,
}

impl<'a> Params<'a> {
    /// Cut the array apart. `params` is known to be valid JSON.
    pub(super) fn parse(params: Option<&'a RawValue>, at_most: usize) -> Result<Self, RpcError> {
        debug_assert!(at_most <= ARGUMENTS_MAX);
        let mut parsed = Self {
            items: [""; ARGUMENTS_MAX],
            count: 0,
            caller: Caller::default(),
        };
        let Some(text) = params.map(|raw| raw.get().trim()) else {
            return Ok(parsed);
        };
        if text == "null" {
            return Ok(parsed);
        }
        let Some(inner) = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        else {
            return Err(RpcError::invalid_params("non-array args"));
        };
        for item in elements(inner) {
            if parsed.count == at_most {
                return Err(RpcError::invalid_params(format!(
                    "too many arguments, want at most {at_most}"
                )));
            }
            parsed.items[parsed.count] = item;
            parsed.count += 1;
        }
        Ok(parsed)
    }

    /// The same arguments, of a caller who may go away.
    pub(super) fn of(self, caller: Caller) -> Self {
        Self { caller, ..self }
    }

    /// Who asked.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Read argument `index`, which must be there.
    pub(super) fn required<T: Argument>(&self, index: usize) -> Result<T, RpcError> {
        self.optional(index)?.ok_or_else(|| {
            RpcError::invalid_params(format!("missing value for required argument {index}"))
        })
    }

    /// Read argument `index`; `None` when it is missing or `null`.
    pub(super) fn optional<T: Argument>(&self, index: usize) -> Result<Option<T>, RpcError> {
        match self.items[..self.count].get(index) {
            None | Some(&"null") => Ok(None),
            Some(json) => T::read(json).map(Some).map_err(|error| {
                RpcError::invalid_params(format!("invalid argument {index}: {error}"))
            }),
        }
    }
}

/// The elements between the brackets of a valid JSON array.
fn elements(inner: &str) -> impl Iterator<Item = &str> {
    let mut rest = inner.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        let mut end = rest.len();
        for (position, byte) in rest.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    end = position;
                    break;
                }
                _ => {}
            }
        }
        let item = rest[..end].trim();
        rest = rest.get(end + 1..).unwrap_or("").trim_start();
        Some(item)
    })
}

/// A value that can be an argument. The error is a clause that follows "invalid argument 0: ".
pub(super) trait Argument: Sized {
    fn read(json: &str) -> Result<Self, String>;
}

/// The content of a JSON string.
fn text(json: &str) -> Result<Cow<'_, str>, String> {
    match json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        None => Err(format!("expected a string, found {}", shown(json))),
        Some(body) if !body.contains('\\') => Ok(Cow::Borrowed(body)),
        Some(_) => serde_json::from_str(json)
            .map(Cow::Owned)
            .map_err(|error| plain(&error)),
    }
}

/// What was found, short enough for an error text.
fn shown(json: &str) -> String {
    const SHOWN_MAX: usize = 40;
    if json.len() <= SHOWN_MAX {
        return json.to_owned();
    }
    let kept: String = json.chars().take(SHOWN_MAX).collect();
    format!("{kept}...")
}

/// serde's text without the position, which would be one inside the argument, and without the megabytes that it may
/// repeat of what it was given.
pub(super) fn plain(error: &serde_json::Error) -> String {
    const PLAIN_CHARS_MAX: usize = 200;
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(head, _)| head);
    match text.char_indices().nth(PLAIN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn digits(text: &str) -> Result<&str, &'static str> {
    if text.is_empty() {
        return Err("empty hex string");
    }
    text.strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .ok_or("hex string without 0x prefix")
}

fn quantity_digits<'a>(
    text: &'a str,
    digits_max: usize,
    too_large: &'static str,
) -> Result<&'a str, &'static str> {
    let digits = digits(text)?;
    if digits.is_empty() {
        return Err("hex string \"0x\"");
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err("hex number with leading zero digits");
    }
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("invalid hex string");
    }
    if digits.len() > digits_max {
        return Err(too_large);
    }
    Ok(digits)
}

pub(super) fn parse_u64(text: &str) -> Result<u64, &'static str> {
    const TOO_LARGE: &str = "hex number > 64 bits";
    let digits = quantity_digits(text, 16, TOO_LARGE)?;
    u64::from_str_radix(digits, 16).map_err(|_| TOO_LARGE)
}

pub(super) fn parse_u256(text: &str) -> Result<U256, &'static str> {
    const TOO_LARGE: &str = "hex number > 256 bits";
    let digits = quantity_digits(text, 64, TOO_LARGE)?;
    U256::from_str_radix(digits, 16).map_err(|_| TOO_LARGE)
}

/// Read exactly `N` bytes; `what` names them in the error.
pub(super) fn parse_fixed<const N: usize>(text: &str, what: &str) -> Result<[u8; N], String> {
    let digits = digits(text)?;
    if digits.len() % 2 == 1 {
        return Err("hex string of odd length".to_owned());
    }
    if digits.len() != 2 * N {
        return Err(format!(
            "hex string has length {}, want {} for {what}",
            digits.len(),
            2 * N
        ));
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| "invalid hex string")?;
    Ok(bytes)
}

/// As in geth, a text of nothing is no bytes.
fn parse_data(text: &str) -> Result<Bytes, &'static str> {
    if text.is_empty() {
        return Ok(Bytes::new());
    }
    let digits = digits(text)?;
    if digits.len() % 2 == 1 {
        return Err("hex string of odd length");
    }
    // The decoder takes a prefix of its own: "0x0x01" would be one byte here, and nothing for whoever read it before.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("invalid hex string");
    }
    hex::decode(digits)
        .map(Bytes::from)
        .map_err(|_| "invalid hex string")
}

impl Argument for Address {
    fn read(json: &str) -> Result<Self, String> {
        parse_fixed(&text(json)?, "an address").map(Self::new)
    }
}

impl Argument for B256 {
    fn read(json: &str) -> Result<Self, String> {
        parse_fixed(&text(json)?, "a hash").map(Self::new)
    }
}

impl Argument for Bytes {
    fn read(json: &str) -> Result<Self, String> {
        parse_data(&text(json)?).map_err(str::to_owned)
    }
}

impl Argument for bool {
    fn read(json: &str) -> Result<Self, String> {
        match json {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("expected true or false, found {}", shown(other))),
        }
    }
}

impl Argument for String {
    fn read(json: &str) -> Result<Self, String> {
        text(json).map(Cow::into_owned)
    }
}

impl<T: Argument> Argument for Vec<T> {
    fn read(json: &str) -> Result<Self, String> {
        let inner = json
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .ok_or_else(|| format!("expected an array, found {}", shown(json)))?;
        elements(inner).map(T::read).collect()
    }
}

/// A QUANTITY of at most 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantity(pub(super) u64);

impl Argument for Quantity {
    fn read(json: &str) -> Result<Self, String> {
        parse_u64(&text(json)?).map(Self).map_err(str::to_owned)
    }
}

/// A count that older clients send as a JSON number or as decimal text (the first argument of eth_feeHistory).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HexOrDecimal(pub(super) u64);

impl Argument for HexOrDecimal {
    fn read(json: &str) -> Result<Self, String> {
        let text = if json.starts_with('"') {
            text(json)?
        } else {
            Cow::Borrowed(json)
        };
        let parsed = match digits(&text) {
            // The standard library takes a sign too.
            _ if text.contains('+') => None,
            Ok(digits) => u64::from_str_radix(digits, 16).ok(),
            Err(_) => text.parse().ok(),
        };
        parsed
            .map(Self)
            .ok_or_else(|| format!("invalid hex or decimal integer {}", shown(json)))
    }
}

impl Argument for f64 {
    fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| plain(&error))
    }
}

/// Wrap a parser of text as serde needs it for the fields of objects.
macro_rules! field {
    ($name:ident, $inner:ty, $what:literal, $parse:expr) => {
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $name(pub(super) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str($what)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        let parse: fn(&str) -> Result<$inner, String> = $parse;
                        parse(text).map($name).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

field!(U64Field, u64, "a hex quantity", |text| parse_u64(text)
    .map_err(str::to_owned));
field!(U256Field, U256, "a hex quantity", |text| parse_u256(text)
    .map_err(str::to_owned));
field!(DataField, Bytes, "hex data", |text| parse_data(text)
    .map_err(str::to_owned));
field!(AddressField, Address, "an address", |text| parse_fixed(
    text,
    "an address"
)
.map(Address::new));
field!(HashField, B256, "a hash", |text| parse_fixed(
    text, "a hash"
)
.map(B256::new));

/// An object inside an argument: a list, which serde would take for the fields in their order, is refused.
#[derive(Debug, Clone, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(fields))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// Read an object whose fields are checked by serde; `what` starts the error.
pub(super) fn object<'a, T: Deserialize<'a>>(
    json: &'a str,
    what: impl Display,
) -> Result<T, String> {
    if !json.starts_with('{') {
        return Err(format!("expected {what}, found {}", shown(json)));
    }
    serde_json::from_str(json).map_err(|error| plain(&error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    /// Parse `params` as a method with one required and one optional argument does.
    fn read<T: Argument, U: Argument>(params: &str) -> Result<(T, Option<U>), RpcError> {
        let params = raw(params);
        let params = Params::parse(Some(&params), 2)?;
        Ok((params.required(0)?, params.optional(1)?))
    }

    fn error<T: Argument + std::fmt::Debug>(params: &str) -> String {
        let error = read::<T, bool>(params)
            .map(|(value, _)| value)
            .expect_err(params);
        assert_eq!(error.code, -32602, "{params}");
        error.message
    }

    #[test]
    fn arguments_are_counted_and_typed_with_geths_words() {
        let cases = [
            ("[]", "missing value for required argument 0"),
            ("[null]", "missing value for required argument 0"),
            ("null", "missing value for required argument 0"),
            ("{}", "non-array args"),
            (r#"{"address":"0x00"}"#, "non-array args"),
            (
                r#"["0x0000000000000000000000000000000000000001",true,1]"#,
                "too many arguments, want at most 2",
            ),
            ("[5]", "invalid argument 0: expected a string, found 5"),
            ("[{}]", "invalid argument 0: expected a string, found {}"),
            (r#"[""]"#, "invalid argument 0: empty hex string"),
            (
                r#"["00"]"#,
                "invalid argument 0: hex string without 0x prefix",
            ),
            (r#"["0x0"]"#, "invalid argument 0: hex string of odd length"),
            (
                r#"["0x00"]"#,
                "invalid argument 0: hex string has length 2, want 40 for an address",
            ),
            (
                r#"["0x00000000000000000000000000000000000000zz"]"#,
                "invalid argument 0: invalid hex string",
            ),
            (
                r#"["0x0000000000000000000000000000000000000001", "yes"]"#,
                "invalid argument 1: expected true or false, found \"yes\"",
            ),
        ];
        for (params, expected) in cases {
            assert_eq!(error::<Address>(params), expected, "{params}");
        }
    }

    #[test]
    fn a_quantity_is_hex_without_leading_zeros() {
        let cases = [
            (r#"["0x"]"#, "hex string \"0x\""),
            (r#"["0x00"]"#, "hex number with leading zero digits"),
            (r#"["0x01"]"#, "hex number with leading zero digits"),
            (r#"["1"]"#, "hex string without 0x prefix"),
            (r#"["0xg"]"#, "invalid hex string"),
            (r#"["0x+1"]"#, "invalid hex string"),
            (r#"["0x1ffffffffffffffff"]"#, "hex number > 64 bits"),
            ("[1]", "expected a string, found 1"),
        ];
        for (params, expected) in cases {
            assert_eq!(
                error::<Quantity>(params),
                format!("invalid argument 0: {expected}"),
                "{params}"
            );
        }
        assert_eq!(Quantity::read(r#""0x0""#), Ok(Quantity(0)));
        assert_eq!(Quantity::read(r#""0XfF""#), Ok(Quantity(255)));
        assert_eq!(
            Quantity::read(r#""0xffffffffffffffff""#),
            Ok(Quantity(u64::MAX))
        );
    }

    #[test]
    fn data_has_one_prefix_and_whole_bytes() {
        let cases = [
            (r#"["0x0x01"]"#, "invalid hex string"),
            (r#"["0X0x01"]"#, "invalid hex string"),
            (r#"["0x0X01"]"#, "invalid hex string"),
            (r#"["0x0x"]"#, "invalid hex string"),
            (r#"["0x0x1"]"#, "hex string of odd length"),
            (r#"["0x1"]"#, "hex string of odd length"),
            (r#"["0x01  "]"#, "invalid hex string"),
            (r#"[" 0x01"]"#, "hex string without 0x prefix"),
            (r#"["01"]"#, "hex string without 0x prefix"),
        ];
        for (params, expected) in cases {
            assert_eq!(
                error::<Bytes>(params),
                format!("invalid argument 0: {expected}"),
                "{params}"
            );
        }
        assert!(serde_json::from_str::<DataField>(r#""0x0x01""#).is_err());
        for (json, expected) in [
            (r#""0x""#, &[] as &[u8]),
            (r#""""#, &[]),
            (r#""0XaBcD""#, &[0xab, 0xcd]),
            (r#""\u0030x01""#, &[1]),
        ] {
            assert_eq!(
                Bytes::read(json),
                Ok(Bytes::from_static(expected)),
                "{json}"
            );
        }
    }

    #[test]
    fn a_count_may_be_a_number_or_text_in_either_base() {
        for (json, expected) in [
            ("5", Some(5)),
            (r#""5""#, Some(5)),
            (r#""0x5""#, Some(5)),
            ("-1", None),
            ("1.5", None),
            (r#""five""#, None),
        ] {
            assert_eq!(HexOrDecimal::read(json).ok(), expected.map(HexOrDecimal));
        }
    }

    #[test]
    fn what_was_found_is_cut_in_the_error() {
        let long = format!("[[{}]]", vec!["1"; 100_000].join(","));
        let text = error::<Address>(&long);
        assert!(text.len() < 120, "{text}");
        let long = format!(r#"[{{"accessList":"{}"}}]"#, "x".repeat(100_000));
        let text = error::<super::super::call::CallRequest>(&long);
        assert!(text.len() < 300, "{text}");
    }

    #[test]
    fn commas_and_brackets_inside_strings_and_objects_do_not_split() {
        let params = raw(r#" [ {"a":[1,{"b":"],"}]} , "x,\"]y" ] "#);
        let params = Params::parse(Some(&params), 2).expect("two arguments");
        assert_eq!(params.items[0], r#"{"a":[1,{"b":"],"}]}"#);
        assert_eq!(params.required::<String>(1), Ok(r#"x,"]y"#.to_owned()));
    }

    proptest! {
        #[test]
        fn elements_are_those_that_serde_finds(values in prop::collection::vec(value(), 0..6)) {
            let json = serde_json::Value::Array(values.clone()).to_string();
            let inner = &json[1..json.len() - 1];
            let found: Vec<serde_json::Value> = elements(inner)
                .map(|item| serde_json::from_str(item).expect("JSON"))
                .collect();
            prop_assert_eq!(found, values);
        }

        #[test]
        fn a_written_quantity_is_read_back(number: u64) {
            prop_assert_eq!(Quantity::read(&format!("\"{number:#x}\"")), Ok(Quantity(number)));
        }
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map(".*", inner, 0..4)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }
}
