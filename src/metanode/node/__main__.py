"""`python -m metanode.node DIRECTORY`: what `metanode node DIRECTORY` runs, without loading the rest of the command line.

The local supervisor starts nodes this way: four processes that begin at once share the cores, and every import counts.
"""

from __future__ import annotations

import sys
from pathlib import Path

from metanode.errors import MetanodeError
from metanode.node.app import run_node
from metanode.node.config import load_config


def main() -> int:
    """Run the node in the directory that the command line names; the exit code."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m metanode.node DIRECTORY\n")
        return 2
    home = Path(sys.argv[1]).resolve()
    try:
        loaded = load_config([home / "config.toml"])
        for warning in loaded.warnings:
            sys.stderr.write(f"warning: {warning}\n")
        run_node(loaded.config, home=home, genesis_file=None)
    except MetanodeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(
            f"error: {error.filename}: {error.strerror}\n" if error.filename else f"error: {error}\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
