//! `eth_estimateGas`: the least gas with which a transaction succeeds, found by trying.

use alloy_consensus::constants::EIP1559_TX_TYPE_ID;
use alloy_eips::{eip4844::DATA_GAS_PER_BLOB, eip7825::MAX_TX_GAS_LIMIT_OSAKA};
use alloy_primitives::{U64, U256};
use revm::{
    context::TxEnv,
    context_interface::result::{ExecutionResult, HaltReason, InvalidTransaction},
    primitives::hardfork::SpecId,
};

use super::{
    Answer, Api, RpcError,
    call::{CallRequest, Failure, Session},
    json,
    params::Params,
};

/// Gas of a transfer that runs no code.
const TRANSFER_GAS: u64 = 21_000;
/// What a call with value gives its callee for nothing, and needs first.
const CALL_STIPEND: u64 = 2_300;
/// The search ends when the bounds are within this share of each other, counted upwards (geth: 1.5 %).
const TOLERANCE_PER_MILLE: u64 = 15;

impl Api {
    pub(super) fn estimate_gas(&self, params: &Params<'_>) -> Answer {
        let request = params.required::<CallRequest>(0)?;
        let mut session = self.session(params)?;
        json(&U64::from(Estimate::new(&mut session, &request)?.run()?))
    }
}

/// How one attempt ended.
enum Attempt {
    Succeeded(ExecutionResult),
    /// With more gas it might succeed, or, at the most gas there is, this is why not.
    Failed(Option<ExecutionResult>),
}

struct Estimate<'a> {
    session: &'a mut Session,
    transaction: TxEnv,
    /// Most gas that the transaction can have and its sender can pay.
    gas_max: u64,
}

impl<'a> Estimate<'a> {
    fn new(session: &'a mut Session, request: &CallRequest) -> Result<Self, RpcError> {
        let transaction = session.transaction(request, u64::MAX)?;
        let mut gas_max = request
            .gas()
            .filter(|gas| *gas >= TRANSFER_GAS)
            .unwrap_or(session.env.block_env.gas_limit);
        if session.env.cfg_env.spec.is_enabled_in(SpecId::OSAKA) {
            gas_max = gas_max.min(MAX_TX_GAS_LIMIT_OSAKA);
        }
        if let Some(affordable) = affordable_gas(session, &transaction)? {
            gas_max = gas_max.min(affordable);
        }
        Ok(Self {
            gas_max: gas_max.min(session.gas_max),
            session,
            transaction,
        })
    }

    fn run(mut self) -> Result<u64, RpcError> {
        if let Some(gas) = self.plain_transfer()? {
            return Ok(gas);
        }
        let most = self.gas_max;
        let result = match self.attempt(most)? {
            Attempt::Succeeded(result) => result,
            Attempt::Failed(why) => return Err(failure(why, most, self.session)),
        };
        // What it used is too little where gas is refunded or a call may take only 63/64 of what is left.
        let used = result.gas().total_gas_spent().max(result.tx_gas_used());
        let mut low = result.tx_gas_used().saturating_sub(1);
        let mut high = most;
        let likely = used.saturating_add(CALL_STIPEND).saturating_mul(64) / 63;
        if likely < high {
            self.narrow(likely, &mut low, &mut high)?;
        }
        while low + 1 < high && (high - low) * 1_000 >= high * TOLERANCE_PER_MILLE {
            // Most transactions need little more than they use: look near the lower bound first.
            let middle = (low + (high - low) / 2).min(low.saturating_mul(2).max(low + 1));
            self.narrow(middle, &mut low, &mut high)?;
        }
        Ok(high)
    }

    /// A transfer to an account without code costs what it uses: one attempt tells.
    fn plain_transfer(&mut self) -> Result<Option<u64>, RpcError> {
        let Some(to) = self.transaction.kind.to().copied() else {
            return Ok(None);
        };
        if !self.transaction.data.is_empty()
            || self.gas_max < TRANSFER_GAS
            || self.session.has_code(to)?
        {
            return Ok(None);
        }
        match self.attempt(TRANSFER_GAS) {
            Ok(Attempt::Succeeded(result)) => Ok(Some(result.tx_gas_used())),
            Ok(Attempt::Failed(_)) | Err(_) => Ok(None),
        }
    }

    /// Try `gas` and move the bound that it settles.
    fn narrow(&mut self, gas: u64, low: &mut u64, high: &mut u64) -> Result<(), RpcError> {
        match self.attempt(gas)? {
            Attempt::Succeeded(_) => *high = gas,
            Attempt::Failed(_) => *low = gas,
        }
        Ok(())
    }

    fn attempt(&mut self, gas: u64) -> Result<Attempt, RpcError> {
        let transaction = TxEnv {
            gas_limit: gas,
            ..self.transaction.clone()
        };
        match self.session.run(transaction) {
            Ok(result) if result.is_success() => Ok(Attempt::Succeeded(result)),
            Ok(result) => Ok(Attempt::Failed(Some(result))),
            Err(Failure::Refused {
                error:
                    InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                    | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
                ..
            }) => Ok(Attempt::Failed(None)),
            Err(failure) => {
                Err(failure.into_error(|text| format!("failed with {gas} gas: {text}")))
            }
        }
    }
}

/// Why the transaction fails with all the gas there is.
fn failure(result: Option<ExecutionResult>, gas: u64, session: &Session) -> RpcError {
    match result {
        Some(ExecutionResult::Revert { output, .. }) => {
            RpcError::reverted(&output, session.caller()).unwrap_or_else(|no_room| no_room)
        }
        Some(ExecutionResult::Halt { reason, .. })
            // As in go-ethereum, where an opcode whose price cannot be told is out of gas.
            if !matches!(
                reason,
                HaltReason::OutOfGas(_) | HaltReason::CreateInitCodeSizeLimit
            ) =>
        {
            RpcError::server(session.halt_text(&reason))
        }
        _ => RpcError::server(format!("gas required exceeds allowance ({gas})")),
    }
}

/// How much gas the sender can pay for at the offered price; `None` when no price is offered.
fn affordable_gas(session: &mut Session, transaction: &TxEnv) -> Result<Option<u64>, RpcError> {
    if transaction.gas_price == 0 {
        return Ok(None);
    }
    let mut available = session.balance(transaction.caller)?;
    if transaction.value >= available {
        return Err(RpcError::server("insufficient funds for transfer"));
    }
    available -= transaction.value;
    if transaction.tx_type > EIP1559_TX_TYPE_ID && !transaction.blob_hashes.is_empty() {
        let blobs = U256::from(transaction.blob_hashes.len() as u64 * DATA_GAS_PER_BLOB)
            .saturating_mul(U256::from(transaction.max_fee_per_blob_gas));
        if blobs >= available {
            return Err(RpcError::server(
                "insufficient funds for gas * price + value",
            ));
        }
        available -= blobs;
    }
    let gas = available / U256::from(transaction.gas_price);
    Ok(Some(gas.saturating_to()))
}
