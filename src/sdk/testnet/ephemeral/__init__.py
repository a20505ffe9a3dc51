"""`Testnet`: a real network inside a test, on ports of its own, gone when the test is over.

The rooms: `network` (what a test holds), `node` (one of its nodes), `ports` (networks beside each other share none), `links` and `relay` (the ways
between the nodes, which a partition closes), `sharing` (one network for all processes of a test run).
"""

from sdk.testnet.ephemeral.network import Testnet
from sdk.testnet.ephemeral.node import TestnetNode

__all__ = ["Testnet", "TestnetNode"]
