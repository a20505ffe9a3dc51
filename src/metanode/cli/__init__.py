"""The `metanode` command: a local network in one command, and everything an operator asks of a node.

Each command group lives in a file of its own. Output is Rich for people and, with `--json`, one JSON document for
programs. Whatever goes wrong on purpose (`MetanodeError`) is one sentence on stderr and exit code 1.
"""

from metanode.cli.program import main

__all__ = ["main"]
