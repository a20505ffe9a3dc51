"""What a disk does to files while nobody looks: tails that are cut off, bits that flip. Of one node at a time, which has been killed or stopped."""

from __future__ import annotations

import shutil
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
from tests.acceptance.processes import RPCError, slowness, wait_until
from tests.integration.faults.catalogue.case import Case, Figures, Group, repeat

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.integration.faults.cluster import Cluster, Node

BACK_WITHIN_S = 20.0
END_WITHIN_S = 10.0
"""From the last answer of a node that has met damage to its end."""
FLIP_EVERY_BYTES = 1_000_000
FLIP_MANY_BYTES = 10_000
"""A short chain has small files, most of them empty pages: so many that some are met."""
TRANSFERS = 30
TAILS = {
    "signer.log": "signer.log",
    "node.db-wal": "SQLite's log",
    "engine/blocks/00000000.log": "the engine's block log",
}
CUTS = (1, 100, 128, 4_096, 65_536, 1 << 20)
INSIDE = ("Traceback", "panicked", "Os {", "FjallError", "Position {")
"""What an operator is never shown."""


def start_again(cluster: Cluster, victim: Node) -> str | None:
    """Start the node and wait until it is at the head; when it ends instead, what it says."""
    others = [node for node in cluster.nodes if node is not victim]
    victim.start()

    def is_decided() -> bool:
        return not victim.is_running or (victim.height() or -1) >= cluster.top(others)

    wait_until(
        is_decided,
        within_s=2 * BACK_WITHIN_S,
        what=lambda: (
            f"{victim.name} is at the head or says why not; it is at {victim.height()}:\n{victim.log[-3000:]}"
        ),
    )
    return None if victim.is_running else last_words(victim)


def last_words(victim: Node) -> str:
    """What a node that ended says to its operator: a sentence that names the file."""
    code, last = victim.exit_code() or 0, victim.log.strip().splitlines()[-1]
    assert code > 0, f"{victim.name} ended with {code}"
    assert last.startswith("error: "), victim.log[-3000:]
    assert not any(word in victim.log for word in INSIDE), victim.log[-3000:]
    assert str(victim.data) in last, f"it does not say which file: {last}"
    return last


def follow_advice(victim: Node, said: str) -> None:
    """Do what the sentence says an operator does."""
    named = said.removeprefix(f"error: {victim.data}/").split(":")[0]
    if named == "signer.log":
        (victim.data / named).unlink()
    elif named == "node.db":
        for path in victim.data.glob("node.db*"):
            path.unlink()
    else:
        assert named == "engine", f"the first word is no file of the node's: {said}"
        shutil.rmtree(victim.data / named)


def torn(cluster: Cluster, chance: random.Random, *, file: str, cut_bytes: int) -> Figures:
    """kill -9, cut the tail of one file, start; the node is at the head, or refuses and is at the head after its advice was followed."""
    victim = chance.choice(cluster.nodes)
    cluster.pay(TRANSFERS, node=(victim.index + 1) % len(cluster.nodes))
    cluster.wait_settled()
    victim.kill()
    cut(victim.data / file, cut_bytes)
    return _come_back(cluster, victim)


def torn_everywhere(cluster: Cluster, chance: random.Random) -> Figures:
    """The same with a different piece off each of the three files."""
    victim = chance.choice(cluster.nodes)
    cluster.pay(TRANSFERS, node=(victim.index + 1) % len(cluster.nodes))
    cluster.wait_settled()
    victim.kill()
    for file in TAILS:
        cut(victim.data / file, int(2 ** chance.uniform(0, 16)))
    return _come_back(cluster, victim)


def cut(path: Path, cut_bytes: int) -> None:
    """Cut so much off the end."""
    size = path.stat().st_size
    with path.open("r+b") as opened:
        opened.truncate(max(0, size - cut_bytes))


def _come_back(cluster: Cluster, victim: Node) -> Figures:
    begun = time.monotonic()
    said, advice = start_again(cluster, victim), 0
    while said is not None:
        advice += 1
        assert advice <= len(TAILS), f"more advice than files; the last was {said!r}"
        follow_advice(victim, said)
        begun = time.monotonic()
        said = start_again(cluster, victim)
    outcome = "refused, and back after its advice" if advice else "repaired by itself"
    back_s = time.monotonic() - begun
    assert back_s <= BACK_WITHIN_S * slowness(), f"back at the head after {back_s:.0f} s"
    return {"outcome": outcome, "back at the head_s": back_s}


def flipped(cluster: Cluster, chance: random.Random, *, pattern: str, every_bytes: int) -> Figures:
    """Flip a bit in so many bytes of these files of a stopped node; whatever it then answers is what the others answer."""
    victim = chance.choice(cluster.nodes)
    other = next(node for node in cluster.nodes if node is not victim)
    cluster.pay(TRANSFERS, node=other.index)
    cluster.wait_settled()
    victim.signal(signal.SIGTERM)
    assert victim.wait_end(within_s=20.0) == 0
    files = [path for path in sorted(victim.data.glob(pattern)) if path.is_file() and path.stat().st_size]
    assert files, f"no file is {pattern}"
    for path in files:
        flip(path, chance, every_bytes)
    said = start_again(cluster, victim)
    refused = 0
    if said is None:
        refused = compare_answers(victim, other)
        assert not any(word in victim.log for word in INSIDE), victim.log[-3000:]
    # The damage may be where nobody has looked yet: all of it goes, but for what the key has signed.
    if victim.is_running:
        victim.kill()
    for path in victim.data.glob("node.db*"):
        path.unlink()
    shutil.rmtree(victim.data / "engine")
    if "signer.log" in pattern:
        (victim.data / "signer.log").unlink(missing_ok=True)
    assert start_again(cluster, victim) is None, victim.log[-3000:]
    outcome = (
        "refused to start" if said is not None else "found when asked" if refused else "not met, or repaired"
    )
    return {"outcome": outcome}


def flip(path: Path, chance: random.Random, every_bytes: int) -> None:
    """Flip one bit in each piece of so many bytes."""
    data = bytearray(path.read_bytes())
    for begin in range(0, len(data), every_bytes):
        position = chance.randrange(begin, min(len(data), begin + every_bytes))
        data[position] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def compare_answers(victim: Node, other: Node) -> int:
    """Ask both the same about every block and account; how often the damaged one refused. A different answer is what must not be."""
    top = min(victim.height() or 0, other.height() or 0)
    accounts = [f"0x77{nonce:038d}" for nonce in range(TRANSFERS)]
    questions: list[tuple[str, list[Any]]] = [
        *(("eth_getBlockByNumber", [hex(number), True]) for number in range(top + 1)),
        *(("eth_getBlockReceipts", [hex(number)]) for number in range(top + 1)),
        *(("eth_getBalance", [account, hex(top)]) for account in accounts),
        *(("eth_getProof", [account, [], hex(top)]) for account in accounts),
        *(("ibft_getValidatorsByBlockNumber", [hex(number)]) for number in range(1, top + 1)),
    ]
    certificates = [("ibft_getCommitCertificate", [hex(number)]) for number in range(1, top)]
    refused = 0
    for method, params in [*questions, *certificates]:
        try:
            found = victim.rpc.call(method, *params)
        except RPCError:
            refused += 1
            continue
        except httpx.HTTPError:
            # One that has met damage closes its doors before it ends.
            wait_until(
                lambda: not victim.is_running or victim.height() is not None,
                within_s=END_WITHIN_S,
                what=f"{victim.name} answers again, or ends, after {method}",
            )
            refused += 1
            if not victim.is_running:
                last_words(victim)
                break
            continue
        expected = other.rpc.call(method, *params)
        assert found == expected, (
            f"{victim.name} serves damage: {method}{params}: {found} in place of {expected}"
        )
    return refused


def _torn_cases() -> tuple[Case, ...]:
    return tuple(
        Case(
            fault=f"torn tail of {what}", dose=f"{cut_bytes:,} bytes" if cut_bytes > 1 else "1 byte", in_ci=cut_bytes == 100,
            must_hold="repaired, or refused with the file and what to do; at the head in 20 s; no second signature",
            run=partial(torn, file=file, cut_bytes=cut_bytes),
        )
        for file, what in TAILS.items()
        for cut_bytes in CUTS
    ) + repeat(
        6, torn_everywhere, fault="torn tails of all three", dose="1 byte to 64 KiB of each, at random",
        must_hold="repaired, or refused with the file and what to do; at the head in 20 s; no second signature",
    )  # fmt: skip


def _flip_cases() -> tuple[Case, ...]:
    patterns = {
        "signer.log": "signer.log",
        "node.db": "node.db",
        "the engine's block log": "engine/blocks/*",
        "the engine's tables": "engine/state/**/*",
    }
    return tuple(
        case
        for what, pattern in patterns.items()
        for every_bytes, dose in ((FLIP_EVERY_BYTES, "one in 10^6 bytes of each file"), (FLIP_MANY_BYTES, "one in 10^4 bytes of each file"))
        for case in repeat(
            4, partial(flipped, pattern=pattern, every_bytes=every_bytes), fault=f"bit flips in {what}", dose=dose,
            in_ci=1 if what == "node.db" and every_bytes == FLIP_MANY_BYTES else 0,
            must_hold="found: no answer differs from the others'; refused with the file named, or served whole",
        )
    )  # fmt: skip


GROUP = Group(name="damage", cases=(*_torn_cases(), *_flip_cases()))
