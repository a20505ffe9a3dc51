"""Commands that are printed to be typed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from metanode.cli.network import typed_command
from sdk.testnet.deployment.apply.layout import NetworkDirectory

if TYPE_CHECKING:
    from pathlib import Path


def test_a_command_names_its_directory_whatever_that_is_called(tmp_path: Path) -> None:
    where = NetworkDirectory(tmp_path / "{net} of {} mine")

    words = shlex.split(typed_command(where).format("up"))

    assert words[1:] == ["up", "--directory", str(where.path)]
