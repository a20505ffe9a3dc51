"""Peers: finding them (discv4), talking to them (RLPx), and what Metanode nodes tell each other (`mtn/1`).

- `enode` addresses, `records` and `pins` say who may be where.
- `discv4` and `rlpx` each hold a pure machine beside a thin asyncio shell.
- `protocol` is the codec of our capability; `network` is the shell that owns listening, dialling and peers.

The package knows no blocks, votes or transactions: they are bytes. What it must know of the chain comes through the Protocols in `ports`.
"""
