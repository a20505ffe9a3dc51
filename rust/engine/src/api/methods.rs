//! The table of methods: each stands here once.

use super::{Answer, Api, Cost, params::Params};

/// One method.
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) cost: Cost,
    pub(super) arguments_max: usize,
    pub(super) handler: fn(&Api, &Params<'_>) -> Answer,
}

/// Find a method by its name.
pub(super) fn find(name: &str) -> Option<&'static Method> {
    ALL.binary_search_by_key(&name, |method| method.name)
        .ok()
        .map(|index| &ALL[index])
}

const fn read(
    name: &'static str,
    arguments_max: usize,
    handler: fn(&Api, &Params<'_>) -> Answer,
) -> Method {
    Method {
        name,
        cost: Cost::Read,
        arguments_max,
        handler,
    }
}

const fn heavy(
    name: &'static str,
    arguments_max: usize,
    handler: fn(&Api, &Params<'_>) -> Answer,
) -> Method {
    Method {
        name,
        cost: Cost::Heavy,
        arguments_max,
        handler,
    }
}

/// The one method that writes; many calls of it can be answered together.
pub(super) const SUBMIT: &str = "eth_sendRawTransaction";
pub(super) const SUBMIT_ARGUMENTS: usize = 1;

/// Sorted by name, for the search.
pub(super) static ALL: &[Method] = &[
    read("debug_getRawBlock", 1, Api::get_raw_block),
    read("debug_getRawHeader", 1, Api::get_raw_header),
    read("debug_getRawReceipts", 1, Api::get_raw_receipts),
    read(
        "debug_getRawTransaction",
        1,
        Api::get_raw_transaction_by_hash,
    ),
    read("eth_accounts", 0, Api::accounts),
    read("eth_baseFee", 0, Api::base_fee),
    read("eth_blobBaseFee", 0, Api::blob_base_fee),
    read("eth_blockNumber", 0, Api::block_number),
    heavy("eth_call", 4, Api::eth_call),
    heavy("eth_capabilities", 0, Api::capabilities),
    read("eth_chainId", 0, Api::chain_id),
    read("eth_config", 0, Api::fork_config),
    heavy("eth_createAccessList", 3, Api::create_access_list),
    heavy("eth_estimateGas", 4, Api::estimate_gas),
    heavy("eth_feeHistory", 3, Api::fee_history),
    read("eth_gasPrice", 0, Api::gas_price),
    read("eth_getBalance", 2, Api::get_balance),
    read("eth_getBlockByHash", 2, Api::get_block_by_hash),
    read("eth_getBlockByNumber", 2, Api::get_block_by_number),
    heavy("eth_getBlockReceipts", 1, Api::get_block_receipts),
    read(
        "eth_getBlockTransactionCountByHash",
        1,
        Api::get_block_transaction_count_by_hash,
    ),
    read(
        "eth_getBlockTransactionCountByNumber",
        1,
        Api::get_block_transaction_count_by_number,
    ),
    read("eth_getCode", 2, Api::get_code),
    read("eth_getHeaderByHash", 1, Api::get_header_by_hash),
    read("eth_getHeaderByNumber", 1, Api::get_header_by_number),
    heavy("eth_getLogs", 1, Api::get_logs),
    heavy("eth_getProof", 3, Api::get_proof),
    read(
        "eth_getRawTransactionByBlockHashAndIndex",
        2,
        Api::get_raw_transaction_by_block_hash_and_index,
    ),
    read(
        "eth_getRawTransactionByBlockNumberAndIndex",
        2,
        Api::get_raw_transaction_by_block_number_and_index,
    ),
    read(
        "eth_getRawTransactionByHash",
        1,
        Api::get_raw_transaction_by_hash,
    ),
    read("eth_getStorageAt", 3, Api::get_storage_at),
    heavy("eth_getStorageValues", 2, Api::get_storage_values),
    read(
        "eth_getTransactionByBlockHashAndIndex",
        2,
        Api::get_transaction_by_block_hash_and_index,
    ),
    read(
        "eth_getTransactionByBlockNumberAndIndex",
        2,
        Api::get_transaction_by_block_number_and_index,
    ),
    read("eth_getTransactionByHash", 1, Api::get_transaction_by_hash),
    read("eth_getTransactionCount", 2, Api::get_transaction_count),
    read("eth_getTransactionReceipt", 1, Api::get_transaction_receipt),
    read(
        "eth_getUncleByBlockHashAndIndex",
        2,
        Api::get_uncle_by_hash_and_index,
    ),
    read(
        "eth_getUncleByBlockNumberAndIndex",
        2,
        Api::get_uncle_by_number_and_index,
    ),
    read(
        "eth_getUncleCountByBlockHash",
        1,
        Api::get_uncle_count_by_hash,
    ),
    read(
        "eth_getUncleCountByBlockNumber",
        1,
        Api::get_uncle_count_by_number,
    ),
    read("eth_maxPriorityFeePerGas", 0, Api::max_priority_fee_per_gas),
    Method {
        name: SUBMIT,
        cost: Cost::Write,
        arguments_max: SUBMIT_ARGUMENTS,
        handler: Api::send_raw_transaction,
    },
    read("eth_syncing", 0, Api::syncing),
    heavy("txpool_content", 0, Api::txpool_content),
    read("txpool_contentFrom", 1, Api::txpool_content_from),
    heavy("txpool_inspect", 0, Api::txpool_inspect),
    read("txpool_status", 0, Api::txpool_status),
    read("web3_clientVersion", 0, Api::client_version),
    read("web3_sha3", 1, Api::sha3),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_method_is_found() {
        assert!(ALL.is_sorted_by(|one, next| one.name < next.name));
        for method in ALL {
            assert_eq!(find(method.name).map(|found| found.name), Some(method.name));
        }
        assert!(find("eth_getbalance").is_none());
        assert!(find("").is_none());
    }

    #[test]
    fn the_reference_lists_every_method() {
        let reference = include_str!("../../../../docs/reference/json-rpc.md");
        for method in ALL {
            let written = format!("`{}`", method.name);
            assert!(reference.contains(&written), "{written} is missing");
        }
    }
}
