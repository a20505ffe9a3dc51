//! `muxTracer`: several tracers on one run.

use std::collections::BTreeMap;

use revm::DatabaseRef;
use serde_json::value::RawValue;

use super::{Ended, Tracer, Wants, json};
use crate::EngineError;

#[derive(Debug)]
pub(crate) struct MuxTracer {
    tracers: BTreeMap<String, Tracer>,
}

impl MuxTracer {
    pub(super) fn new(tracers: BTreeMap<String, Tracer>) -> Self {
        Self { tracers }
    }

    pub(super) fn wants(&self) -> Wants {
        self.tracers
            .values()
            .map(Tracer::wants)
            .fold(Wants::default(), |all, one| Wants {
                steps: all.steps || one.steps,
                memory: all.memory.max(one.memory),
            })
    }

    pub(super) fn bytes(&self) -> usize {
        self.tracers.values().map(Tracer::bytes).sum()
    }

    pub(super) fn each(&mut self, tell: impl FnMut(&mut Tracer)) {
        self.tracers.values_mut().for_each(tell);
    }

    pub(super) fn finish(
        self,
        ended: &Ended<'_>,
        before: &impl DatabaseRef<Error = EngineError>,
    ) -> Result<Box<RawValue>, EngineError> {
        let results: BTreeMap<String, Box<RawValue>> = self
            .tracers
            .into_iter()
            .map(|(name, tracer)| Ok((name, tracer.finish(ended, before)?)))
            .collect::<Result<_, EngineError>>()?;
        json::write(&results)
    }
}
