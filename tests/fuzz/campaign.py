"""Many scenarios side by side: what ran, what of the machine was reached, and what was found, each finding made small and saved."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.fuzz.assembly import NAMES
from tests.fuzz.playing import Finding, Played, play
from tests.fuzz.precompiles import NAMES as PRECOMPILES
from tests.fuzz.reference import Reference, ReferenceFailed
from tests.fuzz.scenario import Scenario, save
from tests.fuzz.shrink import shrink, size

from metanode._engine import InvalidInput

FINDINGS_MAX: Final = 5
"""Then the campaign stops: what follows is usually the same fault again."""
UNDECIDED_MAX: Final = 5
"""Scenarios over which the specification gave up; more than these are a fault of the fuzzer."""


@dataclass(slots=True)
class Found:
    """A difference, as small as it was made, and where it is saved."""

    finding: Finding
    scenario: Scenario
    size_before: int
    path: Path


@dataclass(slots=True)
class Tally:
    """What came of a campaign."""

    played: Played = field(default_factory=Played)
    forks: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)

    @property
    def transitions(self) -> int:
        """Transactions over which both were asked: taken by both, or refused by both."""
        return sum(self.played.accepted.values()) + sum(self.played.refused.values())

    @property
    def missed_operations(self) -> list[str]:
        """Instructions that never ran to their end."""
        return [name for code, name in NAMES.items() if not self.played.operations[code]]

    @property
    def missed_precompiles(self) -> list[str]:
        """Precompiles that nobody called."""
        return [name for number, name in PRECOMPILES.items() if not self.played.precompiles[number]]


def run_campaign(
    scenarios: Iterable[Scenario],
    python: Path,
    *,
    jobs: int,
    directory: Path,
    our_fork: Callable[[Scenario], str] | None = None,
    report: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Play scenarios on `jobs` pairs of engine and specification; findings are shrunk and saved below `directory`."""
    tally, lock, waiting = Tally(), threading.Lock(), iter(scenarios)

    def work(specification: Reference) -> None:
        while True:
            with lock:
                is_over = len(tally.found) >= FINDINGS_MAX or len(tally.undecided) > UNDECIDED_MAX
                scenario = None if is_over else next(waiting, None)
            if scenario is None:
                return
            fork = our_fork(scenario) if our_fork else None
            try:
                played = play(scenario, specification, our_fork=fork)
            except ReferenceFailed as failure:
                with lock:
                    tally.undecided.append(f"seed {scenario.seed} run {scenario.run}: {failure}")
                continue
            found = None
            if played.finding is not None:
                found = _settle(scenario, played.finding, specification, fork, directory)
            with lock:
                tally.played.add(played)
                tally.forks[scenario.fork] += 1
                tally.ways[scenario.way.value] += 1
                if found is not None:
                    tally.found.append(found)
                report(tally)

    with ExitStack() as stack, ThreadPoolExecutor(max_workers=jobs) as pool:
        references = [stack.enter_context(Reference(python)) for _ in range(jobs)]
        for done in [pool.submit(work, reference) for reference in references]:
            done.result()
    return tally


def _settle(
    scenario: Scenario, finding: Finding, specification: Reference, fork: str | None, directory: Path
) -> Found:
    """Make a difference small and save it."""

    def shows(smaller: Scenario) -> bool:
        try:
            again = play(smaller, specification, our_fork=fork).finding
        except (ReferenceFailed, InvalidInput):
            return False  # not a chain any more
        return again is not None and again.what == finding.what

    small = shrink(scenario, shows)
    last = play(small, specification, our_fork=fork).finding
    path = directory / f"seed-{scenario.seed}-run-{scenario.run}.json"
    if fork is not None:
        path = path.with_stem(f"{path.stem}-under-{fork}")
    save(small, path, finding=str(last))
    return Found(finding=last or finding, scenario=small, size_before=size(scenario), path=path)


def lines(tally: Tally) -> Iterator[str]:
    """The table of a campaign."""
    played = tally.played
    yield f"scenarios     {sum(tally.forks.values())}: {_counts(tally.forks)}; {_counts(tally.ways)}"
    yield f"blocks        {played.blocks} valid, {played.bad_blocks} invalid as a whole; {played.requests} requests of EIP-7685"
    yield f"transitions   {tally.transitions}"
    yield f"  taken       {sum(played.accepted.values())}: {_counts(played.accepted)}"
    yield f"  by type     {_counts(Counter({str(kind): count for kind, count in played.types.items()}))}"
    yield f"  refused     {sum(played.refused.values())}, by the specification as {_counts(played.refused)}"
    yield f"              by us as {_counts(played.codes)}"
    yield f"  our pool kept {played.pool_refused} from the blocks that we built"
    missed = tally.missed_operations
    yield (
        f"instructions  {len(NAMES) - len(missed)} of {len(NAMES)} ran to their end, {sum(played.operations.values())} in all"
        + (f"; never {', '.join(missed)}" if missed else "")
    )
    missed = tally.missed_precompiles
    yield (
        f"precompiles   {len(PRECOMPILES) - len(missed)} of {len(PRECOMPILES)} called, "
        f"{sum(played.precompiles[number] for number in PRECOMPILES)} times"
        + (f"; never {', '.join(missed)}" if missed else "")
    )
    yield f"undecided     {len(tally.undecided)}"
    yield f"mismatches    {len(tally.found)}"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())
