"""`metanode node add` speaks to programs on stdout, and to whoever watches on stderr; nothing is started here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.acceptance.processes import free_offset
from typer.testing import CliRunner

from metanode.cli.program import app
from sdk.testnet.deployment.apply import local, services
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import NetworkSpec

if TYPE_CHECKING:
    from pathlib import Path


def test_a_program_reads_a_document_and_its_user_what_is_left_to_do(tmp_path: Path) -> None:
    where = NetworkDirectory(tmp_path)
    local.create_network(where, NetworkSpec(validator_count=1, port_offset=free_offset()), with_services=True)
    file = services.config_file(where)
    file.write_text(file.read_text().replace("rpc_urls = [", "rpc_urls = [ ", 1))

    added = CliRunner().invoke(app, ["node", "add", "--json", "--directory", str(tmp_path)])

    assert added.exit_code == 0, added.output
    assert json.loads(added.stdout)["name"] == "follower-1"
    assert "warning: the services are not told of it" in added.stderr
    assert "warning: the network is stopped" in added.stderr
