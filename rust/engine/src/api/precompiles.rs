//! Precompiles that overrides may move or replace, while the addresses that begin warm stay those of the fork.

use alloy_evm::precompiles::PrecompilesMap;
use alloy_primitives::{Address, map::AddressSet};
use revm::{
    context_interface::{Cfg, ContextTr},
    handler::PrecompileProvider,
    interpreter::{CallInputs, InterpreterResult},
    precompile::{PrecompileSpecId, Precompiles},
    primitives::hardfork::SpecId,
};

/// The precompiles of one block.
#[derive(Debug)]
pub(super) struct Movable {
    pub(super) map: PrecompilesMap,
    /// EIP-2929 warms the fork's addresses, whatever an override has put there.
    warm: &'static AddressSet,
}

impl Movable {
    /// Those of the fork, each at its place.
    pub(super) fn of(spec: SpecId) -> Self {
        let precompiles = Precompiles::new(PrecompileSpecId::from_spec_id(spec));
        Self {
            map: PrecompilesMap::from_static(precompiles),
            warm: precompiles.addresses_set(),
        }
    }
}

impl<CTX: ContextTr> PrecompileProvider<CTX> for Movable
where
    PrecompilesMap: PrecompileProvider<CTX, Output = InterpreterResult>,
{
    type Output = InterpreterResult;

    fn set_spec(&mut self, _: <CTX::Cfg as Cfg>::Spec) -> bool {
        false
    }

    fn run(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        self.map.run(context, inputs)
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.warm
    }

    fn contains(&self, address: &Address) -> bool {
        self.map.get(address).is_some()
    }
}
