"""The documentation beside the explorer: served at /docs by the services' own process, under their policy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
from mkdocs.commands.build import build
from mkdocs.config import load_config
from tests.acceptance.processes import wait_until
from tests.testnet.pages.served import free_port

ROOT = Path(__file__).resolve().parents[3]
SERVICES = (
    '[network]\nnetwork_id = "n"\nchain_id = 1\nrpc_urls = ["http://127.0.0.1:1"]\n'
    '[explorer]\nport = {port}\ndocs_directory = "site"\n'
)


def test_the_documentation_is_at_docs_and_in_the_menu(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "services.toml"
    config.write_text(SERVICES.format(port=port))
    command = [sys.executable, "-m", "sdk.testnet.services.program", str(config), "explorer"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "explorer.docs_directory: found no index.html in " in refused.stderr
    assert "`make docs-site` builds" in refused.stderr

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site")))
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(f"{url}/healthz"), within_s=60, what="it answers")
        home = httpx.get(f"{url}/docs", follow_redirects=True)
        assert "A BFT EVM testnet in one command" in home.text
        assert "script-src 'self'" in home.headers["content-security-policy"]
        assert httpx.get(f"{url}/docs/guide/wallets.html").status_code == 200
        assert httpx.get(f"{url}/docs/nothing.html").status_code == 404
        assert 'href="/docs/"' in httpx.get(url).text
    finally:
        process.terminate()
        assert process.wait(20) == 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
