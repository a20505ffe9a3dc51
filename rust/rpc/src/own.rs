//! What the server answers by itself: each method stands here once.

use openrpc::Declaration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    ClientVersion,
    Sha3,
    NetworkId,
    Listening,
    PeerCount,
    Modules,
    Discover,
    SendSync,
    NewFilter,
    NewBlockFilter,
    NewPendingFilter,
    FilterChanges,
    FilterLogs,
    UninstallFilter,
    Subscribe,
    Unsubscribe,
}

pub(crate) const OWN_METHODS: [(Own, Declaration); 16] = [
    (
        Own::ClientVersion,
        Declaration::new(
            "web3_clientVersion",
            "() -> Text",
            "`metanode/vVERSION-NETWORK/SYSTEM/pythonVERSION`.",
        ),
    ),
    (
        Own::Sha3,
        Declaration::new(
            "web3_sha3",
            "(data: Data) -> Hash",
            "keccak256 of the data.",
        ),
    ),
    (
        Own::NetworkId,
        Declaration::new("net_version", "() -> Text", "The chain id as decimal text."),
    ),
    (
        Own::Listening,
        Declaration::new(
            "net_listening",
            "() -> Boolean",
            "Whether the node takes connections of peers.",
        ),
    ),
    (
        Own::PeerCount,
        Declaration::new(
            "net_peerCount",
            "() -> Quantity64",
            "How many peers are connected.",
        ),
    ),
    (
        Own::Modules,
        Declaration::new(
            "rpc_modules",
            "() -> Modules",
            "The namespaces of this listener, each with its version.",
        ),
    ),
    (
        Own::Discover,
        Declaration::new(
            "rpc_discover",
            "() -> OpenRpcDocument",
            "The OpenRPC document of the methods that this listener offers.",
        ),
    ),
    (
        Own::SendSync,
        Declaration::new(
            "eth_sendRawTransactionSync",
            "(transaction: Data, timeoutMs?: QuantityOrNumber | null) -> Receipt",
            "Takes a signed transaction into the pool and waits until a block has it (EIP-7966); 20 s unless said otherwise, at most 60 s.",
        ),
    ),
    (
        Own::NewFilter,
        Declaration::new(
            "eth_newFilter",
            "(filter: LogFilter) -> Identifier",
            "A filter that keeps the matching logs of blocks after this one.",
        ),
    ),
    (
        Own::NewBlockFilter,
        Declaration::new(
            "eth_newBlockFilter",
            "() -> Identifier",
            "A filter that keeps the hashes of blocks after this one.",
        ),
    ),
    (
        Own::NewPendingFilter,
        Declaration::new(
            "eth_newPendingTransactionFilter",
            "(full?: Boolean | null) -> Identifier",
            "A filter that keeps transactions that become executable: their hashes, or whole.",
        ),
    ),
    (
        Own::FilterChanges,
        Declaration::new(
            "eth_getFilterChanges",
            "(filter: Identifier) -> Hash[] | Log[] | Transaction[]",
            "What the filter kept since it was asked last.",
        ),
    ),
    (
        Own::FilterLogs,
        Declaration::new(
            "eth_getFilterLogs",
            "(filter: Identifier) -> Log[]",
            "All logs that the filter's criteria match, as `eth_getLogs` gives them.",
        ),
    ),
    (
        Own::UninstallFilter,
        Declaration::new(
            "eth_uninstallFilter",
            "(filter: Identifier) -> Boolean",
            "Removes a filter; whether there was one.",
        ),
    ),
    (
        Own::Subscribe,
        Declaration::new(
            "eth_subscribe",
            "(name: SubscriptionName, option?: SubscriptionOption | null) -> Identifier",
            "Begins to notify this WebSocket connection.",
        ),
    ),
    (
        Own::Unsubscribe,
        Declaration::new(
            "eth_unsubscribe",
            "(subscription: Identifier) -> Boolean",
            "Ends a subscription of this connection.",
        ),
    ),
];

/// The declarations of all methods that the server answers by itself.
pub fn own_declarations() -> impl Iterator<Item = Declaration> {
    OWN_METHODS.into_iter().map(|(_, declaration)| declaration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_can_be_read() {
        let declared: Vec<_> = own_declarations().collect();
        assert!(openrpc::document(&declared).is_ok());
    }
}
