"""Block intervals of a benchmark are what a subscriber sees, in parts of a second, and their p99 is one of them."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest
from benchmarks.arrivals import intervals_s, noted, percentile
from tests.acceptance.processes import wait_until
from websockets.sync.server import serve

if TYPE_CHECKING:
    from websockets.sync.server import ServerConnection


def test_a_block_that_is_late_by_less_than_a_second_is_seen() -> None:
    """Three blocks, the last of them late: their timestamps could be the same second, or three."""
    are_all_told = threading.Event()

    def tell(socket: ServerConnection) -> None:
        request = json.loads(socket.recv())
        assert (request["method"], request["params"]) == ("eth_subscribe", ["newHeads"])
        socket.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "0x1"}))
        for pause_s in (0.1, 0.1, 1.0):
            time.sleep(pause_s)
            socket.send(
                json.dumps({"method": "eth_subscription", "params": {"result": {"timestamp": "0x1"}}})
            )
        are_all_told.set()
        for _ in socket:
            pass

    with serve(tell, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        with noted(f"http://127.0.0.1:{port}") as arrivals:
            assert are_all_told.wait(10)
            wait_until(lambda: len(arrivals) == 3, within_s=10.0, what="three blocks to be noted")
        server.shutdown()
        thread.join()
    usual_s, late_s = intervals_s(arrivals)
    assert 0 < usual_s < late_s
    assert late_s > 0.5


@pytest.mark.parametrize(("count", "longer"), [(50, 0), (100, 1), (150, 1), (200, 2), (300, 3)])
def test_one_in_a_hundred_may_be_longer_than_the_p99(count: int, longer: int) -> None:
    values = [float(number) for number in range(count)]
    assert sum(value > percentile(values[::-1], 0.99) for value in values) == longer
