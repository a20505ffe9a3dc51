//! `eth_config` (EIP-7910): the rules now, after the next fork and after the last one.

use std::collections::BTreeMap;

use alloy_eips::eip7910::{EthConfig, EthForkConfig, SystemContract};
use alloy_genesis::ChainConfig;
use alloy_hardforks::EthereumHardforks as _;
use alloy_primitives::{B256, Bytes};
use revm::precompile::{PrecompileSpecId, Precompiles};

use super::{Answer, Api, RpcError, json, params::Params};

impl Api {
    pub(super) fn fork_config(&self, _: &Params<'_>) -> Answer {
        let header = |number| {
            let header = self.engine.store().header(number)?;
            header.ok_or_else(|| RpcError::internal(format!("block {number} has no header")))
        };
        let genesis = header(0)?;
        let now = header(self.engine.store().head().number)?.0.timestamp;
        let times = fork_times(self.engine.spec().config());
        let current = times.iter().rfind(|time| **time <= now).copied();
        let next = times.iter().find(|time| **time > now).copied();
        let describe = |time| self.rules_at(time, &genesis.1, genesis.0.timestamp);
        let current = current.and_then(describe).ok_or_else(|| {
            RpcError::server(
                "no fork with a blob schedule is active yet: eth_config starts with Cancun",
            )
        })?;
        json(&EthConfig {
            current,
            next: next.and_then(describe),
            last: next.and(times.last().copied()).and_then(describe),
        })
    }

    /// The rules of the fork that starts at `time`; `None` before blobs, for which the answer has no form.
    fn rules_at(&self, time: u64, genesis: &B256, genesis_time: u64) -> Option<EthForkConfig> {
        let spec = self.engine.spec();
        let header = alloy_consensus::Header {
            timestamp: time,
            number: u64::MAX,
            mix_hash: B256::ZERO,
            ..Default::default()
        };
        let rules = spec.evm_env(&header).cfg_env.spec;
        let precompiles = Precompiles::new(PrecompileSpecId::from_spec_id(rules));
        let mut contracts = BTreeMap::from(SystemContract::cancun());
        if spec.is_prague_active_at_timestamp(time) {
            contracts.extend(SystemContract::prague(Some(spec.deposit_contract)));
        }
        Some(EthForkConfig {
            activation_time: if time <= genesis_time { 0 } else { time },
            blob_schedule: spec.blob_params_at(time)?,
            chain_id: spec.chain_id,
            fork_id: fork_hash(spec.config(), genesis, genesis_time, time),
            precompiles: precompiles
                .inner()
                .iter()
                .map(|(address, precompile)| (precompile.id().name().to_owned(), *address))
                .collect(),
            system_contracts: contracts,
        })
    }
}

/// The times of the forks that have one, rising, each once.
fn fork_times(config: &ChainConfig) -> Vec<u64> {
    let mut times: Vec<u64> = [
        config.shanghai_time,
        config.cancun_time,
        config.prague_time,
        config.osaka_time,
        config.bpo1_time,
        config.bpo2_time,
    ]
    .into_iter()
    .flatten()
    .collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// The fork hash of EIP-2124 once the fork at `time` is active: blocks of forks first, then times after genesis.
fn fork_hash(config: &ChainConfig, genesis: &B256, genesis_time: u64, time: u64) -> Bytes {
    let mut blocks: Vec<u64> = [
        config.homestead_block,
        config.dao_fork_block.filter(|_| config.dao_fork_support),
        config.eip150_block,
        config.eip155_block,
        config.eip158_block,
        config.byzantium_block,
        config.constantinople_block,
        config.petersburg_block,
        config.istanbul_block,
        config.muir_glacier_block,
        config.berlin_block,
        config.london_block,
        config.arrow_glacier_block,
        config.gray_glacier_block,
        config.merge_netsplit_block,
    ]
    .into_iter()
    .flatten()
    .filter(|block| *block > 0)
    .collect();
    blocks.sort_unstable();
    blocks.dedup();
    let times = fork_times(config)
        .into_iter()
        .filter(|fork| *fork > genesis_time && *fork <= time);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(genesis.as_slice());
    for fork in blocks.into_iter().chain(times) {
        hasher.update(&fork.to_be_bytes());
    }
    Bytes::copy_from_slice(&hasher.finalize().to_be_bytes())
}
