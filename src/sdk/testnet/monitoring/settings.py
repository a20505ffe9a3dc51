"""What a node's metrics page says of how it was started: the part of its configuration that others see. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sdk.testnet.monitoring.page import MetricsPage

LABELS: Final = (
    ("role", "metanode_node_info", "role"),
    ("genesis", "metanode_node_info", "genesis"),
    ("version", "metanode_build_info", "version"),
    ("commit", "metanode_build_info", "commit"),
    ("Python", "metanode_build_info", "python"),
)
"""What people call it, the metric and its label."""
PEER_LIMIT: Final = "metanode_p2p_peer_limit"
TEXT_MAX: Final = 42
"""Of one setting: a commit has 40. The page may be anybody's."""


def published_settings(page: MetricsPage) -> dict[str, str]:
    """The settings that the page has, by what people call them."""
    found = {}
    for name, metric, label in LABELS:
        text = page.label(metric, label)
        if text is not None:
            found[name] = text[:TEXT_MAX]
    limit = page.value(PEER_LIMIT)
    if limit is not None:
        found["peer limit"] = f"{limit:.0f}"
    return found
