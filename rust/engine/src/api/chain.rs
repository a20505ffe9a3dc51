//! What the node is: chain id, head, version, kept history.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, U64, keccak256};
use serde::Serialize;

use super::{Answer, Api, json, params::Params};

impl Api {
    pub(super) fn chain_id(&self, _: &Params<'_>) -> Answer {
        json(&U64::from(self.engine.spec().chain_id))
    }

    pub(super) fn block_number(&self, _: &Params<'_>) -> Answer {
        json(&U64::from(self.engine.store().head().number))
    }

    pub(super) fn syncing(&self, _: &Params<'_>) -> Answer {
        Ok(self.syncing.read().clone())
    }

    /// This node keeps no keys for others, so it manages no accounts.
    pub(super) fn accounts(&self, _: &Params<'_>) -> Answer {
        json::<[B256; 0]>(&[])
    }

    pub(super) fn client_version(&self, _: &Params<'_>) -> Answer {
        json(&self.client_version)
    }

    pub(super) fn sha3(&self, params: &Params<'_>) -> Answer {
        json(&keccak256(params.required::<Bytes>(0)?))
    }

    /// Which history this node can serve (execution-apis 755). Blocks, receipts and indexes are kept for ever, from the
    /// snapshot on that the node began from.
    pub(super) fn capabilities(&self, _: &Params<'_>) -> Answer {
        let head = self.engine.store().head();
        let first = self.engine.store().first_block();
        let whole = Resource::since(if first > 1 { first } else { 0 }, None);
        let window = self.engine.config().history_blocks;
        let state = Resource::since(self.engine.store().stats().oldest_state, window);
        json(&BTreeMap::from([
            (
                "head",
                Capability::Head {
                    number: U64::from(head.number),
                    hash: head.hash,
                },
            ),
            ("state", Capability::Resource(state.clone())),
            ("stateproofs", Capability::Resource(state)),
            ("tx", Capability::Resource(whole.clone())),
            ("logs", Capability::Resource(whole.clone())),
            ("receipts", Capability::Resource(whole.clone())),
            ("blocks", Capability::Resource(whole)),
        ]))
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Capability {
    Head { number: U64, hash: B256 },
    Resource(Resource),
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    disabled: bool,
    oldest_block: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_strategy: Option<DeleteStrategy>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeleteStrategy {
    r#type: &'static str,
    retention_blocks: U64,
}

impl Resource {
    fn since(oldest_block: u64, window: Option<u64>) -> Self {
        Self {
            disabled: false,
            oldest_block: U64::from(oldest_block),
            delete_strategy: window.map(|blocks| DeleteStrategy {
                r#type: "window",
                retention_blocks: U64::from(blocks),
            }),
        }
    }
}
