"""The npm package @metanode/provider against a real network with a real faucet, by Node's own test runner; and its types by TypeScript's compiler."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from eth_utils.address import to_checksum_address
from tests.acceptance.processes import Endpoint, wait_until
from tests.conftest import RunningNetwork, start
from tests.testnet.api_server import serving
from tests.testnet.index_chain import Chain, call_of, word
from tests.testnet.index_runs import index_to

from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.node.listening import open_listener
from sdk.testnet import Faucet, FaucetConfig
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.services.faucet.app import make_app
from sdk.testnet.services.indexer.events import TRANSFER
from sdk.testnet.services.store import Store
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

INDEXED_BLOCKS = 5
PACKAGE = Path(__file__).parents[2] / "clients" / "js"

pytestmark = [
    pytest.mark.skipif(
        shutil.which("node") is None, reason="node is not installed: apt-get install nodejs npm"
    ),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def parvyom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    running = start(
        tmp_path_factory.mktemp("parvyom"),
        network_name="parvyom-testnet-v1",
        chain_id=1337,
        gas_limit=8_000_000,
    )
    yield running
    local.stop_network(running.directory)


def funded_by_the_faucet(network: RunningNetwork, path: Path, monkeypatch: pytest.MonkeyPatch) -> PrivateKey:
    """A new account, and a hundred tokens that a faucet has sent it."""
    monkeypatch.setenv("FAUCET_PRIVATE_KEY", funded_accounts()[4].private_key)
    config = FaucetConfig(rpc_url=network.http_url, database_url=f"sqlite:///{path / 'faucet.db'}")
    key = PrivateKey(secrets.token_bytes(32))

    async def pay() -> dict[str, Any]:
        async with Faucet(config) as faucet:
            return await faucet.request_tokens(format_address(key.address), "127.0.0.1")

    paid = asyncio.run(pay())
    assert paid["success"], paid
    wait_until(
        lambda: int(Endpoint(network.http_url).call("eth_getBalance", format_address(key.address), "latest"), 16),
        within_s=30.0, what="the faucet's coins are there",
    )  # fmt: skip
    return key


@contextlib.contextmanager
def faucet_service(network: RunningNetwork, path: Path) -> Iterator[str]:
    """The faucet's own site with the smallest puzzle that it asks, paying on this network; where it is."""
    config = FaucetConfig(
        rpc_url=network.http_url,
        database_url=f"sqlite:///{path / 'site.db'}",
        proof_of_work=True,
        proof_of_work_bits=6,
    )
    site = Site(network_name=network.plan.spec.network_name, chain_id=network.plan.spec.chain_id)
    faucet = Faucet(config)
    listener = open_listener("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(make_app(faucet, site), log_config=None, ws="none", proxy_headers=False)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started, within_s=30.0, what="the faucet's site is up")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        asyncio.run(faucet.close())
        listener.close()


def speaking_token(network: RunningNetwork) -> tuple[str, int]:
    """A contract that has a symbol and emits a transfer of ERC-20: its address, and the block of that."""
    with Chain(network.http_url, funded_accounts()[5]) as chain:
        token = chain.speaker(b"Speaker", "SPK", 0)
        moved = [TRANSFER, word(0), word(token), word(1)]
        receipt = chain.do(to=token, data=call_of("say3(bytes32,bytes32,bytes32,bytes)", *moved))
    assert receipt["status"] == "0x1"
    return to_checksum_address(token), int(receipt["blockNumber"], 16)


def installed() -> None:
    if not (PACKAGE / "node_modules").exists():
        pytest.fail("the packages of clients/js are not installed: make setup-dev")


def test_its_tests_pass_against_a_real_network(
    parvyom: RunningNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed()
    settings = {
        "rpc_url": parvyom.http_url,
        "validators": len(parvyom.plan.validators),
        "funded_key": funded_accounts()[3].private_key,
        "faucet_funded_key": "0x" + funded_by_the_faucet(parvyom, tmp_path, monkeypatch).secret.hex(),
    }
    file = tmp_path / "settings.json"
    settings["token"], number = speaking_token(parvyom)

    store = Store(f"sqlite:///{tmp_path / 'index.db'}")
    asyncio.run(index_to(store, parvyom.http_url, max(INDEXED_BLOCKS, number)))
    with (
        faucet_service(parvyom, tmp_path) as faucet_url,
        serving(store, parvyom.http_url, network_name=parvyom.plan.spec.network_name) as api_url,
    ):
        file.write_text(json.dumps(settings | {"faucet_url": faucet_url, "api_url": api_url}))
        finished = subprocess.run(
            ["node", "--test", "--test-reporter=tap", *sorted(map(str, (PACKAGE / "test").glob("*.test.js")))],
            cwd=PACKAGE, env={**os.environ, "METANODE_TEST_SETTINGS": str(file)},
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip

    assert finished.returncode == 0, finished.stdout + finished.stderr
    passed = re.search(r"^# pass (\d+)$", finished.stdout, flags=re.MULTILINE)
    assert passed is not None, finished.stdout
    assert int(passed[1]) >= 22
    assert "# skipped 0" in finished.stdout


def test_its_types_are_what_its_users_write() -> None:
    installed()
    finished = subprocess.run(
        [PACKAGE / "node_modules" / ".bin" / "tsc", "--project", "test"],
        cwd=PACKAGE, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert finished.returncode == 0, finished.stdout


def test_every_export_has_a_type_and_every_type_an_export() -> None:
    exported = set(re.findall(r"\b([A-Z]\w+)\b(?= \}|,)", (PACKAGE / "src" / "index.js").read_text()))
    typed = set(
        re.findall(r"^export class (\w+)", (PACKAGE / "src" / "index.d.ts").read_text(), flags=re.MULTILINE)
    )

    assert exported - {"MetanodeProvider"} == typed


def test_what_is_packed_is_the_source_and_nothing_else() -> None:
    packed = subprocess.run(
        ["npm", "pack", "--dry-run", "--json", "--ignore-scripts"],
        cwd=PACKAGE, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    (found,) = json.loads(packed.stdout)
    assert found["name"] == "@metanode/provider"
    names = {file["path"] for file in found["files"]}
    assert names == {"package.json", "README.md"} | {
        f"src/{path.name}" for path in (PACKAGE / "src").iterdir()
    }
