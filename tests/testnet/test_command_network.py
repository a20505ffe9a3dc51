"""`testnet up|down|status|faucet` on a real network, as a person types it."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.acceptance.processes import wait_until
from tests.testnet.test_command_genesis import run_testnet

from metanode.crypto.addresses import format_address
from metanode.crypto.keystore import SCRYPT_N_LOCAL, save_key, write_secret_file
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet import Faucet, FaucetConfig, Testnet
from sdk.testnet.command.output import run_program
from sdk.testnet.command.program import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

KEY = PrivateKey(b"\x0b" * 32)
LEDGER = ("--database", "sqlite:///ledger.db")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Testnet]]:
    """A directory like a deployment's: processes in `local`, the key of a faucet with 450 tokens in `data`."""
    path = tmp_path_factory.mktemp("deployment")
    write_secret_file(path / "data" / "faucet" / "faucet.password", b"secret\n")
    save_key(path / "data" / "faucet" / "faucet.json", KEY, "secret", scrypt_n=SCRYPT_N_LOCAL)
    with Testnet(
        1, block_time_s=1, directory=path / "local", balances={format_address(KEY.address): 450 * 10**18}
    ) as net:
        yield path, net


def test_status_shows_the_network_and_the_claims_that_are_left(place: tuple[Path, Testnet]) -> None:
    path, net = place

    shown = run_testnet("status", cwd=path).stdout
    found = json.loads(run_testnet("status", "--json", "-d", str(path), cwd=path.parent).stdout)

    assert net.rpc_url in shown
    # Another test may have been paid before.
    tokens = found["faucet"]["balance_gwei"] // 10**9
    assert 0 < tokens <= 450
    assert f"faucet: {tokens // 100} claims left, {tokens} tokens at {format_address(KEY.address)}" in shown
    assert found["faucet"]["claims_left"] == tokens // 100
    assert found["nodes"][0]["rpc_url"] == net.rpc_url
    assert found["height"] >= 1


def test_a_request_pays_within_limits_and_the_ledger_can_be_read_and_changed(
    place: tuple[Path, Testnet],
) -> None:
    path, net = place
    to = format_address(secrets.token_bytes(20))
    paying = (
        "faucet",
        "request",
        to,
        "--rpc-url",
        net.rpc_url,
        "--keystore",
        "data/faucet/faucet.json",
        *LEDGER,
    )

    paid = json.loads(run_testnet(*paying, "--json", cwd=path).stdout)

    assert (paid["success"], paid["amount"]) == (True, 100 * 10**9)
    wait_until(
        lambda: int(net.call("eth_getBalance", to, "latest"), 16) == 100 * 10**18,
        within_s=20,
        what="the coins",
    )
    stats = json.loads(run_testnet("faucet", "stats", *LEDGER, "--json", cwd=path).stdout)
    assert (stats["total_requests"], stats["successful_requests"]) == (1, 1)
    assert "100,000,000,000" in run_testnet("faucet", "stats", *LEDGER, cwd=path).stdout
    (row,) = json.loads(run_testnet("faucet", "history", *LEDGER, "--json", cwd=path).stdout)
    assert paid["tx_hash"] in row.values()
    assert paid["tx_hash"] in run_testnet("faucet", "history", *LEDGER, cwd=path).stdout

    assert "is blocked\n" in run_testnet("faucet", "block", to, *LEDGER, cwd=path).stdout
    assert "is blocked already" in run_testnet("faucet", "block", to, *LEDGER, cwd=path).stdout
    refused = run_testnet(*paying, cwd=path, expect=1)
    assert refused.stderr.endswith("error: This address is blocked\n")
    assert json.loads(run_testnet(*paying, "--json", cwd=path, expect=1).stdout)["success"] is False
    changed = json.loads(run_testnet("faucet", "unblock", to, *LEDGER, "--json", cwd=path).stdout)
    assert changed == {"who": to, "blocked": False, "changed": True}
    assert json.loads(run_testnet("faucet", "block", "10.0.0.0/8", *LEDGER, "--json", cwd=path).stdout)[
        "changed"
    ]
    assert "blocked: 10.0.0.0/8 (IP)" in run_testnet("faucet", "stats", *LEDGER, cwd=path).stdout
    assert (
        "10.0.0.0/8 is not blocked"
        in run_testnet("faucet", "unblock", "10.0.0.0/8", *LEDGER, cwd=path).stdout
    )
    assert "and was not" in run_testnet("faucet", "unblock", "10.0.0.0/8", *LEDGER, cwd=path).stdout


def test_who_is_allowed_is_set_and_shown_by_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = f"sqlite:///{tmp_path / 'faucet.db'}"
    Faucet(FaucetConfig(database_url=ledger)).get_stats()
    to = format_address(KEY.address)

    def run(*words: str) -> str:
        app(["faucet", *words, "--database", ledger], standalone_mode=False)
        return capsys.readouterr().out

    assert run("allow", to.lower()) == f"{to.lower()} is allowed\n"
    assert run("allow", to) == f"{to} is allowed already\n"
    assert json.loads(run("allow", "10.1.0.0/16", "--json")) == {
        "who": "10.1.0.0/16",
        "allowed": True,
        "changed": True,
    }
    assert run("stats").endswith(f"allowed: {to} (address)\nallowed: 10.1.0.0/16 (IP)\n")
    stats = json.loads(run("stats", "--json"))
    assert stats["allowed"] == {"addresses": [to], "ips": ["10.1.0.0/16"]}
    assert stats["blocked"] == {"addresses": [], "ips": []}
    assert json.loads(run("info", to, "--json"))["allowed"] is True
    assert run("disallow", to) == f"{to} is not allowed\n"
    assert run("disallow", to) == f"{to} is not allowed, and was not\n"
    assert json.loads(run("disallow", "10.1.0.0/16", "--json"))["changed"]
    assert "allowed:" not in run("stats")


def test_an_address_is_looked_up_and_old_requests_are_deleted(tmp_path: Path) -> None:
    faucet = Faucet(FaucetConfig(database_url=f"sqlite:///{tmp_path / 'ledger.db'}"))
    faucet.block_address(format_address(KEY.address))
    asked = ("faucet", "info", format_address(KEY.address).lower(), *LEDGER)

    info = json.loads(run_testnet(*asked, "--json", cwd=tmp_path).stdout)
    shown = [line.split() for line in run_testnet(*asked, cwd=tmp_path).stdout.splitlines()]

    assert info == faucet.get_address_info(format_address(KEY.address))
    assert (info["blocked"], info["can_request"], info["total_requests"]) == (True, False, 0)
    assert ["can", "request", "no"] in shown
    assert ["address", format_address(KEY.address)] in shown
    deleted = json.loads(run_testnet("faucet", "cleanup", *LEDGER, "--json", cwd=tmp_path).stdout)
    assert deleted == {"deleted": 0}
    assert run_testnet("faucet", "cleanup", *LEDGER, cwd=tmp_path).stdout == "0 requests deleted\n"


def test_the_explorer_shows_blocks_and_finds_what_is_in_them(place: tuple[Path, Testnet]) -> None:
    path, net = place
    net.wait_for_block(3)

    newest = json.loads(run_testnet("explorer", "blocks", "--count", "3", "--json", cwd=path).stdout)
    shown = run_testnet("explorer", "blocks", "--rpc-url", net.rpc_url, cwd=path.parent).stdout
    by_height = json.loads(run_testnet("explorer", "find", "2", "--json", cwd=path).stdout)
    by_hash = json.loads(run_testnet("explorer", "find", newest[1]["hash"], "--json", cwd=path).stdout)
    nothing = run_testnet("explorer", "find", "0x" + "12" * 32, cwd=path, expect=1)

    assert [block["height"] - newest[2]["height"] for block in newest] == [2, 1, 0]
    assert newest[0]["hash"] in shown
    assert by_height["kind"] == "block"
    assert by_height["found"]["hash"] == net.call("eth_getBlockByNumber", "0x2", False)["hash"]
    assert by_hash["found"]["height"] == newest[1]["height"]
    assert "leads to nothing in the newest" in nothing.stderr
    assert run_testnet("explorer", "find", "2", cwd=path).stdout.startswith("block\n")
    assert json.loads(run_testnet("explorer", "find", "9999999", "--json", cwd=path, expect=1).stdout) is None


def test_a_validator_s_account_is_no_faucet(place: tuple[Path, Testnet], tmp_path: Path) -> None:
    """What strangers reach must not hold the key of a vote."""
    path, net = place
    key = path / "local" / "nodes" / net.node(0).name / "validator.json"
    to = format_address(secrets.token_bytes(20))

    refused = run_testnet(
        "faucet", "request", to, "--rpc-url", net.rpc_url, "--keystore", str(key), *LEDGER, cwd=tmp_path, expect=1
    )  # fmt: skip

    assert "error: keystore: 0x" in refused.stderr
    assert "is a validator's account" in refused.stderr
    assert int(net.call("eth_getBalance", to, "pending"), 16) == 0


@pytest.mark.parametrize(
    ("nodes", "own"),
    [
        ('["{dead}", "{alive}"]', ""),
        ('["{alive}"]', 'rpc_url = "{dead}"\nbackup_rpc_urls = ["{alive}"]'),
    ],
    ids=["network.rpc_urls", "faucet.backup_rpc_urls"],
)
def test_with_a_dead_first_node_every_command_does_what_the_service_would(
    place: tuple[Path, Testnet], tmp_path: Path, nodes: str, own: str
) -> None:
    path, net = place
    text = f"""
        [network]
        network_id = "t"
        chain_id = 1337
        rpc_urls = {nodes}
        public_rpc_url = "https://rpc.example"
        [database]
        sqlite_path = "index/index.db"
        [faucet]
        keystore = "{path}/data/faucet/faucet.json"
        tokens_per_request = 5
        {own}
    """
    (tmp_path / "index").mkdir()
    (tmp_path / "services.toml").write_text(
        text.replace("{dead}", "http://127.0.0.1:9").replace("{alive}", net.rpc_url)
    )
    to = format_address(secrets.token_bytes(20))

    def run(*words: str, expect: int = 0) -> str:
        # From elsewhere: the ledger is where the file says, and not in the working directory.
        return run_testnet(
            "faucet", *words, "--config", str(tmp_path / "services.toml"), cwd=path, expect=expect
        ).stdout

    paid = json.loads(run("request", to, "--json"))

    assert (paid["success"], paid["amount"]) == (True, 5)
    assert (tmp_path / "index" / "faucet.db").exists()
    assert json.loads(run("stats", "--json"))["successful_requests"] == 1
    assert paid["tx_hash"] in run("history", to)
    assert f"{to} is blocked\n" in run("block", to)
    assert json.loads(run("request", to, "--json", expect=1))["error"] == "This address is blocked"
    assert f"{to} is not blocked\n" in run("unblock", to)


def test_when_no_node_answers_each_is_named_and_stdout_is_the_document_alone(
    place: tuple[Path, Testnet], tmp_path: Path
) -> None:
    path, _ = place
    (tmp_path / "services.toml").write_text(
        f"""
        network = {{ network_id = "t", chain_id = 1337, rpc_urls = ["http://127.0.0.1:9", "http://127.0.0.1:10"] }}
        faucet = {{ keystore = "{path}/data/faucet/faucet.json" }}
        """
    )
    asked = ("faucet", "request", format_address(secrets.token_bytes(20)), "--config", "services.toml")

    shown = run_testnet(*asked, "--json", cwd=tmp_path, expect=1)

    answer = json.loads(shown.stdout)
    assert answer["success"] is False
    assert "http://127.0.0.1:9 does not answer" in answer["error"]
    assert "http://127.0.0.1:10 does not answer" in answer["error"]
    assert "faucet_unavailable" in shown.stderr
    # What an option names is meant alone.
    alone = run_testnet(*asked, "--rpc-url", "http://127.0.0.1:11", cwd=tmp_path, expect=1).stderr
    assert "http://127.0.0.1:11 does not answer" in alone
    assert "http://127.0.0.1:10" not in alone


def test_monitor_gives_one_verdict_and_exit_code_1_when_nobody_answers(place: tuple[Path, Testnet]) -> None:
    path, net = place

    found = json.loads(run_testnet("monitor", net.rpc_url, "--json", cwd=path).stdout)
    shown = run_testnet("monitor", cwd=path).stdout
    alone = run_testnet("monitor", "http://127.0.0.1:9", cwd=path, expect=1).stdout

    assert found["verdict"]["state"] in {"HEALTHY", "STARTING", "DEGRADED", "SLOW"}
    assert found["metrics"]["current_height"] >= 1
    assert "validator-1" in shown
    assert alone.startswith("UNKNOWN: no node has answered yet\n")


def test_a_deployment_is_written_once_and_a_change_is_said_before_it_is_made(tmp_path: Path) -> None:
    asked = (
        "deploy",
        "-o",
        "net",
        "--validators",
        "2",
        "--port-offset",
        "21000",
        "--fund",
        f"0x{'22' * 20}=5",
    )

    made = json.loads(run_testnet(*asked, "--json", cwd=tmp_path).stdout)
    again = run_testnet(*asked, cwd=tmp_path)
    refused = run_testnet(*asked, "--block-time", "3", cwd=tmp_path, expect=1)
    status = run_testnet("status", "-d", "net", cwd=tmp_path, expect=1)
    fewer = json.loads(
        run_testnet(*asked, "--service", "faucet", "--confirm-changes", "--json", cwd=tmp_path).stdout
    )

    assert {"docker-compose.testnet.yml", "TESTNET_DEPLOYMENT.md"} <= set(made["created"])
    assert "nothing to change" in again.stderr
    assert made["deleted"] == []
    assert "prometheus.yml" in fewer["deleted"]
    assert made["genesis_hash"] in again.stdout
    assert "block_time_s: 2 -> 3\n  genesis: would be another one" in refused.stderr
    assert "Give --confirm-changes to do so" in refused.stderr
    assert "http://127.0.0.1:29545" in status.stdout


@contextmanager
def ready(*arguments: str, cwd: Path) -> Iterator[dict[str, Any]]:
    """The one document of a command that goes on, while it does; then SIGTERM, and nothing else was on stdout."""
    command = [sys.executable, "-m", "sdk.testnet", *arguments, "--json"]
    with (cwd / "stderr").open("w") as errors:
        process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield json.loads(line or "{}")
        process.terminate()
        assert (process.stdout.read(), process.wait(30)) == ("", 0), (cwd / "stderr").read_text()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_bootstrap_node_and_services_say_in_json_where_they_are_once_they_can_be_reached(
    place: tuple[Path, Testnet], tmp_path: Path
) -> None:
    _, net = place
    with ready("bootstrap", "run", "--listen-port", "0", "--http-port", "0", cwd=tmp_path) as node:
        listed = httpx.get(node["registry"], timeout=10)
        enode = httpx.get(node["registry"].replace("peers", "status"), timeout=10).json()
    assert node.keys() == {"enode", "registry"}
    assert node["enode"].startswith("enode://")
    assert listed.status_code == 200
    assert enode["active_peers"] == 0

    (tmp_path / "services.toml").write_text(
        f'[network]\nnetwork_id = "n"\nchain_id = {net.chain_id}\nrpc_urls = ["{net.rpc_url}"]\n'
        "[explorer]\nport = 0\n[gateway]\nport = 0\n"
    )
    with ready("service", "explorer", "gateway", "-c", "services.toml", cwd=tmp_path) as services:
        places = services["services"]
        assert places.keys() == {"explorer", "gateway"}
        assert httpx.get(f"http://{places['explorer']}/healthz", timeout=20).status_code == 200
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        assert (
            int(httpx.post(f"http://{places['gateway']}", json=body, timeout=20).json()["result"], 16)
            == net.chain_id
        )
    assert "service_listening" in (tmp_path / "stderr").read_text()


def test_down_stops_the_processes_and_up_goes_on_with_the_chain(tmp_path: Path) -> None:
    with Testnet(1, block_time_s=1, directory=tmp_path / "local") as net:
        net.wait_for_block(2)
        before = net.call("eth_getBlockByNumber", "0x2", False)["hash"]

        assert "stopped" in run_testnet("down", cwd=tmp_path).stdout
        assert not net.node(0).is_running
        assert (
            "the network is stopped; `testnet up` starts it"
            in run_testnet("status", cwd=tmp_path, expect=1).stderr
        )
        assert json.loads(run_testnet("down", "--json", cwd=tmp_path).stdout) == {"stopped": False}

        assert json.loads(run_testnet("up", "--json", cwd=tmp_path).stdout)["height"] >= 2
        assert net.call("eth_getBlockByNumber", "0x2", False)["hash"] == before
        assert "the network runs already" in run_testnet("up", cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("status",), "no network of processes in"),
        (("up",), "no network of processes in"),
        (("down",), "no network of processes in"),
        (("faucet", "stats"), "no ledger at"),
        (("monitor",), "no network of processes in"),
        (("monitor", "ftp://x"), "ftp://x"),
        (("explorer", "blocks"), "no network of processes in"),
        (("explorer", "find", "1", "--rpc-url", "http://127.0.0.1:9"), "http://127.0.0.1:9 does not answer"),
        (("explorer", "blocks", "--rpc-url", "ftp://x"), "ftp://x"),
        (("faucet", "info", "0x12", "--database", "sqlite:///none.db"), "no ledger at"),
        (("up", "--docker"), "no docker-compose.testnet.yml in"),
        (("down", "--docker"), "no docker-compose.testnet.yml in"),
        (("deploy", "--validators", "0"), "num_validators: found 0; expected 1 to 100"),
        (("deploy", "--fund", "x"), "--fund: found 'x'; expected ADDRESS=GWEI"),
        (("service", "explorer", "-c", "absent.toml"), "absent.toml: No such file or directory"),
        (("faucet", "stats", "--database", "mysql://x"), "database_url: expected sqlite:///PATH or postgresql://"),
        (("faucet", "request", "0x12"), "--rpc-url: missing"),
        (("faucet", "request", "0x12", "--rpc-url", "http://127.0.0.1:9", "--database", "sqlite:///none/x.db"), "/none for the ledger; make it"),
        (("faucet", "request", "0x12", "--rpc-url", "nonsense"), "rpc_url: expected http://HOST:PORT"),
        (("bootstrap", "peers", "http://127.0.0.1:9"), "expected the registry of a bootstrap node"),
        (("bootstrap", "stats", "nonsense"), "expected the registry of a bootstrap node"),
    ],
)  # fmt: skip
def test_a_fault_is_one_sentence_and_exit_code_1(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    code = run_program(lambda: app(list(arguments), standalone_mode=False))

    said = capsys.readouterr()
    assert (code, said.out) == (1, "")
    assert said.err.splitlines()[-1].startswith("error: ")
    assert sentence in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("who", ["0x12", "nonsense", "10.0.0.1/99"])
def test_who_is_neither_an_address_nor_a_network_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], who: str
) -> None:
    ledger = f"sqlite:///{tmp_path / 'faucet.db'}"
    Faucet(FaucetConfig(database_url=ledger)).get_stats()

    for command in ("block", "unblock", "allow", "disallow"):
        code = run_program(
            lambda: app(["faucet", command, who, "--database", ledger], standalone_mode=False)  # noqa: B023 - called at once
        )
        said = capsys.readouterr().err
        assert code == 1
        assert "expected" in said
        assert who in said


def test_the_help_of_every_command_is_there(tmp_path: Path) -> None:
    commands = (
        "genesis",
        "deploy",
        "up",
        "down",
        "status",
        "faucet",
        "bootstrap",
        "monitor",
        "explorer",
        "service",
    )

    shown = run_testnet("--help", cwd=tmp_path).stdout

    assert all(f" {command} " in shown for command in commands)
    assert run_testnet("--version", cwd=tmp_path).stdout.startswith("testnet ")
