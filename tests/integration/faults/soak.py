"""Hours of load: `make soak HOURS=8`. Four validators at 70 % of what a chain bears for long; memory and open files must not grow with time.

The chain bears half-full blocks for long, as the base fee rises above that: 714 transfers a second with 60 M gas. What grows with the chain, caches and
indexes that fill, does so at first: a quarter of the time warms up. What comes of it is a page of docs/evidence.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import psutil
from tests.acceptance.processes import RPCError, slowness
from tests.integration.faults import leftovers
from tests.integration.faults.audit import audit
from tests.integration.faults.cluster import BATCH_MAX, PERIOD_S, Cluster, best_kind
from tests.integration.faults.evidence import describe_machine

from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
    from collections.abc import Sequence

EVIDENCE: Final = Path("docs/evidence") / "soak.md"
CHAIN_ID: Final = 1337
TRANSFERS_A_SECOND: Final = 500
"""70 % of 714."""
FIRST_RECIPIENT: Final = 1 << 100
"""Precompiles have the small numbers."""
LOOK_EVERY_S: Final = 10.0
SLOPE_MAX: Final = 0.01
"""Of the memory, an hour."""
FILES_MAX: Final = 16
"""More than after warming up: connections and tables of the moment."""
INTERVAL_S_MAX: Final = 2.1
SAMPLES_MIN: Final = 8
SENT_MIN: Final = 0.9
"""Of the load that was asked for: nodes with less to do would say nothing about it."""
REFUSED_MAX: Final = 0.05
"""Of what was sent: a node that has not heard of an account's last batch yet gives a nonce that is taken."""


@dataclass(frozen=True)
class Sample:
    """What one node took at one moment."""

    at_s: float
    resident_bytes: int
    files: int


@dataclass(frozen=True)
class Verdict:
    """What came of a node's samples."""

    slope: float
    """Growth of its memory in an hour, as a part of what it takes in the mean."""
    files_more: int
    """The most open files of the last quarter beyond the most of the first one after warming up."""
    resident_bytes: int
    """In the mean."""

    @property
    def held(self) -> bool:
        """Whether neither grows."""
        return self.slope < SLOPE_MAX and self.files_more <= FILES_MAX


def judge(samples: Sequence[Sample]) -> Verdict:
    """Look at what came after the first quarter."""
    warm = samples[len(samples) // 4 :]
    assert len(warm) >= SAMPLES_MIN, f"{len(samples)} samples are too few to say anything"
    hours = [sample.at_s / 3600 for sample in warm]
    sizes = [sample.resident_bytes for sample in warm]
    mean = statistics.fmean(sizes)
    quarter = len(warm) // 4
    return Verdict(
        slope=statistics.linear_regression(hours, sizes).slope / mean,
        files_more=max(sample.files for sample in warm[-quarter:])
        - max(sample.files for sample in warm[:quarter]),
        resident_bytes=round(mean),
    )


class Load:
    """Transfers of the ten funded accounts, each to an account of its own, in batches to the nodes by turns."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._keys = [PrivateKey(bytes.fromhex(each.private_key[2:])) for each in funded_accounts()]
        self._turn = 0
        self.sent = self.refused = 0

    def send(self, count: int) -> None:
        """Send a batch. One that is refused or not answered is counted and let go: the account's next turn asks for its nonce again."""
        node = self._cluster.nodes[self._turn % len(self._cluster.nodes)]
        key = self._keys[self._turn % len(self._keys)]
        self._turn += 1
        self.sent += count
        try:
            first = int(node.rpc.call("eth_getTransactionCount", "0x" + key.address.hex(), "pending"), 16)
            raws = [
                signed_transfer(
                    key, chain_id=CHAIN_ID, nonce=first + each, to=(FIRST_RECIPIENT + self.sent + each).to_bytes(20, "big"), value_wei=1
                )
                for each in range(count)
            ]  # fmt: skip
            node.rpc.batch([("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in raws])
        except (RPCError, httpx.HTTPError):
            self.refused += count


def soak(cluster: Cluster, *, seconds: float, per_second: int) -> tuple[dict[str, Verdict], list[str]]:
    """Load and look; what came of each node, and the page's lines of what all did."""
    load, samples = Load(cluster), {node.name: list[Sample]() for node in cluster.nodes}
    begun, first = time.monotonic(), cluster.top()
    looked_s, batches = 0.0, 0
    while (now_s := time.monotonic() - begun) < seconds:
        if now_s >= looked_s:
            looked_s = now_s + min(LOOK_EVERY_S, seconds / 60)
            for node in cluster.nodes:
                assert node.process is not None, "it runs"
                process = psutil.Process(node.process.pid)
                samples[node.name].append(Sample(now_s, process.memory_info().rss, process.num_fds()))
        if batches * BATCH_MAX <= now_s * per_second:
            load.send(BATCH_MAX)
            batches += 1
        else:
            # Load at a rate: the next batch is due then.
            time.sleep(batches * BATCH_MAX / per_second - now_s)
    elapsed_s, last = time.monotonic() - begun, cluster.top()
    cluster.wait_settled()
    interval_s = cluster.intervals(first, last)
    audited = audit(cluster)
    assert load.sent * slowness() >= SENT_MIN * per_second * elapsed_s, (
        f"{load.sent / elapsed_s:.0f} of {per_second} transfers a second were sent"
    )
    assert interval_s <= INTERVAL_S_MAX * slowness(), f"mean interval {interval_s:.2f} s"
    assert load.refused <= REFUSED_MAX * load.sent, f"{load.refused} of {load.sent} transfers were refused"
    lines = [
        f"- {elapsed_s / 3600:.2f} hours, {load.sent / elapsed_s:.0f} transfers a second sent ({load.refused} refused), heights {first} to {last}, mean interval {interval_s:.2f} s ({PERIOD_S} wanted).",
        f"- One chain: {audited.blocks} block hashes compared, {audited.places} signed places heard, no contradiction.",
    ]
    return {name: judge(found) for name, found in samples.items()}, lines


def page(verdicts: dict[str, Verdict], lines: Sequence[str], *, machine: str, date: str) -> str:
    """The page's text."""
    rows = [
        f"| {name} | {found.resident_bytes / 1e6:.0f} | {100 * found.slope:+.2f} % | {found.files_more:+} | {'yes' if found.held else '**no**'} |"
        for name, found in verdicts.items()
    ]
    return "\n".join(
        [
            "# Hours of load",
            "",
            f"Written by `make soak` on {date}; {machine}. The first quarter of the time warms up and does not count; memory may grow by less than {100 * SLOPE_MAX:.0f} % an hour, open files by {FILES_MAX}.",
            "",
            *lines,
            "",
            "| node | memory in the mean, MB | its growth an hour | open files more at the end | held |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.faults.soak")
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--transfers", type=int, default=TRANSFERS_A_SECOND, help="a second")
    parser.add_argument("--report", type=Path, default=EVIDENCE)
    asked = parser.parse_args()
    leftovers.clean()
    with (
        tempfile.TemporaryDirectory(prefix="faults-soak-") as path,
        Cluster(Path(path), best_kind()) as cluster,
    ):
        verdicts, lines = soak(cluster, seconds=3600 * asked.hours, per_second=asked.transfers)
    text = page(verdicts, lines, machine=describe_machine(), date=time.strftime("%Y-%m-%d", time.gmtime()))
    asked.report.write_text(text, encoding="utf-8")
    print(text)  # noqa: T201 - it is a program
    return 0 if all(found.held for found in verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
