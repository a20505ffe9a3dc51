"""The consensus protocol as a pure core: inputs in, effects out. IBFT 2.0 with QBFT-style justifications; not wire-compatible with Besu.

Rules: ../shared/PROTOCOL.md, and consensus.md 1.3 to 1.16 where that is silent. `machine.Consensus` is the core, `wire` turns bytes into
`messages`, `inputs` and `effects` are its two vocabularies, and `node.driver` performs the effects.
"""
