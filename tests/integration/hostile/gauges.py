"""What the node under attack says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from tests.integration.hostile.target import Target


def gauge(target: Target, name: str) -> float:
    """The sum of a family's series on the metrics page."""
    text = httpx.get(f"http://127.0.0.1:{target.metrics_port}/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return sum(sample.value for sample in families[name].samples)
