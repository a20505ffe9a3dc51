"""JSON of files that strangers wrote, by the standard library's parser, whose depth is bounded by Python's recursion limit only.

A library that raises that limit (py_ecc sets 100,000 when it is imported) lets deeply nested brackets run over the C stack and end the process.
"""

import json
import sys
from typing import Any, Final

RECURSION_MAX: Final = 1_000
"""Python's own default. None of our files nests deeper than ten."""


def parse_json(text: bytes | str) -> Any:
    """Return what the text says; raises ValueError, RecursionError when it nests too deeply."""
    limit = sys.getrecursionlimit()
    if limit <= RECURSION_MAX:
        return json.loads(text)
    sys.setrecursionlimit(RECURSION_MAX)
    try:
        return json.loads(text)
    finally:
        sys.setrecursionlimit(limit)
