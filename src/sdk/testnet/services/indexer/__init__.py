"""Makes an index from a chain: every finalized block once, in order, and what consensus did to decide it.

`Indexer` follows; `node` asks, `rows` and `consensus` read, `writer` writes one transaction for some blocks, `probing` looks at contracts beside it.
"""

from sdk.testnet.services.indexer.configuration import IndexerConfig
from sdk.testnet.services.indexer.indexer import Indexer, IndexerStatus

__all__ = ["Indexer", "IndexerConfig", "IndexerStatus"]
