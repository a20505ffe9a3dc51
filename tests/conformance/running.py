"""Running the cases: in several processes, with progress, and adding up what came out."""

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from tests.conformance.archive import Archive
from tests.conformance.catalogue import SUITES, UNCLAIMED, Work, judge, plan
from tests.conformance.verdicts import Status, Verdict

PROGRESS_EVERY_S: Final = 1.0
WORK_AT_ONCE_MAX: Final = 8
"""Files that are handed over together, so that small ones do not cost a trip each."""


@dataclass(slots=True)
class Tally:
    """What came out of one suite."""

    cases: Counter[Status] = field(default_factory=Counter)
    """Those that the manifest counts."""
    checks: Counter[Status] = field(default_factory=Counter)
    """Beyond the manifest."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Of what failed."""
    not_applicable: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        """Count one verdict."""
        (self.cases if verdict.counts else self.checks)[verdict.status] += 1
        if verdict.status is Status.FAILED:
            self.reasons[verdict.reason] += 1
        elif verdict.status is Status.NOT_APPLICABLE:
            self.not_applicable[verdict.reason] += 1

    @property
    def failed(self) -> int:
        """Cases and checks that failed."""
        return self.cases[Status.FAILED] + self.checks[Status.FAILED]


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict and where it belongs."""

    suite: str
    file: str
    verdict: Verdict

    @property
    def id(self) -> str:
        """The name by which CASES picks it."""
        return f"{self.file}::{self.verdict.case}"


@dataclass(frozen=True, slots=True)
class Results:
    """A finished run."""

    judged: tuple[Judged, ...]
    took_s: float

    def tallies(self) -> dict[str, Tally]:
        """By suite, in the order of the catalogue."""
        found = {suite.name: Tally() for suite in (*SUITES, UNCLAIMED)}
        for one in self.judged:
            found[one.suite].add(one.verdict)
        return {name: tally for name, tally in found.items() if tally.cases or tally.checks}

    @property
    def failed(self) -> int:
        """Cases and checks that failed."""
        return sum(one.verdict.status is Status.FAILED for one in self.judged)


def run(archive: Archive, *, pattern: str = "*", processes: int, is_shown: bool = False) -> Results:
    """Judge the cases whose `file::case`, or whose file, matches a shell pattern."""
    started = time.monotonic()
    work = [one for one in plan(archive) if is_wanted(one, pattern)]
    found: list[Judged] = []
    shown_at = started
    for done, judged in enumerate(spread(archive, work, processes), 1):
        found += [one for one in judged if matches(one, pattern)]
        if is_shown and (done == len(work) or time.monotonic() - shown_at >= PROGRESS_EVERY_S):
            shown_at = time.monotonic()
            show_progress(done, len(work), found, shown_at - started)
    return Results(tuple(sorted(found, key=lambda one: one.id)), time.monotonic() - started)


def spread(archive: Archive, work: list[Work], processes: int) -> Iterator[list[Judged]]:
    """The verdicts of each piece of work, in the order in which the pieces end."""
    if processes <= 1:
        for one in work:
            yield judge_work(archive, one)
        return
    # The engine has threads, which a fork would not take along.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        waiting = [pool.submit(judge_all, archive, part) for part in parts_of(work)]
        for future in as_completed(waiting):
            yield from future.result()


def judge_all(archive: Archive, work: list[Work]) -> list[list[Judged]]:
    """Judge several pieces in one process."""
    return [judge_work(archive, one) for one in work]


def judge_work(archive: Archive, work: Work) -> list[Judged]:
    """Judge one piece."""
    return [Judged(work.suite.name, path, verdict) for path, verdict in judge(archive, work)]


def parts_of(work: Iterable[Work]) -> Iterator[list[Work]]:
    """Pieces that go to a process together."""
    part: list[Work] = []
    for one in work:
        if one.suite.judge_files:
            yield [one]
            continue
        part.append(one)
        if len(part) == WORK_AT_ONCE_MAX:
            yield part
            part = []
    if part:
        yield part


def is_wanted(work: Work, pattern: str) -> bool:
    """Whether cases in these files can match."""
    file_pattern = pattern.split("::", maxsplit=1)[0]
    return any(fnmatchcase(file.path, file_pattern) for file in work.files)


def matches(judged: Judged, pattern: str) -> bool:
    """Whether the pattern picks a case."""
    return fnmatchcase(judged.id if "::" in pattern else judged.file, pattern)


def show_progress(done: int, total: int, found: list[Judged], took_s: float) -> None:
    """One line on standard error."""
    failed = sum(one.verdict.status is Status.FAILED for one in found)
    print(
        f"{took_s:5.0f} s  {done:4} of {total} files  {len(found):5} cases  {failed} failed",
        file=sys.stderr,
        flush=True,
    )
