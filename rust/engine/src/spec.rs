//! The chain's rules by block: fork times and blob parameters, from a geth-format genesis.

/// Fork times and constants of one chain.
#[derive(Debug, Clone)]
pub struct ChainSpec {
    pub chain_id: u64,
}
