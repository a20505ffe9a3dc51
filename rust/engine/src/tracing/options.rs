//! Which tracer is asked for, with its settings.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Traced, Tracer,
    call::{CallOptions, CallTracer},
    flat::{FlatCallOptions, FlatCallTracer},
    four_byte::FourByteTracer,
    mux::MuxTracer,
    prestate::{PrestateOptions, PrestateTracer},
    struct_log::StructLogger,
};

pub(crate) use super::struct_log::StructLogOptions;

/// Tracers in one `muxTracer`, those inside another one included.
const MUX_TRACERS_MAX: usize = 16;
/// A name in an error is shown up to here.
const NAME_SHOWN_MAX: usize = 60;

/// A tracer that can be started on any number of transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TracerKind {
    StructLogs(StructLogOptions),
    Calls(CallOptions),
    FlatCalls(FlatCallOptions),
    Prestate(PrestateOptions),
    FourByte,
    Mux(BTreeMap<String, TracerKind>),
    Noop,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CallConfig {
    only_top_call: Option<bool>,
    with_log: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FlatCallConfig {
    convert_parity_errors: Option<bool>,
    include_precompiles: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PrestateConfig {
    diff_mode: Option<bool>,
    disable_code: Option<bool>,
    disable_storage: Option<bool>,
    include_empty: Option<bool>,
}

impl TracerKind {
    /// Find a tracer by its name. The error says what can be asked for.
    pub(crate) fn named(name: &str, config: Option<&RawValue>) -> Result<Self, String> {
        Self::find(name, config, &mut 0)
    }

    fn find(name: &str, config: Option<&RawValue>, in_mux: &mut usize) -> Result<Self, String> {
        Ok(match name {
            "callTracer" => {
                let config: CallConfig = read(name, config)?;
                Self::Calls(CallOptions {
                    only_top_call: config.only_top_call.unwrap_or_default(),
                    with_log: config.with_log.unwrap_or_default(),
                })
            }
            "flatCallTracer" => {
                let config: FlatCallConfig = read(name, config)?;
                Self::FlatCalls(FlatCallOptions {
                    convert_parity_errors: config.convert_parity_errors.unwrap_or_default(),
                    include_precompiles: config.include_precompiles.unwrap_or_default(),
                })
            }
            "prestateTracer" => {
                let config: PrestateConfig = read(name, config)?;
                let options = PrestateOptions {
                    diff_mode: config.diff_mode.unwrap_or_default(),
                    no_code: config.disable_code.unwrap_or_default(),
                    no_storage: config.disable_storage.unwrap_or_default(),
                    include_empty: config.include_empty.unwrap_or_default(),
                };
                if options.diff_mode && options.include_empty {
                    return Err("cannot use diffMode with includeEmpty".to_owned());
                }
                Self::Prestate(options)
            }
            "4byteTracer" => Self::FourByte,
            "muxTracer" => {
                let configs: BTreeMap<String, Box<RawValue>> = read(name, config)?;
                *in_mux += configs.len();
                if *in_mux > MUX_TRACERS_MAX {
                    return Err(format!(
                        "muxTracer: too many tracers, at most {MUX_TRACERS_MAX}"
                    ));
                }
                let tracers = configs.into_iter().map(|(name, config)| {
                    let kind = Self::find(&name, Some(&config), in_mux)?;
                    Ok((name, kind))
                });
                Self::Mux(tracers.collect::<Result<_, String>>()?)
            }
            "noopTracer" => Self::Noop,
            other => return Err(unknown(other)),
        })
    }

    /// Start on a transaction.
    pub(crate) fn start(&self, traced: &Traced) -> Tracer {
        match self {
            Self::StructLogs(options) => Tracer::StructLogs(StructLogger::new(*options)),
            Self::Calls(options) => Tracer::Calls(CallTracer::new(*options, traced)),
            Self::FlatCalls(options) => Tracer::FlatCalls(FlatCallTracer::new(*options, traced)),
            Self::Prestate(options) => Tracer::Prestate(PrestateTracer::new(*options, traced)),
            Self::FourByte => Tracer::FourByte(FourByteTracer::default()),
            Self::Mux(kinds) => Tracer::Mux(MuxTracer::new(
                kinds
                    .iter()
                    .map(|(name, kind)| (name.clone(), kind.start(traced)))
                    .collect(),
            )),
            Self::Noop => Tracer::Noop,
        }
    }
}

/// Settings of a tracer; none and `null` are its defaults.
fn read<'a, T: Default + Deserialize<'a>>(
    name: &str,
    config: Option<&'a RawValue>,
) -> Result<T, String> {
    match config.map(RawValue::get) {
        None | Some("null") => Ok(T::default()),
        // An array would be read as the fields in their order.
        Some(text) if !text.starts_with('{') => {
            Err(format!("{name}: tracerConfig: expected an object"))
        }
        Some(text) => {
            serde_json::from_str(text).map_err(|error| format!("{name}: tracerConfig: {error}"))
        }
    }
}

fn unknown(name: &str) -> String {
    let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
    format!(
        "tracer {shown:?} is not known: there are callTracer, flatCallTracer, prestateTracer, 4byteTracer, muxTracer, \
         noopTracer, and struct logs without a name; tracers in JavaScript are not run here"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, config: &str) -> Result<TracerKind, String> {
        let config = RawValue::from_string(config.to_owned()).expect("JSON");
        TracerKind::named(name, Some(&config))
    }

    #[test]
    fn tracers_are_found_by_name_with_their_settings() {
        let calls = |only_top_call, with_log| {
            Ok(TracerKind::Calls(CallOptions {
                only_top_call,
                with_log,
            }))
        };
        assert_eq!(TracerKind::named("callTracer", None), calls(false, false));
        assert_eq!(named("callTracer", "null"), calls(false, false));
        assert_eq!(
            named("callTracer", r#"{"withLog":true}"#),
            calls(false, true)
        );
        assert_eq!(
            named(
                "callTracer",
                r#"{"onlyTopCall":true,"withLog":null,"new":1}"#
            ),
            calls(true, false)
        );
        let mux = named("muxTracer", r#"{"4byteTracer":null,"noopTracer":{}}"#);
        let Ok(TracerKind::Mux(tracers)) = mux else {
            panic!("{mux:?}")
        };
        assert_eq!(tracers.len(), 2);
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        let javascript = "{data: [], fault: function(log) {}, step: function(log) {}}";
        let error = TracerKind::named(javascript, None).expect_err("no JavaScript");
        assert!(error.contains("JavaScript are not run here"), "{error}");
        assert!(error.len() < 400, "{error}");
        assert!(named("callTracer", r#"{"withLog":3}"#).is_err());
        for config in ["[]", "[true]", "\"x\"", "7"] {
            for name in [
                "callTracer",
                "flatCallTracer",
                "prestateTracer",
                "muxTracer",
            ] {
                let refused = format!("{name}: tracerConfig: expected an object");
                assert_eq!(named(name, config), Err(refused));
            }
        }
        assert_eq!(
            named("prestateTracer", r#"{"diffMode":true,"includeEmpty":true}"#),
            Err("cannot use diffMode with includeEmpty".to_owned())
        );
        let mut nested = "{}".to_owned();
        for _ in 0..100 {
            nested = format!(r#"{{"muxTracer":{nested}}}"#);
        }
        assert!(
            named("muxTracer", &nested)
                .expect_err("deep")
                .contains("too many")
        );
    }
}
