//! Bounds of what one request may cost. Each has its precedent in a client of today.

use std::time::Duration;

use alloy_primitives::U256;

/// What one request may ask for.
#[derive(Debug, Clone)]
pub struct ApiLimits {
    /// Wall time for code that a request runs, all its runs together (geth: 5 s).
    pub call_timeout: Duration,
    /// Accounts and slots in one state override.
    pub override_entries_max: usize,
    /// Distance between the two ends of eth_getLogs.
    pub log_blocks_max: u64,
    /// Logs in one answer (reth: 20,000).
    pub logs_max: usize,
    /// Addresses, and topics at one position, of a filter (geth: 1,000).
    pub log_criteria_max: usize,
    /// Wall time for a search of logs or fees through old blocks.
    pub scan_timeout: Duration,
    /// Blocks of one eth_feeHistory (geth: 1,024).
    pub fee_history_blocks_max: u64,
    /// Storage keys of one eth_getProof (geth: 1,024).
    pub proof_keys_max: usize,
    /// Slots of one eth_getStorageValues (geth: 1,024).
    pub storage_values_max: usize,
    /// Most that a submitted transaction may pay for gas, in wei; a guard against slips (geth: 1 ether).
    pub fee_cap_wei: U256,
    /// Wall time for the trace of one transaction, unless the caller says otherwise (geth: 5 s).
    pub trace_timeout: Duration,
    /// The most that a caller can ask for, and the most for all traces of one request: less than a caller waits.
    pub trace_timeout_max: Duration,
    /// Bytes of all traces of one request; an answer cannot be larger.
    pub trace_bytes_max: usize,
    /// Blocks of one trace_filter (reth: 100).
    pub trace_filter_blocks_max: u64,
    /// Calls of one trace_callMany.
    pub trace_calls_max: usize,
    /// Wall time for making the pending block; what has no place until then is left out. Short, because nobody asked for a block, and
    /// who asks for a balance waits for it.
    pub pending_timeout: Duration,
    /// How long a pending block answers (geth: 2 s). Half a slot, so that a wallet sees what it has sent before the next block has it.
    pub pending_age_max: Duration,
    /// JSON of recent blocks to keep, in bytes.
    pub block_cache_bytes: u64,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(5),
            override_entries_max: 4_096,
            log_blocks_max: 2_000,
            logs_max: 10_000,
            log_criteria_max: 1_000,
            scan_timeout: Duration::from_secs(5),
            fee_history_blocks_max: 1_024,
            proof_keys_max: 1_024,
            storage_values_max: 1_024,
            fee_cap_wei: U256::from(1_000_000_000_000_000_000_u128),
            trace_timeout: Duration::from_secs(5),
            trace_timeout_max: Duration::from_secs(25),
            trace_bytes_max: 10 << 20,
            trace_filter_blocks_max: 100,
            trace_calls_max: 100,
            pending_timeout: Duration::from_millis(200),
            pending_age_max: Duration::from_secs(1),
            block_cache_bytes: 32 << 20,
        }
    }
}
