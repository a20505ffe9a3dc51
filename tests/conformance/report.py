"""What a run says: a table to read, JSON to compare, and the page docs/evidence/conformance.md."""

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Final

from tests.conformance.archive import ROOT
from tests.conformance.running import Results, Tally
from tests.conformance.verdicts import Status

EVIDENCE: Final = ROOT / "docs" / "evidence" / "conformance.md"
REASONS_MAX: Final = 12
"""Of one suite on the page; the JSON has all."""
REASON_CHARACTERS_MAX: Final = 160

HEAD: Final = """# Conformance

The official cases of `vectors.tar.xz` against this code, each through what a node runs: blocks through the engine's `validate` and `finalize`,
where an invalid one must be refused for the reason that its case names,
transactions on a given state through what runs them in blocks, calls through `eth_call`, requests through the JSON-RPC server, keys, RLP and
tries through the modules that nodes use. Mnemonics go through what reads them for `metanode account derive`, whose lists of words and derivation are eth-account's.
Typed data is hashed by eth-account and signed by our keys: what validators sign is EIP-712 with structures of its own (`chain/signing.py`),
which the unit tests compare with eth-account, so that these cases judge the judge. A case is one entry of the archive's `MANIFEST.json`, and their number is checked file by file. Wycheproof's keys and
signatures come as DER, ours as 64 and 65 bytes: the harness reads them strictly, and of those that pass, 255 cases of ECDH and 234 of ECDSA are refused
there and never reach our code. Checks are beyond the manifest: a chain of another client, and the examples in the texts of standards. The JSON-RPC suite asks about an imported chain of another network:
its pool takes blob transactions, checks their blobs and keeps none, while pools of our own networks, whose blocks have no blobs, refuse them. `make conformance CASES='ethereum-tests/*'` runs a part.
"""


def table(results: Results) -> str:
    """Suite by suite, for a terminal."""
    rows = [("suite", "passed", "failed", "not applicable", "checks beyond the manifest")]
    for name, tally in results.tallies().items():
        rows.append((name, *counts_of(tally), checks_of(tally)))
    rows.append(("all", *counts_of(total_of(results)), checks_of(total_of(results))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def failures(results: Results) -> str:
    """Why cases failed, the commonest reason of a suite first, with a case to run again."""
    lines = []
    for name, tally in results.tallies().items():
        for reason, count in tally.reasons.most_common(REASONS_MAX):
            first = next(
                one.id for one in results.judged if one.suite == name and one.verdict.reason == reason
            )
            lines.append(f"{name}: {count} x {reason}\n    CASES='{escaped(first)}'")
    return "\n".join(lines)


def escaped(case: str) -> str:
    """A case as a shell pattern that picks it alone."""
    return case.replace("[", "[[]")


def counts_of(tally: Tally) -> tuple[str, str, str]:
    """The three columns of a row."""
    passed, failed, not_applicable = (tally.cases[status] for status in Status)
    return str(passed), str(failed), str(not_applicable)


def checks_of(tally: Tally) -> str:
    """The last column."""
    total = sum(tally.checks.values())
    return f"{tally.checks[Status.PASSED]} of {total} passed" if total else ""


def total_of(results: Results) -> Tally:
    """All suites together."""
    total = Tally(Counter(), Counter(), Counter(), Counter())
    for tally in results.tallies().values():
        total.cases += tally.cases
        total.checks += tally.checks
    return total


def write_json(results: Results, path: Path) -> None:
    """Every case with its status, and with the reason of those that did not pass."""
    content = {
        "took_s": round(results.took_s, 1),
        "suites": {
            name: {"cases": dict(tally.cases), "checks": dict(tally.checks)}
            for name, tally in results.tallies().items()
        },
        "cases": [
            {
                "id": one.id,
                "suite": one.suite,
                "status": one.verdict.status,
                "reason": one.verdict.reason,
                "counts": one.verdict.counts,
            }
            for one in results.judged
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def page(results: Results, *, commit: str) -> str:
    """The text of docs/evidence/conformance.md, of a run on the code of a commit."""
    written = (
        f"Written by `make conformance REPORT=1` on {dt.datetime.now(dt.UTC):%Y-%m-%d} at commit {commit}.\n"
    )
    lines = [
        HEAD,
        written,
        "| suite | passed | failed | not applicable | checks |",
        "|---|---:|---:|---:|---|",
    ]
    for name, tally in results.tallies().items():
        lines.append(f"| {name} | {' | '.join(counts_of(tally))} | {checks_of(tally)} |")
    total = total_of(results)
    lines.append(f"| **all** | {' | '.join(counts_of(total))} | {checks_of(total)} |")
    lines += section(
        "What fails, and why", {name: tally.reasons for name, tally in results.tallies().items()}
    )
    lines += section(
        "What is not applicable, and why",
        {name: tally.not_applicable for name, tally in results.tallies().items()},
    )
    return "\n".join(lines) + "\n"


def section(title: str, by_suite: dict[str, Counter[str]]) -> list[str]:
    """A list of reasons by suite."""
    lines = ["", f"## {title}", ""]
    for name, reasons in by_suite.items():
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:REASONS_MAX]:
            lines.append(f"- {name}, {count}: {reason[:REASON_CHARACTERS_MAX]}")
        if len(reasons) > REASONS_MAX:
            lines.append(f"- {name}: {len(reasons) - REASONS_MAX} more reasons")
    return lines if len(lines) > 3 else [*lines, "Nothing."]
