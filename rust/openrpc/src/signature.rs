//! Signatures: `(name: Type, other?: Type[] | null) -> Type`.

use serde_json::{Value, json};

/// A signature taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature<'a> {
    pub(crate) parameters: Vec<Parameter<'a>>,
    pub(crate) result: Type<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter<'a> {
    pub(crate) name: &'a str,
    pub(crate) is_required: bool,
    pub(crate) kind: Type<'a>,
}

/// Alternatives, each a name with so many pairs of brackets behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Type<'a>(Vec<(&'a str, usize)>);

impl<'a> Signature<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let rest = text.strip_prefix('(').ok_or("no opening parenthesis")?;
        let (inside, rest) = rest.split_once(')').ok_or("no closing parenthesis")?;
        let result = rest
            .trim()
            .strip_prefix("->")
            .ok_or("no -> before the result")?;
        let parameters: Vec<Parameter<'a>> = inside
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(Parameter::parse)
            .collect::<Result<_, _>>()?;
        let is_misplaced = |pair: &&[Parameter<'_>]| pair[1].is_required && !pair[0].is_required;
        if let Some(pair) = parameters.windows(2).find(is_misplaced) {
            return Err(format!(
                "{} is required after one that may be left out",
                pair[1].name
            ));
        }
        Ok(Self {
            parameters,
            result: Type::parse(result)?,
        })
    }

    /// The schemas it names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        let types = self.parameters.iter().map(|parameter| &parameter.kind);
        types
            .chain([&self.result])
            .flat_map(|kind| &kind.0)
            .map(|(name, _)| *name)
            .filter(|name| *name != "null")
    }
}

impl<'a> Parameter<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let (name, kind) = text.split_once(':').ok_or("a parameter without a colon")?;
        let name = name.trim();
        Ok(Self {
            name: name.trim_end_matches('?'),
            is_required: !name.ends_with('?'),
            kind: Type::parse(kind)?,
        })
    }
}

impl<'a> Type<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let alternatives = text.split('|').map(|alternative| {
            let mut name = alternative.trim();
            let mut depth = 0;
            while let Some(inner) = name.strip_suffix("[]") {
                name = inner;
                depth += 1;
            }
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(format!("{alternative:?} is no type"));
            }
            Ok((name, depth))
        });
        alternatives.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn schema(&self) -> Value {
        let mut schemas: Vec<Value> = self.0.iter().map(|one| alternative(*one)).collect();
        match schemas.len() {
            1 => schemas.remove(0),
            _ => json!({"oneOf": schemas}),
        }
    }
}

fn alternative((name, depth): (&str, usize)) -> Value {
    let named = match name {
        "null" => json!({"type": "null"}),
        name => json!({"$ref": format!("#/components/schemas/{name}")}),
    };
    (0..depth).fold(named, |items, _| json!({"type": "array", "items": items}))
}
