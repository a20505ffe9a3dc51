"""One Metanode node: consensus, execution, peers and JSON-RPC.

Layers, top to bottom: cli, simulation, node, then rpc | p2p | storage | execution, consensus, chain, crypto | telemetry, primitives,
errors. A module imports only from layers below its own.
"""

__version__ = "0.1.0"
"""The release, as in pyproject.toml."""
