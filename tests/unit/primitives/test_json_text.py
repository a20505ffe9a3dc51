"""Files of strangers that nest without an end."""

import subprocess
import sys

import pytest

from metanode.primitives.json_text import parse_json


def test_a_genesis_that_nests_deeply_is_refused_even_where_a_library_has_raised_the_recursion_limit() -> None:
    # In a process of its own: what this is about ends the process.
    program = "import sys\nfrom metanode.chain.genesis import parse_genesis\nsys.setrecursionlimit(100_000)\nparse_genesis('[' * 1_000_000)"
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert finished.returncode == 1, finished.returncode
    assert "genesis: expected JSON" in finished.stderr.splitlines()[-1]


def test_the_recursion_limit_is_as_before() -> None:
    limit = sys.getrecursionlimit()
    with pytest.raises(ValueError, match="Expecting"):
        parse_json("[")
    assert sys.getrecursionlimit() == limit
    assert parse_json(b'{"a": [1]}') == {"a": [1]}
