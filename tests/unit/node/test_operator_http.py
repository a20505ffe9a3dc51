from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge

from metanode.node.operator_http import OperatorApplication, render_page


class FakeNode:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        Gauge("metanode_chain_head_block_number", "Newest block.", registry=self.registry).set(7)
        self.unready: str | None = None
        self.unhealthy: str | None = None

    def unready_reason(self) -> str | None:
        return self.unready

    def unhealthy_reason(self) -> str | None:
        return self.unhealthy

    def status(self) -> dict[str, Any]:
        return {"network": "<script>alert(1)</script>", "height": 7, "peers": ["a", "b"], "clock": None}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_answer_ok_while_nothing_is_wrong(path: str) -> None:
    answer = OperatorApplication(FakeNode()).answer("GET", path)

    assert (answer.status, answer.body) == (200, b"ok\n")


def test_an_unready_node_says_why_and_stays_healthy() -> None:
    node = FakeNode()
    node.unready = "syncing: 90 of 100"

    application = OperatorApplication(node)

    assert application.answer("GET", "/readyz").body == b"syncing: 90 of 100\n"
    assert application.answer("GET", "/readyz").status == 503
    assert application.answer("GET", "/healthz").status == 200


def test_metrics_are_in_the_format_of_prometheus() -> None:
    assert (
        b"metanode_chain_head_block_number 7.0"
        in OperatorApplication(FakeNode()).answer("GET", "/metrics").body
    )


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/metrics", 405), ("GET", "/../etc/passwd", 404)]
)
def test_anything_else_is_refused(method: str, path: str, status: int) -> None:
    assert OperatorApplication(FakeNode()).answer(method, path).status == status


def test_the_status_page_shows_text_never_markup() -> None:
    page = render_page(FakeNode().status())

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "a, b" in page
