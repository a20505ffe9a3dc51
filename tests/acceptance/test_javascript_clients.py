"""ethers and viem, unmodified, against four real validators."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunningNetwork

HERE = Path(__file__).parent / "javascript"

pytestmark = [
    pytest.mark.skipif(
        shutil.which("node") is None, reason="node is not installed: apt-get install nodejs npm"
    ),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize(
    ("client", "account", "recipient"), [("ethers", 1, "0x" + "e1" * 20), ("viem", 2, "0x" + "e2" * 20)]
)
def test_a_client_runs_its_whole_flow_without_middleware(
    network: RunningNetwork, accounts, counter, tmp_path: Path, client: str, account: int, recipient: str
) -> None:
    if not (HERE / "node_modules").exists():
        pytest.fail("the JavaScript clients are not installed: make setup-dev")
    settings = {
        "http_url": network.http_url,
        "ws_url": network.ws_url,
        "chain_id": network.plan.spec.chain_id,
        "private_key": accounts[account].private_key,
        "recipient": recipient,
        **counter,
    }
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(settings))

    finished = subprocess.run(
        ["node", str(HERE / f"{client}_flow.mjs"), str(file)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    results = json.loads(finished.stdout)
    assert results.pop("block") >= 1
    assert results.pop("code_bytes") > 100
    assert results == {
        "chain_id": 1337,
        "transfer": {"status": 1, "gas_used": 21000},
        "recipient_balance": str(15 * 10**17),
        "doubled": 42,
        "subscribed_value": 21,
        "logged_value": 21,
        "revert_reason": "amount too large",
        "estimate_revert_reason": "amount too large",
        "fees_cover_base": True,
        "types": [[1, 0, 0], [1, 1, 1], [1, 2, 2]],
        "delegation": [1, True, 14, True],
        "parallel": 20,
    }
