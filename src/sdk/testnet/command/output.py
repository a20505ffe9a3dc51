"""How commands speak: tables for people, one JSON document for programs, errors and warnings on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from metanode.errors import MetanodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sdk.testnet.deployment.apply.services import ServiceStatus

WIDTH_MIN = 130
"""An address or a key that is cut is of no use: a narrower terminal wraps the lines instead."""


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def print_line(document: Any) -> None:
    """Print one JSON document on a line of stdout, at once: for whoever waits for it while the command goes on."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def log_on_stderr() -> None:
    """Leave stdout to the document: what this process logs from now on goes to stderr."""
    import structlog  # noqa: PLC0415 - for the few commands that log

    # Looked up for each line: who captures stderr for a while does not keep it.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table on stdout whose cells are never cut, and mean what they say: an IPv6 address in brackets is no markup."""
    if title is not None:
        sys.stdout.write(f"{title}\n")
        sys.stdout.flush()
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*map(_plain, row))
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH_MIN)
    console.print(table)


def _plain(cell: str) -> Text:
    """A cell without markup, and without what a terminal would obey: some are a stranger's words."""
    return Text("".join(each if each.isprintable() or each == "\n" else " " for each in cell))


def print_services(services: Sequence[ServiceStatus]) -> None:
    """Print on stdout where each service is, and its pages that have names of their own; nothing where there are none."""
    if not services:
        return
    rows = []
    for each in services:
        rows.append((each.name, each.url, each.state))
        rows += [(page, f"{each.url}/{page}", each.state) for page in each.pages]
    print_table(("service", "address", "state"), rows)


def print_progress(text: str) -> None:
    """Print on stderr what has been reached."""
    sys.stderr.write(f"{text}\n")


def print_error(text: str) -> None:
    """Print why the command failed on stderr."""
    sys.stderr.write(f"error: {text}\n")


def print_warning(text: str) -> None:
    """Print on stderr what the reader should know although the command goes on."""
    sys.stderr.write(f"warning: {text}\n")


@contextlib.contextmanager
def progress(text: str, *, silent: bool = False) -> Iterator[Callable[[str], None]]:
    """Say on stderr what is being done: a live line on a terminal, a line for each step elsewhere. Gives a call that says the next step."""
    if silent:
        yield lambda _: None
        return
    console = Console(stderr=True, highlight=False, markup=False)
    said = ""
    with console.status(Text(text)) as live:

        def say(step: str) -> None:
            nonlocal said
            if step != said:
                said = step
                live.update(Text(step))
                if not console.is_terminal:
                    console.print(step)

        say(text)
        yield say


def run_program(app: Callable[[], Any]) -> int:
    """Run a command line; the exit code. Faults of files that a command was given are the caller's, and one sentence too."""
    try:
        app()
    except MetanodeError as error:
        print_error(str(error))
        return 1
    except BrokenPipeError:
        return 141
    except OSError as error:
        print_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
