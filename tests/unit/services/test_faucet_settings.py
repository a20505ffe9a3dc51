"""The table [faucet]: the faucet's settings by their names, and where its operator's page is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metanode.errors import InvalidInput
from sdk.testnet.command.program import app
from sdk.testnet.faucet import Faucet, FaucetConfig
from sdk.testnet.services.faucet.app import navigation_of
from sdk.testnet.services.faucet.settings import FaucetSettings, read_settings
from sdk.testnet.services.web.site import Site

HOME = Path("/srv/testnet")


def read(**table: Any) -> FaucetSettings:
    return read_settings(
        table,
        directory=HOME,
        data=HOME / "data",
        rpc_urls=("http://a:8545", "http://b:8545"),
        database_url="sqlite:///faucet.db",
    )


def test_a_table_says_limits_paths_and_the_operators_port() -> None:
    found = read(public=True, daily_limit=7, keystore="faucet.json", operator_port=8081)

    assert (found.faucet.daily_limit, found.faucet.max_requests_per_address) == (7, 1)
    assert found.faucet.proof_of_work
    assert found.faucet.keystore == HOME / "faucet.json"
    assert (found.faucet.rpc_url, found.faucet.backup_rpc_urls) == ("http://a:8545", ("http://b:8545",))
    assert (found.operator_port, found.operator_bind_address) == (8081, "127.0.0.1")
    assert found.operator_password_file == HOME / "data" / "operator.password"


def test_without_a_word_the_limits_are_the_documents_and_there_is_no_operators_page() -> None:
    found = read()

    assert (found.faucet.max_requests_per_address, found.faucet.proof_of_work) == (3, False)
    assert found.operator_port == 0


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("sqlite:///faucet.db", f"sqlite:///{HOME}/faucet.db"),
        ("sqlite:///ledgers/faucet.db", f"sqlite:///{HOME}/ledgers/faucet.db"),
        ("sqlite:////var/lib/faucet.db", "sqlite:////var/lib/faucet.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///file:faucet.db?uri=true", "sqlite:///file:faucet.db?uri=true"),
        ("sqlite://", "sqlite://"),
        ("postgresql://faucet@db.example/faucet", "postgresql://faucet@db.example/faucet"),
    ],
)
def test_a_ledger_that_is_a_file_begins_at_the_directory_as_other_paths(said: str, meant: str) -> None:
    assert read(database_url=said).faucet.database_url == meant


def test_a_command_finds_the_services_ledger_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who is blocked from one folder is so in every other, in the one ledger beside the file."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "services.toml").write_text(
        """
        network = { network_id = "t", chain_id = 1337, rpc_urls = ["http://127.0.0.1:9"] }
        faucet = { database_url = "sqlite:///ledger.db" }
        """
    )
    Faucet(FaucetConfig(database_url=f"sqlite:///{home}/ledger.db")).get_stats()
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    asked = ("--config", str(home / "services.toml"))

    monkeypatch.chdir(tmp_path / "first")
    app(["faucet", "block", "192.0.2.7", *asked], standalone_mode=False)
    monkeypatch.chdir(tmp_path / "second")
    app(["faucet", "stats", *asked], standalone_mode=False)

    assert "blocked: 192.0.2.7" in capsys.readouterr().out
    assert not list((tmp_path / "first").iterdir())
    assert not list((tmp_path / "second").iterdir())


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        read(daily_limt=5, daily_limit=0, operator_port=70_000, public="yes", operator_bind_address="home")

    lines = str(refused.value).splitlines()
    assert "faucet.daily_limt: no such setting; did you mean daily_limit?" in lines
    assert len(lines) == 5
    assert all(line.startswith("faucet.") for line in lines)


def test_the_faucet_s_menu_leads_to_the_explorer_where_there_is_one() -> None:
    alone = Site(network_name="n", chain_id=1)
    beside = Site(network_name="n", chain_id=1, explorer_url="http://localhost:3000")

    assert [entry.label for entry in navigation_of(alone)] == ["Claim", "Status", "Rules"]
    assert navigation_of(beside)[-1].path == "http://localhost:3000/"
