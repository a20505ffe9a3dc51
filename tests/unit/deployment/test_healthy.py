"""The health check of containers, as it is run in them."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sdk.testnet.deployment.image import healthy

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def server(status: int, body: bytes) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()
            thread.join()


def check(*questions: int | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-IS", str(healthy.__file__), *map(str, questions)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_that_is_ready_is_healthy() -> None:
    with server(200, b"ok\n") as port:
        answer = check(port, "/readyz")

    assert (answer.returncode, answer.stdout) == (0, "")


@pytest.mark.parametrize(("path", "status"), [("/readyz", 503), ("/other", 404)])
def test_any_other_answer_is_told_with_its_reason(path: str, status: int) -> None:
    """What it prints is what `docker inspect` shows."""
    with server(503, b"behind by 12 blocks\n") as port:
        answer = check(port, path)

    assert answer.returncode == 1
    assert f" {status} " in answer.stdout
    assert "behind by 12 blocks" in answer.stdout


def test_nobody_there_is_told_too() -> None:
    with server(200, b"") as port:
        pass
    answer = check(port, "/readyz")

    assert answer.returncode == 1
    assert f"port {port}:" in answer.stdout


def test_a_program_that_is_slow_takes_no_time_of_the_others() -> None:
    """All are asked at once, each with the whole time: a container with four programs is no more often unhealthy than one with one."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        server(200, b"ok") as fast,
        server(503, b"behind") as behind,
    ):
        port = silent.getsockname()[1]
        answer = check(port, "/readyz", fast, "/readyz", behind, "/readyz")

    first, second = answer.stdout.splitlines()
    assert answer.returncode == 1
    assert first == f"port {port}: timed out"
    assert second.startswith("HTTP/1.0 503")
