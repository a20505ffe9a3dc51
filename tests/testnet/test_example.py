"""`examples/deploy_testnet.py` does what it says, as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.processes import free_offset

from sdk.testnet.deployment.apply import deployed, local

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_the_example_deploys_pays_looks_and_goes_on_with_its_chain_when_it_is_run_again(
    tmp_path: Path,
) -> None:
    command = [
        sys.executable, str(ROOT / "examples" / "deploy_testnet.py"),
        "--folder", "mine", "--validators", "2", "--port-offset", str(free_offset()),
    ]  # fmt: skip
    outputs = []
    for _ in range(2):
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        outputs.append(done.stdout)

    first, second = outputs
    for output in outputs:
        assert re.search(r"the faucet sends 100,000,000,000 gwei to 0x[0-9a-f]{40}: 0x[0-9a-f]{64}", output)
        assert "it has 100 tokens now, final at once" in output
        assert "2 of 2 nodes are healthy, at block" in output
        assert output.endswith("stopped; keys and chain are kept, and the next run goes on with them\n")
    (genesis,) = {re.search(r"genesis (0x[0-9a-f]+)", output)[1] for output in outputs}  # type: ignore[index]
    assert genesis
    assert "\n0 files in " in second or second.startswith("0 files in ")
    assert int(re.search(r"at block (\d+)\n", second)[1]) > int(re.search(r"at block (\d+)\n", first)[1])  # type: ignore[index]
    assert not local.is_running(deployed.directory_of(tmp_path / "mine"))
