//! Which methods a listener offers, and to which browsers it talks.

use std::net::IpAddr;

use crate::config::{ListenerConfig, ListenerKind};
use crate::error::StartError;

/// Namespaces of listeners that anybody may reach.
const PUBLIC_NAMESPACES: [&str; 5] = ["eth", "net", "web3", "rpc", "ibft"];
/// Namespaces for the people and programs of this machine.
const LOOPBACK_NAMESPACES: [&str; 10] = [
    "eth", "net", "web3", "rpc", "txpool", "debug", "trace", "ots", "erigon", "ibft",
];
/// Of namespaces that everybody reads, the methods that change what this node does.
const OPERATOR_METHODS: [&str; 2] = ["ibft_proposeValidatorVote", "ibft_discardValidatorVote"];
/// The namespace that is the operator's as a whole.
const OPERATOR_NAMESPACE: &str = "admin";

/// The namespace of a method: what stands before the first underscore.
pub(crate) fn namespace(method: &str) -> &str {
    method
        .split_once('_')
        .map_or(method, |(namespace, _)| namespace)
}

/// The namespaces a listener serves, sorted.
pub(crate) fn namespaces(config: &ListenerConfig) -> Vec<String> {
    let mut served: Vec<String> = match (&config.namespaces, config.kind) {
        (Some(chosen), _) => chosen.clone(),
        (None, ListenerKind::Public) => PUBLIC_NAMESPACES.map(str::to_owned).to_vec(),
        (None, ListenerKind::Loopback) => LOOPBACK_NAMESPACES.map(str::to_owned).to_vec(),
        (None, ListenerKind::Private) => LOOPBACK_NAMESPACES
            .iter()
            .chain(&[OPERATOR_NAMESPACE])
            .map(|name| (*name).to_owned())
            .collect(),
    };
    served.sort_unstable();
    served.dedup();
    served
}

/// Whether a listener of this kind that serves `namespaces` offers `method`.
pub(crate) fn is_offered(method: &str, kind: ListenerKind, namespaces: &[String]) -> bool {
    let for_operators =
        OPERATOR_METHODS.contains(&method) || namespace(method) == OPERATOR_NAMESPACE;
    (!for_operators || kind == ListenerKind::Private)
        && namespaces.iter().any(|one| one == namespace(method))
}

/// Refuses listeners that would be open in a way nobody can mean.
pub(crate) fn validate_listener(config: &ListenerConfig) -> Result<(), StartError> {
    let address = config.address;
    let wrong = |what: &str| {
        Err(StartError::Configuration(format!(
            "RPC listener {address}: {what}"
        )))
    };
    if !config.http && !config.websocket {
        return wrong("serves neither HTTP nor WebSocket");
    }
    let names_admin = config
        .namespaces
        .iter()
        .flatten()
        .any(|name| name == OPERATOR_NAMESPACE);
    if names_admin && config.kind != ListenerKind::Private {
        return wrong("the namespace \"admin\" is served on a private listener only");
    }
    if config.kind == ListenerKind::Private {
        if !address.ip().is_loopback() {
            return wrong("a private listener must have a loopback address");
        }
        if config
            .cors_origins
            .iter()
            .chain(config.websocket_origins.iter().flatten())
            .next()
            .is_some()
        {
            return wrong("a private listener serves no web origins");
        }
    }
    if config.kind == ListenerKind::Loopback && !address.ip().is_loopback() {
        return wrong("is declared loopback, but others can reach its address");
    }
    Ok(())
}

/// Web origins or host names that are accepted.
#[derive(Debug, Clone)]
pub(crate) struct AllowList {
    any: bool,
    names: Vec<String>,
}

impl AllowList {
    pub(crate) fn new(names: &[String]) -> Self {
        let any = names.iter().any(|name| name == "*");
        Self {
            any,
            names: names
                .iter()
                .map(|name| name.trim_end_matches('/').to_ascii_lowercase())
                .collect(),
        }
    }

    pub(crate) fn is_any(&self) -> bool {
        self.any
    }

    pub(crate) fn allows(&self, name: &str) -> bool {
        self.any || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Whether a Host header names this server: a listed name, or an address, which no DNS record can point elsewhere.
    pub(crate) fn allows_host(&self, header: &str) -> bool {
        let name = match header.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
            None => header.rsplit_once(':').map_or(header, |(name, _)| name),
        };
        name.parse::<IpAddr>().is_ok()
            || (!name.is_empty() && self.allows(name.trim_end_matches('.')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str) -> ListenerConfig {
        ListenerConfig::new(address.parse().unwrap())
    }

    #[test]
    fn namespaces_follow_who_can_reach_the_listener() {
        let mut private = listener("127.0.0.1:0");
        private.kind = ListenerKind::Private;
        let mut chosen = listener("0.0.0.0:0");
        chosen.namespaces = Some(vec!["eth".to_owned(), "debug".to_owned()]);
        let (loopback, public) = (listener("[::1]:0"), listener("192.0.2.1:0"));
        for (method, expected) in [
            ("eth_call", [true, true, true, true]),
            ("net_version", [true, true, true, false]),
            ("debug_traceCall", [false, true, true, true]),
            ("txpool_content", [false, true, true, false]),
            ("ibft_getPendingVotes", [true, true, true, false]),
            ("ibft_proposeValidatorVote", [false, false, true, false]),
            ("ibft_discardValidatorVote", [false, false, true, false]),
            ("admin_peers", [false, false, true, false]),
            ("personal_sign", [false, false, false, false]),
        ] {
            let offered = [&public, &loopback, &private, &chosen]
                .map(|config| is_offered(method, config.kind, &namespaces(config)));
            assert_eq!(offered, expected, "{method}");
        }
    }

    #[test]
    fn listeners_that_are_too_open_are_refused() {
        let good = listener("127.0.0.1:0");
        assert!(validate_listener(&good).is_ok());
        let private = ListenerConfig {
            kind: ListenerKind::Private,
            ..good.clone()
        };
        assert!(validate_listener(&private).is_ok());
        for (bad, part) in [
            (
                ListenerConfig {
                    http: false,
                    websocket: false,
                    ..good.clone()
                },
                "neither",
            ),
            (
                ListenerConfig {
                    namespaces: Some(vec!["admin".to_owned()]),
                    ..good.clone()
                },
                "admin",
            ),
            (
                ListenerConfig {
                    kind: ListenerKind::Private,
                    ..listener("0.0.0.0:0")
                },
                "loopback address",
            ),
            (
                ListenerConfig {
                    kind: ListenerKind::Loopback,
                    ..listener("0.0.0.0:0")
                },
                "others can reach",
            ),
            (
                ListenerConfig {
                    cors_origins: vec!["*".to_owned()],
                    ..private.clone()
                },
                "web origins",
            ),
        ] {
            let error = validate_listener(&bad).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn hosts_are_listed_names_and_literal_addresses() {
        let hosts = AllowList::new(&["localhost".to_owned(), "rpc.example.org".to_owned()]);
        for (header, expected) in [
            ("localhost", true),
            ("LOCALHOST:8545", true),
            ("rpc.example.org:443", true),
            ("rpc.example.org.", true),
            ("127.0.0.1:8545", true),
            ("[::1]:8545", true),
            ("[::1]", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("evil.example:8545", false),
            ("127.0.0.1.evil.example", false),
            ("[evil]:1", false),
            ("", false),
        ] {
            assert_eq!(hosts.allows_host(header), expected, "{header}");
        }
        assert!(AllowList::new(&["*".to_owned()]).allows_host("evil.example"));
    }
}
