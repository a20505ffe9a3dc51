"""`make conformance`: run the official cases and print suite x passed, failed, not applicable. Exits with 1 when one fails."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conformance import report, running
from tests.conformance.archive import ArchiveAbsent, ArchiveDamaged, open_archive


def main(words: Sequence[str] | None = None) -> int:
    """Run the program, with the words of its own command line unless others are given, and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument(
        "--vectors", type=Path, help="an unpacked directory of the archive's layout, or an archive"
    )
    parser.add_argument("--cases", default="*", help="shell pattern over file, or over file::case")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 2)
    parser.add_argument(
        "--json", type=Path, default=Path("build/conformance.json"), help="where the results go"
    )
    parser.add_argument("--report", action="store_true", help="write docs/evidence/conformance.md")
    parser.add_argument("--commit", default="unknown", help="what the page says of the code")
    arguments = parser.parse_args(words)
    if arguments.report and (arguments.cases != "*" or arguments.vectors):
        parser.error("--report is for the whole archive: leave out --cases and --vectors")
    try:
        archive = open_archive(arguments.vectors)
    except (ArchiveAbsent, ArchiveDamaged) as error:
        print(error, file=sys.stderr)
        return 2
    results = running.run(archive, pattern=arguments.cases, processes=arguments.processes, is_shown=True)
    if not results.judged:
        print(f"no case matches {arguments.cases!r}", file=sys.stderr)
        return 2
    report.write_json(results, arguments.json)
    if arguments.report:
        report.EVIDENCE.write_text(report.page(results, commit=arguments.commit))
    print(report.failures(results))
    print(report.table(results))
    print(f"{len(results.judged)} verdicts in {results.took_s:.0f} s; all of them in {arguments.json}")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
