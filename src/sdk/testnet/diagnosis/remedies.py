"""What restores a local node that ends with a known sentence in its log. Pure; the sentences are those of `metanode.storage`."""

from __future__ import annotations

from typing import Final

_REMEDIES: Final = (
    (
        "node.db: belongs to the network with the genesis hash",
        "put the network's genesis file back: cp {network}/genesis.json {home}/genesis.json",
    ),
    (
        "signer.log: belongs to the network",
        "put the network's genesis file back: cp {network}/genesis.json {home}/genesis.json",
    ),
    (
        "signer.log: belongs to the key",
        "put this validator's own keystore back, that of the key named first: validator.json and validator.password in {home}",
    ),
    ("No space left on device", "make room on the disk of {home}"),
)


def remedy(words: str, *, home: str, network: str) -> str | None:
    """What to do about the last words of a log; None for those that are not known. `home` is the node's directory, `network` the network's."""
    for part, action in _REMEDIES:
        if part in words:
            return action.format(home=home, network=network)
    return None
