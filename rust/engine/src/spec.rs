//! The chain's rules by block: fork activations and blob parameters, read from a geth-format genesis.
//!
//! Frontier to Osaka and the first two blob-parameter forks can be expressed. Amsterdam and later are refused, because
//! their rules were still moving when this was written.

use alloy_eips::{eip1559::BaseFeeParams, eip7594::MAX_BLOBS_PER_TX_FUSAKA, eip7840::BlobParams};
use alloy_evm::{EvmEnv, eth::spec::EthExecutorSpec};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, U256};

use crate::{EngineError, Result, instructions::set_constantinople};

/// The least gas limit of a block; source: `GAS_LIMIT_MINIMUM`, execution-specs.
pub const GAS_LIMIT_MINIMUM: u64 = 5_000;
/// The largest gas limit of a block: clients hold it in a signed 64-bit number.
pub const GAS_LIMIT_MAXIMUM: u64 = i64::MAX as u64;
/// Largest `extraData`, in bytes.
pub const EXTRA_DATA_BYTES_MAX: usize = 32;
/// Largest RLP of a block from Osaka on, in bytes: 10 MiB less a margin of 2 MiB for the consensus layer (EIP-7934).
pub const BLOCK_BYTES_MAX: usize = 8 << 20;

/// Fork times and constants of one chain.
#[derive(Debug, Clone)]
pub struct ChainSpec {
    pub chain_id: u64,
    /// Where EIP-6110 deposits are read from; the zero address, where the genesis names none, as geth has it.
    pub deposit_contract: Address,
    /// Whether the genesis has an account with storage but neither code nor nonce: only then EIP-7610 needs a look.
    pub(crate) has_storage_without_code: bool,
    config: ChainConfig,
    paris: Option<u64>,
    cancun_blobs: BlobParams,
    prague_blobs: BlobParams,
    osaka_blobs: BlobParams,
    bpo1_blobs: BlobParams,
    bpo2_blobs: BlobParams,
}

impl ChainSpec {
    /// Read the `config` of a genesis; fails on forks out of order, on unknown forks and on an unusable blob schedule.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self> {
        let config = genesis.config.clone();
        validate_fork_order(&config)?;
        let blobs = |fork: &str, default: BlobParams| blob_params(&config, fork, default);
        let osaka = blobs("osaka", BlobParams::osaka())?;
        Ok(Self {
            chain_id: config.chain_id,
            deposit_contract: config.deposit_contract_address.unwrap_or_default(),
            has_storage_without_code: genesis.alloc.values().any(is_storage_without_code),
            paris: paris_block(genesis),
            cancun_blobs: blobs("cancun", BlobParams::cancun())?,
            prague_blobs: blobs("prague", BlobParams::prague())?,
            osaka_blobs: with_osaka_rules(osaka),
            bpo1_blobs: with_osaka_rules(blobs("bpo1", BlobParams::bpo1())?),
            bpo2_blobs: with_osaka_rules(blobs("bpo2", BlobParams::bpo2())?),
            config,
        })
    }

    /// The `config` object of the genesis, for reports such as `eth_config`.
    pub fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// Whether every block after genesis follows the rules of proof of stake headers.
    pub fn is_merged_from_genesis(&self) -> bool {
        self.paris.is_some_and(|block| block <= 1)
    }

    pub fn base_fee_params(&self) -> BaseFeeParams {
        BaseFeeParams::ethereum()
    }

    /// Blob limits of a block with this timestamp; `None` before Cancun.
    pub fn blob_params_at(&self, timestamp: u64) -> Option<BlobParams> {
        let is_active = |time: Option<u64>| time.is_some_and(|time| timestamp >= time);
        if is_active(self.config.bpo2_time) {
            Some(self.bpo2_blobs)
        } else if is_active(self.config.bpo1_time) {
            Some(self.bpo1_blobs)
        } else if self.is_osaka_active_at_timestamp(timestamp) {
            Some(self.osaka_blobs)
        } else if self.is_prague_active_at_timestamp(timestamp) {
            Some(self.prague_blobs)
        } else if self.is_cancun_active_at_timestamp(timestamp) {
            Some(self.cancun_blobs)
        } else {
            None
        }
    }

    /// Fails when the chain merges, but the genesis does not say at which block: the difficulties are not added up here.
    pub fn validate_merge_block(&self) -> Result<()> {
        match self.config.terminal_total_difficulty {
            Some(total) if self.paris.is_none() => Err(EngineError::InvalidInput(format!(
                "genesis: config.terminalTotalDifficulty is {total}, but config.mergeNetsplitBlock, the first block after it, is not set"
            ))),
            _ => Ok(()),
        }
    }

    /// The environment in which the transactions of `header` run.
    pub fn evm_env(&self, header: &alloy_consensus::Header) -> EvmEnv {
        let mut env = EvmEnv::for_eth_block(
            header,
            self,
            self.chain_id,
            self.blob_params_at(header.timestamp),
        );
        if self.is_constantinople_alone(header.number) {
            set_constantinople(&mut env);
        }
        env
    }

    /// Whether a block is under Constantinople before Petersburg took EIP-1283 back, which no public chain ever was for long.
    pub(crate) fn is_constantinople_alone(&self, number: u64) -> bool {
        self.is_constantinople_active_at_block(number)
            && !self.is_petersburg_active_at_block(number)
    }
}

impl EthereumHardforks for ChainSpec {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        use EthereumHardfork as F;
        let config = &self.config;
        let block = |number: Option<u64>| number.map_or(ForkCondition::Never, ForkCondition::Block);
        let time = |time: Option<u64>| time.map_or(ForkCondition::Never, ForkCondition::Timestamp);
        match fork {
            F::Frontier => ForkCondition::ZERO_BLOCK,
            F::Homestead => block(config.homestead_block),
            // Its only rule is a change of state, which is made before the block's transactions: see `proof_of_work`. The
            // executor would make it after them.
            F::Dao => ForkCondition::Never,
            F::Tangerine => block(config.eip150_block),
            F::SpuriousDragon => block(config.eip155_block.max(config.eip158_block)),
            F::Byzantium => block(config.byzantium_block),
            F::Constantinople => block(config.constantinople_block),
            F::Petersburg => block(config.petersburg_block),
            F::Istanbul => block(config.istanbul_block),
            F::MuirGlacier => block(config.muir_glacier_block),
            F::Berlin => block(config.berlin_block),
            F::London => block(config.london_block),
            F::ArrowGlacier => block(config.arrow_glacier_block),
            F::GrayGlacier => block(config.gray_glacier_block),
            F::Paris => self
                .paris
                .map_or(ForkCondition::Never, |number| ForkCondition::TTD {
                    activation_block_number: number,
                    fork_block: None,
                    total_difficulty: config.terminal_total_difficulty.unwrap_or_default(),
                }),
            F::Shanghai => time(config.shanghai_time),
            F::Cancun => time(config.cancun_time),
            F::Prague => time(config.prague_time),
            F::Osaka => time(config.osaka_time),
            F::Bpo1 => time(config.bpo1_time),
            F::Bpo2 => time(config.bpo2_time),
            // Amsterdam and everything after it is refused when the genesis is read.
            _ => ForkCondition::Never,
        }
    }
}

impl EthExecutorSpec for ChainSpec {
    fn deposit_contract_address(&self) -> Option<Address> {
        Some(self.deposit_contract)
    }
}

fn is_storage_without_code(account: &GenesisAccount) -> bool {
    let has_storage = account
        .storage
        .as_ref()
        .is_some_and(|slots| slots.values().any(|value| !value.is_zero()));
    let has_code = account.code.as_ref().is_some_and(|code| !code.is_empty());
    has_storage && !has_code && account.nonce.unwrap_or_default() == 0
}

/// The first block under proof of stake rules, where the genesis says it.
fn paris_block(genesis: &Genesis) -> Option<u64> {
    let config = &genesis.config;
    let terminal = config.terminal_total_difficulty?;
    if terminal == U256::ZERO {
        Some(0)
    } else if genesis.difficulty >= terminal {
        Some(1)
    } else {
        config.merge_netsplit_block
    }
}

/// Forks have an order: one that is set needs all before it, at the same point or earlier.
fn validate_fork_order(config: &ChainConfig) -> Result<()> {
    let later = [
        ("bpo3Time", config.bpo3_time),
        ("bpo4Time", config.bpo4_time),
        ("bpo5Time", config.bpo5_time),
        ("amsterdamTime", config.amsterdam_time),
        ("bogotaTime", config.bogota_time),
    ];
    if let Some((name, _)) = later.iter().find(|(_, time)| time.is_some()) {
        return Err(EngineError::InvalidInput(format!(
            "genesis: config.{name} is set, but this engine knows the forks up to Osaka and BPO2"
        )));
    }
    let blocks = [
        ("homesteadBlock", config.homestead_block),
        ("eip150Block", config.eip150_block),
        ("eip155Block", config.eip155_block),
        ("eip158Block", config.eip158_block),
        ("byzantiumBlock", config.byzantium_block),
        ("constantinopleBlock", config.constantinople_block),
        ("petersburgBlock", config.petersburg_block),
        ("istanbulBlock", config.istanbul_block),
        ("berlinBlock", config.berlin_block),
        ("londonBlock", config.london_block),
    ];
    let times = [
        ("shanghaiTime", config.shanghai_time),
        ("cancunTime", config.cancun_time),
        ("pragueTime", config.prague_time),
        ("osakaTime", config.osaka_time),
    ];
    let parameter_times = [
        ("osakaTime", config.osaka_time),
        ("bpo1Time", config.bpo1_time),
        ("bpo2Time", config.bpo2_time),
    ];
    validate_order(&blocks)?;
    validate_order(&times)?;
    validate_order(&parameter_times[..])?;
    if config.shanghai_time.is_some() && config.london_block.is_none() {
        return Err(EngineError::InvalidInput(
            "genesis: config.shanghaiTime is set, but config.londonBlock is not".into(),
        ));
    }
    Ok(())
}

fn validate_order(forks: &[(&str, Option<u64>)]) -> Result<()> {
    for pair in forks.windows(2) {
        let [(earlier, before), (later, after)] = pair else {
            continue;
        };
        match (before, after) {
            (None, Some(_)) => {
                return Err(EngineError::InvalidInput(format!(
                    "genesis: config.{later} is set, but config.{earlier} is not"
                )));
            }
            (Some(before), Some(after)) if after < before => {
                return Err(EngineError::InvalidInput(format!(
                    "genesis: config.{later} is {after}, before config.{earlier} {before}"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

fn blob_params(config: &ChainConfig, fork: &str, default: BlobParams) -> Result<BlobParams> {
    let params = config.blob_schedule.get(fork).copied().unwrap_or(default);
    // A zero maximum divides by zero in the excess formula of EIP-7918, in every client.
    if params.max_blob_count == 0
        || params.target_blob_count > params.max_blob_count
        || params.update_fraction == 0
        || params.max_blob_count > 1_024
    {
        return Err(EngineError::InvalidInput(format!(
            "genesis: config.blobSchedule.{fork} has target {}, max {}, baseFeeUpdateFraction {}; \
             expected 1 <= max <= 1024, target <= max and a fraction over 0",
            params.target_blob_count, params.max_blob_count, params.update_fraction
        )));
    }
    Ok(params)
}

/// Osaka adds the reserve price of EIP-7918 and the cap per transaction of EIP-7594, which the schedule does not carry.
fn with_osaka_rules(params: BlobParams) -> BlobParams {
    BlobParams {
        blob_base_cost: alloy_eips::eip7840::BLOB_BASE_COST,
        max_blobs_per_tx: params.max_blob_count.min(MAX_BLOBS_PER_TX_FUSAKA),
        ..params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(config: serde_json::Value) -> Result<ChainSpec> {
        let mut all = serde_json::json!({
            "chainId": 1337, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0,
            "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
            "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 0
        });
        for (key, value) in config.as_object().unwrap() {
            if value.is_null() {
                all.as_object_mut().unwrap().remove(key);
            } else {
                all[key] = value.clone();
            }
        }
        let genesis = serde_json::from_value(serde_json::json!({ "config": all })).unwrap();
        ChainSpec::from_genesis(&genesis)
    }

    #[test]
    fn osaka_from_genesis_activates_everything_up_to_it() {
        let spec = spec(serde_json::json!({})).unwrap();
        assert!(spec.is_merged_from_genesis());
        for fork in EthereumHardfork::VARIANTS {
            let expected = *fork <= EthereumHardfork::Osaka
                && !matches!(
                    fork,
                    EthereumHardfork::Dao
                        | EthereumHardfork::MuirGlacier
                        | EthereumHardfork::ArrowGlacier
                        | EthereumHardfork::GrayGlacier
                );
            let condition = spec.ethereum_fork_activation(*fork);
            assert_eq!(
                condition.active_at_timestamp_or_number(0, 0),
                expected,
                "{fork:?}"
            );
        }
    }

    #[test]
    fn blob_parameters_follow_the_schedule() {
        let spec = spec(serde_json::json!({
            "cancunTime": 10, "pragueTime": 20, "osakaTime": 30, "bpo1Time": 40, "bpo2Time": 50,
            "blobSchedule": { "prague": { "target": 5, "max": 8, "baseFeeUpdateFraction": 99 } }
        }))
        .unwrap();
        assert_eq!(spec.blob_params_at(9), None);
        assert_eq!(spec.blob_params_at(10), Some(BlobParams::cancun()));
        let prague = spec.blob_params_at(29).unwrap();
        assert_eq!(
            (
                prague.target_blob_count,
                prague.max_blob_count,
                prague.update_fraction
            ),
            (5, 8, 99)
        );
        assert_eq!((prague.blob_base_cost, prague.max_blobs_per_tx), (0, 8));
        assert_eq!(spec.blob_params_at(30), Some(BlobParams::osaka()));
        assert_eq!(spec.blob_params_at(49), Some(BlobParams::bpo1()));
        assert_eq!(spec.blob_params_at(50), Some(BlobParams::bpo2()));
    }

    #[test]
    fn a_genesis_that_cannot_be_followed_is_refused_by_name() {
        for (config, expected) in [
            (
                serde_json::json!({ "amsterdamTime": 5 }),
                "config.amsterdamTime is set",
            ),
            (
                serde_json::json!({ "bpo3Time": 5 }),
                "config.bpo3Time is set",
            ),
            (
                serde_json::json!({ "cancunTime": null }),
                "config.pragueTime is set, but config.cancunTime is not",
            ),
            (
                serde_json::json!({ "pragueTime": 9, "osakaTime": 8 }),
                "config.osakaTime is 8, before config.pragueTime 9",
            ),
            (
                serde_json::json!({ "berlinBlock": null }),
                "config.londonBlock is set, but config.berlinBlock is not",
            ),
            (
                serde_json::json!({ "berlinBlock": null, "londonBlock": null }),
                "config.londonBlock is not",
            ),
            (
                serde_json::json!({ "osakaTime": null, "bpo1Time": 3 }),
                "config.bpo1Time is set, but config.osakaTime is not",
            ),
            (
                serde_json::json!({ "blobSchedule": { "osaka": { "target": 0, "max": 0, "baseFeeUpdateFraction": 1 } } }),
                "config.blobSchedule.osaka has target 0, max 0",
            ),
        ] {
            let error = spec(config).unwrap_err().to_string();
            assert!(
                error.contains(expected),
                "{error:?} should contain {expected:?}"
            );
        }
    }

    #[test]
    fn the_merge_is_where_the_genesis_puts_it() {
        let spec_with = |difficulty: u64, config: serde_json::Value| {
            let genesis: Genesis = serde_json::from_value(serde_json::json!({
                "difficulty": format!("{difficulty:#x}"), "config": config
            }))
            .unwrap();
            ChainSpec::from_genesis(&genesis).unwrap()
        };
        assert_eq!(
            spec_with(
                0,
                serde_json::json!({ "chainId": 1, "terminalTotalDifficulty": 0 })
            )
            .paris,
            Some(0)
        );
        assert_eq!(
            spec_with(
                8,
                serde_json::json!({ "chainId": 1, "terminalTotalDifficulty": 8 })
            )
            .paris,
            Some(1)
        );
        let later = spec_with(
            8,
            serde_json::json!({ "chainId": 1, "terminalTotalDifficulty": 9, "mergeNetsplitBlock": 7 }),
        );
        assert_eq!(later.paris, Some(7));
        assert!(!later.is_merged_from_genesis());
        assert_eq!(
            spec_with(8, serde_json::json!({ "chainId": 1 })).paris,
            None
        );
    }
}
