"""The README's snippets run as they stand, on a running network; only the port is another."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunningNetwork

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SUCCESS = re.compile(r"block \d+ is final; status 1\n")

pytestmark = pytest.mark.timeout(300)


def snippet(language: str, network: RunningNetwork) -> str:
    """The one block of this language, pointed at the network under test."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    assert "http://127.0.0.1:8545" in text
    return text.replace("http://127.0.0.1:8545", network.http_url)


def run(*command: str, cwd: Path) -> str:
    finished = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=90, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_web3py_snippet_sends_a_transaction(network: RunningNetwork, tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(snippet("python", network))

    assert SUCCESS.fullmatch(run(sys.executable, "snippet.py", cwd=tmp_path))


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: apt-get install nodejs npm")
def test_the_ethers_snippet_sends_a_transaction(network: RunningNetwork, tmp_path: Path) -> None:
    modules = ROOT / "tests" / "acceptance" / "javascript" / "node_modules"
    if not modules.exists():
        pytest.fail("the JavaScript clients are not installed: make setup-dev")
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "snippet.mjs").write_text(snippet("js", network))

    assert SUCCESS.fullmatch(run("node", "snippet.mjs", cwd=tmp_path))


def test_every_command_of_the_readme_exists(tmp_path: Path) -> None:
    lines = re.findall(r"^\.venv/bin/metanode (.*?)(?:\s+#.*)?$", README, flags=re.MULTILINE)
    assert len(lines) >= 5
    for line in lines:
        words = re.findall(r"[^\s]+", line)
        command = [word for word in words[:2] if re.fullmatch(r"[a-z]+", word)]
        text = run(sys.executable, "-m", "metanode", *command, "--help", cwd=tmp_path)
        for option in (word for word in words if word.startswith("--")):
            assert option in text, line
