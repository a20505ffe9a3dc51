"""docs/evidence/faults.md: what was done, how often, what must hold, whether it did, and what was measured."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True)
class Result:
    """One case that was done."""

    group: str
    fault: str
    dose: str
    must_hold: str
    name: str
    held: bool
    figures: dict[str, float | str]
    audited: dict[str, int]
    took_s: float
    slowness: float
    """Tasks that wanted a processor, by processors: over 1, measured seconds are also others' work."""
    failure: str
    commit: str
    kind: str
    at: str
    in_ci: bool = False


def shown(value: float | str) -> str:
    """A figure as people read it."""
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def write(path: Path, results: Sequence[Result], *, commit: str, took_s: float, lanes: int) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        render(results, commit=commit, took_s=took_s, lanes=lanes, machine=describe_machine()),
        encoding="utf-8",
    )


def render(results: Sequence[Result], *, commit: str, took_s: float, lanes: int, machine: str) -> str:
    """The page's text."""
    lines = [
        "# Real faults on real processes",
        "",
        "Four validators, each a `metanode node` process in a network namespace of its own on one bridge, hurt on purpose. Written by `make faults`; the cases are in",
        "`tests/integration/faults/catalogue`, a part of them runs in CI. Packets are lost and partitions made by nftables; delay, reordering and duplication by a switch in user",
        "space that hands whole frames on; the wall clock of a node is shifted by a small preloaded library, for Debian's libfaketime (0.9.10) also breaks waits on the monotonic clock, which no wrong",
        "clock does (`clock_offset.c`); disks are small tmpfs. Groups marked *relay* run without namespaces, through a relay of connections.",
        "",
        "After **every** case the network must be whole again (all four take the next block), and an audit compares the chains of all nodes height by height (block hash,",
        "state root, certificate, link to the parent), with all that earlier audits have seen: what was final once stays so. A fifth process hears every consensus message of all",
        "four and compares what each key has signed for one (height, round, kind); so do all `signer.log` files and `ibft_getEvidence`. In the group *liars* one validator lies on purpose: proofs against it are asked for.",
        "",
        "Beside every case the common bar of [bad inputs](bad-inputs.md) holds: each node that lives answers a good request within a second, four times a second asked; a process that lives",
        "through the case takes at most 50 MB more; no log has a secret, or more than a line a second but for those of each connection that is dropped. Who has to end or stop is exempt for as long.",
        "",
        f"- Commit `{commit}`, {time.strftime('%Y-%m-%d', time.gmtime())}; `make faults`, {lanes} groups beside each other, {took_s / 60:.0f} minutes in this call.",
        f"- Machine: {machine}.",
        (f"- {sum(r.held for r in results)} of {len(results)} cases held; {sum(r.audited.get('blocks', 0) for r in results)} block hashes compared, "
        f"{sum(_places(results))} signed places heard; 0 forks, 0 contradictions in the cases that held."),
        f"- {in_ci(results)}",
        f"- Tasks that wanted a processor, by processors, while it ran: {_range([r.slowness for r in results])}. Bounds in seconds are multiplied with it where it is over 1.",
        "",
    ]  # fmt: skip
    for group, members in groupby(results, key=lambda r: r.group):
        lines += _table(group, list(members))
    failed = [result for result in results if not result.held]
    if failed:
        lines += ["## What did not hold", ""]
        for result in failed:
            lines += [
                f"- {result.name}: {result.failure.strip().splitlines()[-1][:400] if result.failure else ''}"
            ]
        lines.append("")
    return "\n".join(lines)


def in_ci(results: Sequence[Result]) -> str:
    """How long the part that CI runs takes."""
    part = [result.took_s for result in results if result.in_ci]
    return f"{len(part)} of the cases run in CI: they took {sum(part) / 60:.1f} minutes here, one after the other."


def describe_machine() -> str:
    """Processor, memory and kernel."""
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = names[0] if names else platform.machine()
    return f"{len(os.sched_getaffinity(0))} processors ({model}), {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def _places(results: Sequence[Result]) -> list[int]:
    """Places heard by the listener of each network: it counts up, so the last of each is the sum."""
    return [
        max((r.audited.get("places", 0) for r in members), default=0)
        for _, members in groupby(results, key=lambda r: r.group)
    ]


def _range(values: Sequence[float]) -> str:
    return (
        f"{min(values):.1f} to {max(values):.1f}, mostly {statistics.median(values):.1f}"
        if values
        else "nothing ran"
    )


def _table(group: str, results: list[Result]) -> list[str]:
    relayed = " (relay)" if results[0].kind == "relay" else ""
    lines = [
        f"## {group.capitalize()}{relayed}",
        "",
        "| fault | dose | times | must hold | held | measured |",
        "|---|---|---|---|---|---|",
    ]
    for (fault, dose), members in groupby(results, key=lambda r: (r.fault, r.dose)):
        done = list(members)
        held = sum(r.held for r in done)
        lines.append(
            f"| {fault} | {dose} | {len(done)} | {done[0].must_hold} | {'yes' if held == len(done) else f'**{held} of {len(done)}**'} | {_measured(done)} |"
        )
    return [*lines, ""]


def _measured(results: Sequence[Result]) -> str:
    """Each figure: its only value, or median and worst of all; words are counted."""
    values: dict[str, list[Any]] = {}
    for result in results:
        for what, value in result.figures.items():
            values.setdefault(what, []).append(value)
    parts = []
    for what, found in values.items():
        name, unit = (what.removesuffix("_s"), " s") if what.endswith("_s") else (what, "")
        if isinstance(found[0], str):
            counted = Counter(found).most_common()
            parts.append(
                f"{name} " + ", ".join(f"{word} ({n})" if len(found) > 1 else word for word, n in counted)
            )
        elif len(found) == 1:
            parts.append(f"{name} {shown(found[0])}{unit}")
        else:
            parts.append(f"{name} {shown(statistics.median(found))}{unit}, at most {shown(max(found))}{unit}")
    return "; ".join(parts)
