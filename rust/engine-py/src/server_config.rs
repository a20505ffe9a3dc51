//! The JSON in which Python hands over the configuration of the RPC server. Every key is known or refused.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use rpc::{Allowance, Limits, ListenerConfig, ListenerKind, Network, ServerConfig, StartError};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    listeners: Vec<ListenerSettings>,
    limits: LimitSettings,
    client_version: String,
    network_id: u64,
    worker_threads: usize,
    heavy_threads: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenerSettings {
    address: IpAddr,
    port: u16,
    private: bool,
    http: bool,
    websocket: bool,
    namespaces: Option<Vec<String>>,
    cors_origins: Vec<String>,
    websocket_origins: Option<Vec<String>>,
    hosts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitSettings {
    connections_max: usize,
    connections_per_address_max: u32,
    requests_per_address_per_second: Option<u32>,
    trusted_proxies: Vec<String>,
    body_bytes_max: usize,
    response_bytes_max: usize,
    batch_items_max: usize,
    #[serde(default)]
    forwarded_for: bool,
    #[serde(default)]
    allowance: Option<AllowanceSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowanceSettings {
    units_per_second: u32,
    burst_units: u32,
    weights: BTreeMap<String, u32>,
    calls_per_second: BTreeMap<String, u32>,
    units_per_second_of_all: u32,
}

impl AllowanceSettings {
    fn into_config(self) -> Allowance {
        Allowance {
            units_per_second: self.units_per_second,
            burst_units: self.burst_units,
            weights: self.weights,
            calls_per_second: self.calls_per_second,
            units_per_second_of_all: self.units_per_second_of_all,
        }
    }
}

impl Settings {
    pub(crate) fn decode(json: &[u8]) -> Result<ServerConfig, StartError> {
        let settings: Self = serde_json::from_slice(json)
            .map_err(|error| StartError::Configuration(format!("RPC server: {error}")))?;
        settings.into_config()
    }

    pub(crate) fn into_config(self) -> Result<ServerConfig, StartError> {
        let limits = self.limits;
        let trusted_proxies: Result<Vec<Network>, StartError> = limits
            .trusted_proxies
            .iter()
            .map(|text| text.parse())
            .collect();
        Ok(ServerConfig {
            listeners: self
                .listeners
                .into_iter()
                .map(ListenerSettings::into_config)
                .collect(),
            limits: Limits {
                connections_max: limits.connections_max,
                connections_per_address_max: limits.connections_per_address_max,
                requests_per_address_per_second: limits.requests_per_address_per_second,
                trusted_proxies: trusted_proxies?,
                body_bytes_max: limits.body_bytes_max,
                response_bytes_max: limits.response_bytes_max,
                batch_items_max: limits.batch_items_max,
                forwarded_for: limits.forwarded_for,
                allowance: limits.allowance.map(AllowanceSettings::into_config),
                ..Limits::default()
            },
            client_version: self.client_version,
            network_id: self.network_id,
            worker_threads: self.worker_threads,
            heavy_threads: self.heavy_threads,
            methods: None,
            is_gateway: false,
        })
    }
}

impl ListenerSettings {
    fn into_config(self) -> ListenerConfig {
        let kind = if self.private {
            ListenerKind::Private
        } else {
            ListenerKind::of(self.address)
        };
        ListenerConfig {
            address: SocketAddr::new(self.address, self.port),
            kind,
            http: self.http,
            websocket: self.websocket,
            namespaces: self.namespaces,
            cors_origins: self.cors_origins,
            websocket_origins: self.websocket_origins,
            hosts: self.hosts,
        }
    }
}
