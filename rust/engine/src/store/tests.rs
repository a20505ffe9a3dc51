//! The store against a model that keeps every state of the chain, on disk and in memory.

mod chain;
mod crash;
mod log_rows;
mod properties;
mod readers;
mod refusals;
