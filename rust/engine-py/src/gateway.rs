//! The gateway as a Python object.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use engine::api::Api;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rpc::gateway::{Gateway, GatewayConfig, NodeAddress, SenderRate, Timing};
use rpc::{Limits, StartError, own_declarations};
use serde::Deserialize;
use serde_json::json;

use crate::declarations::{Declared, declarations};
use crate::server::to_python;
use crate::server_config::Settings;

/// One JSON-RPC endpoint before several nodes. Answers without the GIL; stops when dropped.
#[pyclass(frozen, module = "metanode._engine")]
pub(crate) struct RpcGateway(Gateway);

/// The JSON in which Python hands over the configuration. Every key is known or refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewaySettings {
    server: Settings,
    nodes: Vec<String>,
    methods: BTreeSet<String>,
    chain_id: u64,
    lag_blocks_max: u64,
    log_blocks_max: u64,
    copies_of_writes: usize,
    sender_rate: Option<SenderRateSettings>,
    calls_max: usize,
    call_timeout_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SenderRateSettings {
    transactions_per_minute: u32,
    burst_transactions: u32,
}

#[pymethods]
impl RpcGateway {
    /// Listens and serves. `methods`, each (name, signature, summary), describes what nodes answer beside the engine's.
    #[staticmethod]
    fn start(py: Python<'_>, config: &[u8], methods: Vec<Declared>) -> PyResult<Self> {
        let config = decode(config, methods).map_err(to_python)?;
        py.detach(|| Gateway::start(config))
            .map(Self)
            .map_err(to_python)
    }

    /// Where it listens, in the order of the configuration: (address, port).
    fn addresses(&self) -> Vec<(String, u16)> {
        let address = |address: &SocketAddr| (address.ip().to_string(), address.port());
        self.0.addresses().iter().map(address).collect()
    }

    /// The counters as JSON: `calls` of the server, and `nodes`.
    fn statistics(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        let encoded = py.detach(|| {
            serde_json::to_vec(&json!({"calls": self.0.calls(), "network": self.0.statistics()}))
        });
        encoded.map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// Stops listening, lets open requests end within three seconds, closes everything.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}

fn decode(json: &[u8], methods: Vec<Declared>) -> Result<GatewayConfig, StartError> {
    let settings: GatewaySettings = serde_json::from_slice(json)
        .map_err(|error| StartError::Configuration(format!("gateway: {error}")))?;
    let nodes: Result<Vec<NodeAddress>, StartError> =
        settings.nodes.iter().map(|text| text.parse()).collect();
    let mut server = settings.server.into_config()?;
    server.methods = Some(settings.methods);
    let call = Duration::from_millis(settings.call_timeout_ms);
    let timing = Timing {
        call,
        first_attempt: call.mul_f64(0.4),
        ..Timing::default()
    };
    // Longer than a call takes, and than anybody waits for a transaction's block.
    server.limits.outside_timeout = call.max(Limits::default().outside_timeout) * 7;
    Ok(GatewayConfig {
        server,
        nodes: nodes?,
        chain_id: settings.chain_id,
        declarations: Api::declarations()
            .cloned()
            .chain(own_declarations())
            .chain(declarations(methods))
            .collect(),
        lag_blocks_max: settings.lag_blocks_max,
        log_blocks_max: settings.log_blocks_max,
        copies_of_writes: settings.copies_of_writes,
        sender_rate: settings.sender_rate.map(|rate| SenderRate {
            transactions_per_minute: rate.transactions_per_minute,
            burst_transactions: rate.burst_transactions,
        }),
        calls_max: settings.calls_max,
        timing,
    })
}
