"""A Testnet is a new network: it takes nothing from one that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from metanode.errors import InvalidInput
from sdk.testnet import Testnet
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import NetworkSpec

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_with_a_network_is_left_as_it_is(tmp_path: Path) -> None:
    """Otherwise its end would stop the network of `make up`."""
    directory = NetworkDirectory(tmp_path / "net")
    local.create_network(directory, NetworkSpec(validator_count=1))
    directory.owner_file.parent.mkdir(exist_ok=True)
    directory.owner_file.write_text("1")

    with pytest.raises(InvalidInput, match=r"directory: .*net holds a network already"):
        Testnet(1, directory=tmp_path / "net").start()

    assert directory.owner_file.read_text() == "1"
