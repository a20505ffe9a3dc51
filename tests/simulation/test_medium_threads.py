"""A simulated database that nobody needs any more may be collected by any thread."""

import gc
import threading

import pytest

from metanode.simulation.medium import DatabaseMedium


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_database_is_let_go_of_in_another_thread() -> None:
    medium: list[DatabaseMedium] = [DatabaseMedium()]
    failures: list[object] = []

    def collect() -> None:
        medium.clear()
        gc.collect()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", failures.append)
        thread = threading.Thread(target=collect)
        thread.start()
        thread.join()
    assert failures == []
