//! Genesis: the header exactly as geth computes it, and the checked allocation.

use alloy_consensus::{Header, constants::EMPTY_WITHDRAWALS};
use alloy_eips::{
    eip1559::INITIAL_BASE_FEE, eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, B256};

use crate::{
    Block, ChainSpec, EngineError, Result,
    spec::{EXTRA_DATA_BYTES_MAX, GAS_LIMIT_MAXIMUM, GAS_LIMIT_MINIMUM},
    store::Store,
};

/// Largest excess blob gas that a genesis may start with: far beyond any payable fee, and small enough for the fee formula.
const EXCESS_BLOB_GAS_MAX: u64 = 1 << 30;

/// The system contracts, by EIP, and whether Cancun (else Prague) brings them.
const SYSTEM_CONTRACTS: [(&str, Address, bool); 4] = [
    ("4788 (beacon roots)", BEACON_ROOTS_ADDRESS, true),
    ("2935 (block hashes)", HISTORY_STORAGE_ADDRESS, false),
    (
        "7002 (withdrawal requests)",
        WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
        false,
    ),
    (
        "7251 (consolidation requests)",
        CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
        false,
    ),
];

/// A genesis that was read and checked.
#[derive(Debug, Clone)]
pub struct GenesisBlock {
    pub spec: ChainSpec,
    pub block: Block,
    pub alloc: Vec<(Address, GenesisAccount)>,
}

impl GenesisBlock {
    /// Read a geth-format genesis; errors name the field.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_slice(json).map_err(invalid)?;
        // geth refuses a genesis without these; a default would silently give another chain.
        for field in ["config", "gasLimit", "difficulty", "alloc"] {
            if value.get(field).is_none_or(serde_json::Value::is_null) {
                return Err(EngineError::InvalidInput(format!(
                    "genesis: field {field:?} is missing"
                )));
            }
        }
        if value["config"].get("chainId").is_none() {
            return Err(EngineError::InvalidInput(
                "genesis: field \"config.chainId\" is missing".into(),
            ));
        }
        let genesis: Genesis = serde_json::from_slice(json).map_err(invalid)?;
        Self::from_genesis(genesis)
    }

    fn from_genesis(genesis: Genesis) -> Result<Self> {
        validate_fields(&genesis)?;
        let spec = ChainSpec::from_genesis(&genesis)?;
        validate_system_contracts(&spec, &genesis)?;
        let alloc: Vec<_> = genesis
            .alloc
            .iter()
            .map(|(address, account)| (*address, account.clone()))
            .collect();
        let header = genesis_header(&spec, &genesis, Store::genesis_root(&alloc));
        let block = Block::from_parts(
            header,
            Vec::new(),
            Vec::new(),
            Vec::new(),
            Default::default(),
        );
        Ok(Self { spec, block, alloc })
    }
}

fn invalid(error: serde_json::Error) -> EngineError {
    EngineError::InvalidInput(format!("genesis: {error}"))
}

fn validate_fields(genesis: &Genesis) -> Result<()> {
    let fail = |text: String| Err(EngineError::InvalidInput(format!("genesis: {text}")));
    if genesis.config.chain_id == 0 {
        return fail("config.chainId is 0; expected 1 or more".into());
    }
    if !(GAS_LIMIT_MINIMUM..=GAS_LIMIT_MAXIMUM).contains(&genesis.gas_limit) {
        return fail(format!(
            "gasLimit is {}; expected {GAS_LIMIT_MINIMUM} or more",
            genesis.gas_limit
        ));
    }
    if genesis.extra_data.len() > EXTRA_DATA_BYTES_MAX {
        return fail(format!(
            "extraData has {} bytes; expected {EXTRA_DATA_BYTES_MAX} or fewer",
            genesis.extra_data.len()
        ));
    }
    if genesis.number.unwrap_or_default() != 0 {
        return fail(format!(
            "number is {}; expected 0",
            genesis.number.unwrap_or_default()
        ));
    }
    if genesis
        .base_fee_per_gas
        .is_some_and(|fee| fee > u128::from(u64::MAX))
    {
        return fail("baseFeePerGas is over 64 bits".into());
    }
    if genesis
        .excess_blob_gas
        .is_some_and(|excess| excess > EXCESS_BLOB_GAS_MAX)
    {
        return fail(format!("excessBlobGas is over {EXCESS_BLOB_GAS_MAX}"));
    }
    Ok(())
}

/// The system contracts must be there before the fork that calls them.
///
/// EIP-7002 and EIP-7251 make every block invalid while their code is missing, and without the other two a call that
/// tools rely on would silently do nothing.
fn validate_system_contracts(spec: &ChainSpec, genesis: &Genesis) -> Result<()> {
    for (name, address, cancun) in SYSTEM_CONTRACTS {
        let is_active = if cancun {
            spec.is_cancun_active_at_timestamp(genesis.timestamp)
        } else {
            spec.is_prague_active_at_timestamp(genesis.timestamp)
        };
        let has_code = genesis
            .alloc
            .get(&address)
            .and_then(|account| account.code.as_ref())
            .is_some_and(|code| !code.is_empty());
        if is_active && !has_code {
            return Err(EngineError::InvalidInput(format!(
                "genesis: alloc has no code at {address}, the system contract of EIP-{name}, whose fork is active from genesis"
            )));
        }
    }
    Ok(())
}

/// The header as geth's `Genesis.ToBlock` makes it: each fork that is active at genesis adds its fields.
fn genesis_header(spec: &ChainSpec, genesis: &Genesis, state_root: B256) -> Header {
    let timestamp = genesis.timestamp;
    let is_london = spec.is_london_active_at_block(0);
    let is_shanghai = is_london && spec.is_shanghai_active_at_timestamp(timestamp);
    let is_cancun = is_london && spec.is_cancun_active_at_timestamp(timestamp);
    let is_prague = is_london && spec.is_prague_active_at_timestamp(timestamp);
    let base_fee = genesis
        .base_fee_per_gas
        .and_then(|fee| u64::try_from(fee).ok())
        .unwrap_or(INITIAL_BASE_FEE);
    Header {
        parent_hash: genesis.parent_hash.unwrap_or_default(),
        beneficiary: genesis.coinbase,
        state_root,
        difficulty: genesis.difficulty,
        number: 0,
        gas_limit: genesis.gas_limit,
        timestamp,
        extra_data: genesis.extra_data.clone(),
        mix_hash: genesis.mix_hash,
        nonce: genesis.nonce.into(),
        base_fee_per_gas: is_london.then_some(base_fee),
        withdrawals_root: is_shanghai.then_some(EMPTY_WITHDRAWALS),
        parent_beacon_block_root: is_cancun.then_some(B256::ZERO),
        blob_gas_used: is_cancun.then(|| genesis.blob_gas_used.unwrap_or_default()),
        excess_blob_gas: is_cancun.then(|| genesis.excess_blob_gas.unwrap_or_default()),
        requests_hash: is_prague.then_some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}
