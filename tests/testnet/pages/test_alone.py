"""Each service alone, by its documented command: it starts, says that it is well, serves its pages, ends soon, and says in a sentence what it lacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.acceptance.processes import slowness, wait_until
from tests.testnet.pages.served import free_port

from sdk.testnet import Testnet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

END_S = 5.0
"""From SIGTERM to the end of the process."""
START_S = 30.0


@dataclass(frozen=True)
class Alone:
    """One service: what its table has besides, what it listens to, and what it answers over an index that has blocks."""

    name: str
    site: str
    pages: tuple[str, ...]
    more: str = ""


SERVICES = (
    Alone("indexer", "metrics", ("/metrics",)),
    Alone("explorer", "explorer", ("/", "/blocks", "/dashboard", "/index.json")),
    Alone("dashboard", "explorer", ("/dashboard",)),
    Alone("faucet", "faucet", ("/", "/status", "/rules", "/api/v1/faucet")),
    Alone("api", "api", ("/docs", "/api/v1/blocks", "/openapi.json")),
    Alone("gateway", "gateway", ()),
)


@pytest.fixture(scope="module")
def net() -> Iterator[Testnet]:
    with Testnet(validators=1, block_time_s=1, in_memory=True) as running:
        yield running


@pytest.fixture(scope="module")
def index(net: Testnet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of some blocks in it, which the indexer alone has made."""
    folder = tmp_path_factory.mktemp("alone")
    with started(SERVICES[0], net, folder) as url:
        wait_until(lambda: is_answered(f"{url}/readyz"), within_s=START_S, what="the indexer is at the head")
    return folder


def configuration(service: Alone, net: Testnet, folder: Path, port: int, *, network: str = "") -> Path:
    path = folder / f"{service.name}.toml"
    network = network or f'network_id = "n"\nchain_id = {net.chain_id}\nrpc_urls = ["{net.rpc_url}"]'
    path.write_text(f"[network]\n{network}\n[{service.site}]\nport = {port}\n{service.more}")
    return path


def command(service: Alone, config: Path) -> list[str]:
    return [sys.executable, "-m", "sdk.testnet", "service", service.name, "--config", str(config)]


def refusal(service: Alone, config: Path, key: str = "0x" + "11" * 32) -> str:
    """What a service says that ends by itself; without its log, which is on the other stream."""
    ended = subprocess.run(
        command(service, config),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"FAUCET_PRIVATE_KEY": key},
    )
    assert ended.returncode == 1, ended
    return ended.stderr


@contextmanager
def started(service: Alone, net: Testnet, folder: Path, *, network: str = "") -> Iterator[str]:
    """The service by its command; at the end it is told to end, and has to do so well and soon."""
    port = free_port()
    config = configuration(service, net, folder, port, network=network)
    said = folder / f"{service.name}.stderr"
    with said.open("wb") as errors:
        process = subprocess.Popen(
            command(service, config),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | {"FAUCET_PRIVATE_KEY": net.accounts[3].private_key},
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(
            lambda: is_answered(f"{url}/healthz") or process.poll() is not None,
            within_s=START_S,
            what=f"the {service.name} answers",
        )
        assert process.poll() is None, said.read_text()
        yield url
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, said.read_text()
        assert time.monotonic() - began_s < END_S * slowness()
        assert said.read_text() == ""
    finally:
        process.kill()
        process.wait()


def is_answered(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_it_starts_is_well_serves_its_pages_and_ends_within_five_seconds(
    service: Alone, net: Testnet, index: Path
) -> None:
    with started(service, net, index) as url:
        for page in service.pages:
            assert httpx.get(url + page, timeout=20).status_code == 200, page
        if service.name not in {"explorer", "dashboard", "api"}:
            wait_until(lambda: is_answered(f"{url}/readyz"), within_s=START_S, what="it is ready")
        if service.name == "gateway":
            answer = httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []})
            assert int(answer.json()["result"], 16) == net.chain_id


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_over_the_nodes_of_another_network_it_ends_with_a_sentence(
    service: Alone, net: Testnet, tmp_path: Path
) -> None:
    other = f'network_id = "n"\nchain_id = 4242\nrpc_urls = ["{net.rpc_url}"]'
    config = configuration(service, net, tmp_path, free_port(), network=other)
    assert refusal(service, config, net.accounts[3].private_key) == (
        f"error: network.chain_id: found 4242, and network.rpc_urls[0] is a node of chain {net.chain_id}; "
        "set the chain id of your network, or name its nodes\n"
    )


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("indexer", "node unavailable"),
        ("explorer", "no node answers"),
        ("faucet", "the node does not answer"),
        ("api", "node: does not answer"),
        ("gateway", "No node can answer"),
    ],
)
def test_without_a_node_it_starts_and_says_so(name: str, word: str, net: Testnet, tmp_path: Path) -> None:
    (service,) = [one for one in SERVICES if one.name == name]
    nobody = f'network_id = "n"\nchain_id = 1\nrpc_urls = ["http://127.0.0.1:{free_port()}"]'
    with started(service, net, tmp_path, network=nobody) as url:
        wait_until(
            lambda: word in httpx.get(f"{url}/readyz", timeout=20).text,
            within_s=20,
            what=lambda: httpx.get(f"{url}/readyz", timeout=20).text,
        )
        assert httpx.get(f"{url}/readyz", timeout=20).status_code == 503


@pytest.mark.parametrize(("name", "page"), [("explorer", "/"), ("api", "/api/v1/blocks")])
def test_without_an_index_it_starts_and_says_so(name: str, page: str, net: Testnet, tmp_path: Path) -> None:
    (service,) = [one for one in SERVICES if one.name == name]
    with started(service, net, tmp_path) as url:
        assert "index" in httpx.get(f"{url}/readyz", timeout=20).text
        assert "empty" in httpx.get(f"{url}/readyz", timeout=20).text
        wait_until(
            lambda: any(
                words in httpx.get(url + page, timeout=20).text
                for words in ("index is empty", "no block yet")
            ),
            within_s=20,
            what=lambda: httpx.get(url + page, timeout=20).text,
        )


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ('[database]\nredis_url = "nonsense"', "database.redis_url: expected redis://HOST:PORT"),
        (
            '[database]\npostgres_url = "mysql://db"',
            "database_url: found mysql; expected sqlite or postgresql",
        ),
        ('[database]\npostgres_url = "${NOT_SET}"', "environment variable NOT_SET is not set"),
    ],
    ids=["redis", "database", "environment"],
)
def test_a_setting_that_cannot_be_is_told_in_a_sentence(
    setting: str, sentence: str, net: Testnet, tmp_path: Path
) -> None:
    config = configuration(Alone("api", "api", (), setting), net, tmp_path, free_port())
    said = refusal(SERVICES[4], config)
    assert sentence in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_faucet_without_a_key_says_which_it_needs(net: Testnet, tmp_path: Path) -> None:
    config = configuration(SERVICES[3], net, tmp_path, free_port())
    assert "needs a key; give a key file, or a hexadecimal key in the environment variable" in refusal(
        SERVICES[3], config, ""
    )
