"""The `testnet` command: the toolkit for people and scripts, one file a group; `program` has them all.

Output is Rich for people and, with `--json`, one JSON document for programs. Whatever goes wrong on purpose (`MetanodeError`) is one sentence on
stderr and exit code 1.
"""
