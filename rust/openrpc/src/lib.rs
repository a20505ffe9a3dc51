//! What a JSON-RPC method takes and gives, said once beside its name, and the OpenRPC document made of it.
//!
//! A method is declared by its name, a signature such as `(address: Address, block?: BlockId) -> Quantity` and a sentence.
//! Types are names of `schemas.json`, with `[]` for arrays and `|` between alternatives; `null` is one. A `?` marks a
//! parameter that may be left out.
#![forbid(unsafe_code)]

mod signature;

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use self::signature::Signature;

/// The version of OpenRPC that documents follow.
const OPENRPC_VERSION: &str = "1.3.2";
/// JSON Schemas of everything that signatures name.
const SCHEMAS: &str = include_str!("schemas.json");

/// One method, declared where it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    pub name: Cow<'static, str>,
    /// What it takes and gives: `(address: Address, block?: BlockId) -> Quantity`.
    pub signature: Cow<'static, str>,
    /// What the result says, as a sentence.
    pub summary: Cow<'static, str>,
}

/// A declaration that cannot be read; a mistake in our own code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("method {method}, declared as {signature:?}: {reason}")]
pub struct Malformed {
    pub method: String,
    pub signature: String,
    pub reason: String,
}

impl Declaration {
    /// A declaration written in the code.
    pub const fn new(name: &'static str, signature: &'static str, summary: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            signature: Cow::Borrowed(signature),
            summary: Cow::Borrowed(summary),
        }
    }

    /// What stands before the first underscore of the name.
    pub fn namespace(&self) -> &str {
        let name = &*self.name;
        name.split_once('_')
            .map_or(name, |(namespace, _)| namespace)
    }

    fn method(&self, schemas: &Map<String, Value>) -> Result<Value, Malformed> {
        let malformed = |reason| Malformed {
            method: self.name.to_string(),
            signature: self.signature.to_string(),
            reason,
        };
        let signature = Signature::parse(&self.signature).map_err(malformed)?;
        if let Some(unknown) = signature.names().find(|name| !schemas.contains_key(*name)) {
            return Err(malformed(format!("no schema is called {unknown}")));
        }
        let params: Vec<Value> = signature
            .parameters
            .iter()
            .map(|parameter| {
                json!({
                    "name": parameter.name,
                    "required": parameter.is_required,
                    "schema": parameter.kind.schema(),
                })
            })
            .collect();
        Ok(json!({
            "name": self.name,
            "tags": [{"name": self.namespace()}],
            "summary": self.summary,
            "paramStructure": "by-position",
            "params": params,
            "result": {"name": "result", "schema": signature.result.schema()},
            "x-signature": self.signature,
        }))
    }
}

/// How many parameters a signature has.
pub const fn count_parameters(signature: &str) -> usize {
    let bytes = signature.as_bytes();
    let (mut count, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at] == b':' {
            count += 1;
        }
        at += 1;
    }
    count
}

/// The OpenRPC document of these methods, sorted by name.
pub fn document(declarations: &[Declaration]) -> Result<Value, Malformed> {
    let schemas = schemas()?;
    let mut sorted: Vec<&Declaration> = declarations.iter().collect();
    sorted.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let methods = sorted
        .into_iter()
        .map(|declaration| declaration.method(&schemas))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(json!({
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "Metanode JSON-RPC",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0"},
        },
        "methods": methods,
        "components": {"schemas": schemas},
    }))
}

fn schemas() -> Result<Map<String, Value>, Malformed> {
    serde_json::from_str(SCHEMAS).map_err(|error| Malformed {
        method: "all".to_owned(),
        signature: String::new(),
        reason: format!("schemas.json: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(signature: &'static str) -> Result<Value, Malformed> {
        document(&[Declaration::new("eth_thing", signature, "A thing.")])
    }

    #[test]
    fn a_signature_becomes_parameters_and_a_result() {
        let document =
            declared("(address: Address, block?: BlockId | null) -> Hash[] | null").unwrap();
        let method = &document["methods"][0];
        assert_eq!(method["name"], "eth_thing");
        assert_eq!(method["tags"][0]["name"], "eth");
        let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        assert_eq!(
            method["params"],
            json!([
                {"name": "address", "required": true, "schema": reference("Address")},
                {"name": "block", "required": false,
                 "schema": {"oneOf": [reference("BlockId"), {"type": "null"}]}},
            ])
        );
        assert_eq!(
            method["result"]["schema"],
            json!({"oneOf": [{"type": "array", "items": reference("Hash")}, {"type": "null"}]})
        );
    }

    #[test]
    fn a_declaration_that_names_nothing_is_refused() {
        for (signature, part) in [
            ("(a: Nonsense) -> Hash", "Nonsense"),
            ("(a: Hash) -> Nonsense[]", "Nonsense"),
            ("", "parenthesis"),
            ("(a: Hash)", "->"),
            ("(a) -> Hash", "a colon"),
            (
                "(a?: Hash, b: Hash) -> Hash",
                "after one that may be left out",
            ),
        ] {
            let error = declared(signature).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn parameters_are_counted_without_parsing() {
        for (signature, count) in [
            ("() -> Hash", 0),
            ("(a: Hash) -> Hash", 1),
            ("(a: Hash, b?: Hash[] | null) -> Hash", 2),
        ] {
            assert_eq!(count_parameters(signature), count);
            assert_eq!(Signature::parse(signature).unwrap().parameters.len(), count);
        }
    }

    #[test]
    fn every_reference_inside_the_schemas_leads_somewhere() {
        let schemas = schemas().unwrap();
        let mut references = Vec::new();
        collect_references(&Value::Object(schemas.clone()), &mut references);
        assert!(references.len() > 100, "{}", references.len());
        for reference in references {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
    }

    fn collect_references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    found.push(reference.clone());
                }
                fields
                    .values()
                    .for_each(|field| collect_references(field, found));
            }
            Value::Array(items) => items
                .iter()
                .for_each(|item| collect_references(item, found)),
            _ => {}
        }
    }
}
