//! The tables of methods, one for each namespace: each method stands in them once, with all that is said of it.

mod debug;
mod erigon;
mod eth;
mod ots;
mod testing;
mod trace;
mod txpool;
mod web3;

use openrpc::{Declaration, count_parameters};

use super::{Answer, Api, Cost, params::Params};

/// One method.
pub(super) struct Method {
    pub(super) declaration: Declaration,
    pub(super) cost: Cost,
    pub(super) arguments_max: usize,
    pub(super) handler: Handler,
}

type Handler = fn(&Api, &Params<'_>) -> Answer;

/// The tables by what stands before the underscore.
static NAMESPACES: [(&str, &[Method]); 8] = [
    ("debug", debug::METHODS),
    ("erigon", erigon::METHODS),
    ("eth", eth::METHODS),
    ("ots", ots::METHODS),
    ("testing", testing::METHODS),
    ("trace", trace::METHODS),
    ("txpool", txpool::METHODS),
    ("web3", web3::METHODS),
];

/// Find a method by its name.
pub(super) fn find(name: &str) -> Option<&'static Method> {
    let (namespace, _) = name.split_once('_')?;
    let (_, methods) = NAMESPACES.iter().find(|(one, _)| *one == namespace)?;
    methods
        .binary_search_by_key(&name, |method| method.name())
        .ok()
        .map(|index| &methods[index])
}

/// All methods, sorted by name.
pub(super) fn all() -> impl Iterator<Item = &'static Method> {
    NAMESPACES.iter().flat_map(|(_, methods)| *methods)
}

impl Method {
    pub(super) fn name(&self) -> &str {
        &self.declaration.name
    }

    const fn new(
        name: &'static str,
        signature: &'static str,
        summary: &'static str,
        cost: Cost,
        handler: Handler,
    ) -> Self {
        Self {
            declaration: Declaration::new(name, signature, summary),
            cost,
            arguments_max: count_parameters(signature),
            handler,
        }
    }
}

/// A lookup.
const fn read(
    name: &'static str,
    signature: &'static str,
    summary: &'static str,
    handler: Handler,
) -> Method {
    Method::new(name, signature, summary, Cost::Read, handler)
}

/// A lookup in a block that is there, or in the pending one.
const fn read_at(
    name: &'static str,
    signature: &'static str,
    summary: &'static str,
    handler: Handler,
) -> Method {
    Method::new(name, signature, summary, Cost::ReadUnlessPending, handler)
}

/// Runs code or scans blocks.
const fn heavy(
    name: &'static str,
    signature: &'static str,
    summary: &'static str,
    handler: Handler,
) -> Method {
    Method::new(name, signature, summary, Cost::Heavy, handler)
}

/// Adds to the pool.
const fn write(
    name: &'static str,
    signature: &'static str,
    summary: &'static str,
    handler: Handler,
) -> Method {
    Method::new(name, signature, summary, Cost::Write, handler)
}

/// The one method that writes; many calls of it can be answered together.
pub(super) const SUBMIT: &str = "eth_sendRawTransaction";
pub(super) const SUBMIT_ARGUMENTS: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_so_that_every_method_is_found() {
        assert!(all().is_sorted_by(|one, next| one.name() < next.name()));
        for method in all() {
            assert_eq!(find(method.name()).map(Method::name), Some(method.name()));
        }
        for unknown in ["eth_getbalance", "", "eth", "_", "eth_", "debug_getBalance"] {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn every_method_is_declared_in_words_that_can_be_read() {
        let declared: Vec<_> = all().map(|method| method.declaration.clone()).collect();
        assert!(declared.iter().all(|one| one.summary.ends_with('.')));
        assert_eq!(openrpc::document(&declared).map(drop), Ok(()));
        assert_eq!(
            find(SUBMIT).map(|method| method.arguments_max),
            Some(SUBMIT_ARGUMENTS)
        );
    }
}
