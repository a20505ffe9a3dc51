"""What the supervisor does beside its processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.testnet.deployment.apply.supervisor import bound_log

if TYPE_CHECKING:
    from pathlib import Path


def test_a_log_that_is_too_long_begins_anew_under_the_hands_of_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    with log.open("ab", buffering=0) as output:
        output.write(b"old line\n" * 10)
        bound_log(log, bytes_max=50)
        output.write(b"new line\n")

    assert log.read_bytes() == b"new line\n"
    assert (tmp_path / "node.log.1").read_bytes() == b"old line\n" * 10


def test_a_second_time_replaces_the_old_lines_and_a_short_log_stays(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    for text in (b"first " * 10, b"second " * 10, b"third"):
        log.write_bytes(text)
        bound_log(log, bytes_max=50)

    assert log.read_bytes() == b"third"
    assert (tmp_path / "node.log.1").read_bytes() == b"second " * 10
    assert len(list(tmp_path.iterdir())) == 2
