//! Running the transactions of a decided block again, to see what one of them did.

use std::time::{Duration, Instant};

use alloy_consensus::Header;
use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
use alloy_evm::FromRecoveredTx as _;
use alloy_primitives::{Address, Bytes};
use revm::{
    DatabaseCommit as _, ExecuteEvm as _, SystemCallEvm as _, context::TxEnv, database::CacheDB,
    primitives::hardfork::SpecId, state::EvmState,
};

use super::{
    super::debug::failed, Api, BlockState, Caller, Failure, Movable, RpcError, Session, Sizes,
};
use crate::{Block, instructions::Rules};

/// How long a request may run, and for whom.
#[derive(Debug, Clone)]
pub(in super::super) struct Allowance {
    pub(in super::super) timeout: Duration,
    /// When all of the request has to end.
    pub(in super::super) end: Instant,
    pub(in super::super) caller: Caller,
}

impl Api {
    /// The state and environment in which a decided block's first transaction runs.
    pub(in super::super) fn session_of(
        &self,
        block: &Block,
        allowance: &Allowance,
    ) -> Result<Session, RpcError> {
        let Some(parent) = block.header.number.checked_sub(1) else {
            return Err(RpcError::server("genesis is not traceable"));
        };
        self.session_after(parent, block, allowance).map_err(failed)
    }

    /// The same of a block whose parent is known.
    pub(in super::super) fn session_after(
        &self,
        parent: u64,
        block: &Block,
        allowance: &Allowance,
    ) -> Result<Session, Failure> {
        let view = self
            .engine
            .store()
            .state_at(parent)
            .map_err(Failure::Engine)?;
        let env = self.engine.evm_env(&block.header);
        let mut session = Session {
            precompiles: Movable::of(env.cfg_env.spec),
            state: CacheDB::new(BlockState::Decided(view)),
            env,
            rules: Rules::at(self.engine.spec(), block.header.number),
            gas_max: self.engine.config().gas_ceiling,
            deadline: allowance.end,
            timeout: allowance.timeout,
            caller: allowance.caller.clone(),
            sizes: Sizes::default(),
        };
        session.begin_block(&block.header)?;
        Ok(session)
    }
}

impl Session {
    /// Let the next runs end by `allowance.timeout` from now, and by the end of the whole request.
    pub(in super::super) fn allow(&mut self, allowance: &Allowance) {
        self.deadline = (Instant::now() + allowance.timeout).min(allowance.end);
        self.timeout = allowance.timeout;
        self.caller = allowance.caller.clone();
    }

    /// What a block does before its first transaction: EIP-4788 and EIP-2935.
    fn begin_block(&mut self, header: &Header) -> Result<(), Failure> {
        let spec = self.env.cfg_env.spec;
        if spec.is_enabled_in(SpecId::CANCUN)
            && let Some(root) = header.parent_beacon_block_root
        {
            self.system_call(BEACON_ROOTS_ADDRESS, root.into())?;
        }
        if spec.is_enabled_in(SpecId::PRAGUE) {
            self.system_call(HISTORY_STORAGE_ADDRESS, header.parent_hash.into())?;
        }
        Ok(())
    }

    fn system_call(&mut self, contract: Address, data: Bytes) -> Result<(), Failure> {
        let (done, ()) = self.execute(TxEnv::default(), (), |evm, _| {
            evm.system_call(contract, data)
        })?;
        self.commit(done.state);
        Ok(())
    }

    /// Let later runs begin where a run has ended.
    pub(in super::super) fn commit(&mut self, state: EvmState) {
        self.state.commit(state);
    }

    /// Run a transaction of the block for its effects alone.
    pub(in super::super) fn apply(&mut self, transaction: TxEnv) -> Result<(), Failure> {
        let (done, ()) = self.execute(transaction, (), |evm, transaction| {
            evm.transact(transaction)
        })?;
        self.commit(done.state);
        Ok(())
    }
}

/// Transaction `index` of a block as the EVM takes it; the caller has checked the index.
pub(in super::super) fn transaction_env(block: &Block, index: usize) -> TxEnv {
    TxEnv::from_recovered_tx(&block.transactions[index], block.senders[index])
}
