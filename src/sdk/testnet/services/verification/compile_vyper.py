"""Compiles a standard JSON input with Vyper, from the standard input to the standard output. Only what is in the input is read as a source."""

from __future__ import annotations

import contextlib
import json
import sys


def main() -> None:
    """Answer in the form of solc: what is wrong with the sources stands in `errors`."""
    from vyper.cli.vyper_json import compile_json  # type: ignore[import-untyped]  # noqa: PLC0415 - a second to import, and only here
    from vyper.exceptions import VyperException  # type: ignore[import-untyped]  # noqa: PLC0415 - the same

    given = json.load(sys.stdin)
    try:
        # It tells what went wrong there too.
        with contextlib.redirect_stdout(sys.stderr):
            answer = compile_json(given)
    except (
        VyperException,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        # The compiler raises some of these for inputs it does not expect.
        message = str(error) or type(error).__name__
        answer = {
            "errors": [{"severity": "error", "message": message, "formattedMessage": message}],
            "contracts": {},
        }
    json.dump(answer, sys.stdout, default=str)


if __name__ == "__main__":
    main()
