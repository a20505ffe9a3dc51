//! Tests of the methods: shapes against the official answers, and behaviour on a chain in memory.

mod blocks;
mod calls;
mod chain;
mod estimates;
mod fees;
mod log_search;
mod memory;
pub(super) mod node;
mod otterscan;
mod parity;
mod pending;
mod previews;
mod rare_rules;
mod reads;
mod shapes;
mod simulations;
mod submits;
mod trace_limits;
mod traces;
mod vectors;
mod visibility;
