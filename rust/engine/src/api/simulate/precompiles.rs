//! Precompiles that overrides may move or replace, while the addresses that begin warm stay those of the fork.

use alloy_evm::{eth::EthEvmContext, precompiles::PrecompilesMap};
use alloy_primitives::{Address, map::AddressSet};
use revm::{
    context_interface::Cfg,
    handler::PrecompileProvider,
    interpreter::{CallInputs, InterpreterResult},
};

/// The precompiles of one block.
pub(super) struct Movable {
    pub(super) precompiles: PrecompilesMap,
    /// EIP-2929 warms the fork's addresses, whatever an override has put there.
    warm: AddressSet,
}

impl Movable {
    pub(super) fn new(precompiles: PrecompilesMap) -> Self {
        Self {
            warm: precompiles.addresses().copied().collect(),
            precompiles,
        }
    }
}

impl<DB: alloy_evm::Database> PrecompileProvider<EthEvmContext<DB>> for Movable {
    type Output = InterpreterResult;

    fn set_spec(
        &mut self,
        _: <<EthEvmContext<DB> as revm::context_interface::ContextTr>::Cfg as Cfg>::Spec,
    ) -> bool {
        false
    }

    fn run(
        &mut self,
        context: &mut EthEvmContext<DB>,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        self.precompiles.run(context, inputs)
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }

    fn contains(&self, address: &Address) -> bool {
        self.precompiles.get(address).is_some()
    }
}
