"""The consensus protocol as a pure core: inputs in, effects out. IBFT 2.0 with QBFT-style justifications; not wire-compatible with Besu.

Rules: docs/spec/consensus.md. `machine.Consensus` is the core, `wire` turns bytes into
`messages`, `inputs` and `effects` are its two vocabularies, and `node.driver` performs the effects.
"""
