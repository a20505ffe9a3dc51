//! Tests of the methods: shapes against the official answers, and behaviour on a chain in memory.

mod shapes;
mod vectors;
