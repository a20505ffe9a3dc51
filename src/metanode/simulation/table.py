"""The outcomes of a campaign as a table: for people on a terminal, and as the page of evidence."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metanode.chain.quorum import QuorumRule
from metanode.simulation.run import Outcome
from metanode.simulation.scenarios import SCENARIOS
from metanode.simulation.scenarios.rules import UNDER_ONE_RULE

HEADINGS = ("rows", "scenario", "seeds", "stakes", "heights", "events", "s/seed", "result")
PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All seeds of one scenario."""

    name: str
    seeds: int
    stakes: int
    """Of the seeds, those under the rule of stakes; the others count each validator once."""
    heights: int
    events: int
    seconds: float
    failed: int

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the row's text under `HEADINGS`."""
        rows = ", ".join(str(row) for row in SCENARIOS[self.name].rows)
        result = "held" if not self.failed else f"{self.failed} FAILED"
        pace = f"{self.seconds / self.seeds:.2f}"
        counts = (f"{count:,}" for count in (self.seeds, self.stakes, self.heights, self.events))
        return rows, self.name, *counts, pace, result


def summarize(outcomes: Iterable[Outcome]) -> list[Row]:
    """Return a row for each scenario, in the order of the catalogue."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.run.scenario, []).append(outcome)
    return [
        Row(
            name=name,
            seeds=len(group),
            stakes=sum(1 for outcome in group if outcome.rule == QuorumRule.STAKE.value),
            heights=sum(outcome.heights for outcome in group),
            events=sum(outcome.events for outcome in group),
            seconds=sum(outcome.seconds for outcome in group),
            failed=sum(1 for outcome in group if not outcome.held),
        )
        for name in SCENARIOS
        if (group := groups.get(name))
    ]


def format_table(outcomes: Sequence[Outcome]) -> str:
    """Return the table for a terminal."""
    rows = summarize(outcomes)
    lines = [HEADINGS, *(row.cells for row in rows), _total(rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in {0, 1, 7} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def format_page(outcomes: Sequence[Outcome], *, command: str, commit: str, date: str, machine: str) -> str:
    """Return the page of evidence, in Markdown."""
    rows = summarize(outcomes)
    asserted = {row for scenario in rows for row in SCENARIOS[scenario.name].rows}
    claims = [f"- `{row.name}`: {SCENARIOS[row.name].claim}." for row in rows]
    failures = [f"- `{outcome.run.arguments}`: {outcome.problem}" for outcome in outcomes if not outcome.held]
    return "\n".join(
        [
            "# The simulator's long run",
            "",
            f"Written by `{command}` at commit {commit} on {date}; {machine}.",
            "",
            "Every event of every run was followed by a look at all invariants (`metanode.simulation.invariants`). Rows are those of the",
            "catalogue that the scenarios come from; events are messages delivered, lost and held back, blocks decided, lives begun and ended.",
            "One run again: `python -m metanode.simulation --seed N --scenario NAME`. All of it again: the command above, which goes on",
            "where it was interrupted.",
            "",
            f"{len(asserted)} rows of the catalogue; each scenario has {min((row.seeds for row in rows), default=0):,} seeds or more. `stakes` counts those under the rule of stakes, with",
            "powers that differ; the others count each validator once. Under one rule alone are:",
            "",
            *(
                f"- `{name}`: {rule.value}, for {why}."
                for name, (rule, why) in UNDER_ONE_RULE.items()
                if any(row.name == name for row in rows)
            ),
            "",
            "| " + " | ".join(HEADINGS) + " |",
            "|---|---|---:|---:|---:|---:|---:|---|",
            *("| " + " | ".join(cells) + " |" for cells in [*(row.cells for row in rows), _total(rows)]),
            "",
            f"Hash over all traces: `{hash_of_all(outcomes)}`.",
            "",
            "## What was claimed",
            "",
            *claims,
            *(["", "## What failed", "", *failures[:PROBLEMS_SHOWN]] if failures else []),
            "",
        ]
    )


def hash_of_all(outcomes: Sequence[Outcome]) -> str:
    """Return one hash for the traces of all runs, in their order."""
    return "0x" + hashlib.sha256("".join(outcome.trace_hash for outcome in outcomes).encode()).hexdigest()


def _total(rows: Sequence[Row]) -> tuple[str, ...]:
    failed = sum(row.failed for row in rows)
    seeds, seconds = sum(row.seeds for row in rows), sum(row.seconds for row in rows)
    return (
        "",
        f"{len(rows)} scenarios",
        f"{seeds:,}",
        f"{sum(row.stakes for row in rows):,}",
        f"{sum(row.heights for row in rows):,}",
        f"{sum(row.events for row in rows):,}",
        f"{seconds / max(seeds, 1):.2f}",
        "held" if not failed else f"{failed} FAILED",
    )
