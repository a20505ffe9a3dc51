"""Who an operator has freed of limits, over HTTP and on a real network: paid without a proof of work, and nobody who only says that it is them."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.testnet.faucet_service import served
from tests.testnet.test_faucet_service import (
    API,
    DRIP_WEI,
    balance,
    claim,
    config,
    log_in,
    net,
    someone,
    token_of,
    wait_final,
)

from sdk.testnet.services.faucet import client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdk.testnet import FaucetConfig, Testnet

__all__ = ["config", "net"]
pytestmark = pytest.mark.timeout(300)

INSIDE, OUTSIDE = "10.1.2.3", "198.51.100.7"


def test_an_operator_allows_a_network_by_the_page_and_it_is_paid_without_work_or_limit(
    net: Testnet,
    config: Callable[..., FaucetConfig],
    tmp_path: Path,
) -> None:
    with served(config(proof_of_work=True), tmp_path) as service, log_in(service) as http:
        token, to = token_of(http), someone()

        def do(action: str, **fields: str) -> httpx.Response:
            return http.post(f"/do/{action}", data={"token": token, **fields})

        assert claim(service, to, INSIDE).json()["code"] == "proof_missing"
        assert do("allow", what="10.1.0.0/16").headers["location"] == "/?said=allowed"
        assert do("allow", what=to).headers["location"] == "/?said=allowed"
        assert (do("allow", what="nonsense").status_code, do("allow", what="10.0.0.0/7").status_code) == (
            400,
            400,
        )
        # Who asks from a trusted proxy may ask for anybody: it would be in the list, and free nobody.
        refused = do("allow", what="127.0.0.1")
        assert (refused.status_code, "of trusted_proxies" in refused.text) == (400, True)
        # Neither another page's form nor one without this session's token does it.
        assert http.post("/do/allow", data={"what": "192.0.2.0/24", "token": "0" * 64}).status_code != 303
        assert httpx.post(f"{service.admin_url}/do/allow", data={"what": "192.0.2.0/24"}).status_code != 200
        assert service.faucet.allowed_ips == {"10.1.0.0/16"}

        claims = [claim(service, to, INSIDE) for _ in range(4)]

        assert [one.status_code for one in claims] == [202] * 4, claims[-1].text
        assert {wait_final(service, one.json()["id"])["state"] for one in claims} == {"final"}
        assert balance(net, to) == 4 * DRIP_WEI
        page = http.get("/").text
        assert to in page
        assert "<td>allow address</td>" in page
        assert "<td>allow ip</td>" in page
        assert do("disallow", what="10.1.0.0/16").headers["location"] == "/?said=disallowed"
        assert do("disallow", what="10.1.0.0/16").headers["location"] == "/?said=nothing"
        assert claim(service, to, INSIDE).json()["code"] == "proof_missing"
        assert "<td>disallow ip</td>" in http.get("/").text


@pytest.mark.parametrize(
    ("forwarded", "code"),
    [(INSIDE, None), (f"{INSIDE}, {OUTSIDE}", "proof_missing"), (None, "proof_missing")],
)
def test_an_allowed_client_is_the_one_that_the_trusted_proxy_names(
    config: Callable[..., FaucetConfig],
    tmp_path: Path,
    forwarded: str | None,
    code: str | None,
) -> None:
    """What stands further left its sender made up; and of a proxy that names nobody its own address frees nobody."""
    with served(config(proof_of_work=True), tmp_path, runs=False) as service:
        service.faucet.allow_ip("10.1.0.0/16")
        service.faucet.allow_ip("127.0.0.1")
        headers = {} if forwarded is None else {"x-forwarded-for": forwarded}

        answer = httpx.post(f"{service.url}{API}/claims", json={"address": someone()}, headers=headers)
        told = httpx.get(f"{service.url}{API}", headers=headers).json()["proof_of_work"]
        page = httpx.get(service.url, headers=headers).text

        assert answer.json().get("code") == code, answer.text
        assert (told is None) is (code is None)
        assert (f'data-needs-work="{"no" if code is None else "yes"}"') in page


def test_a_header_of_a_stranger_makes_it_no_allowed_client(
    config: Callable[..., FaucetConfig],
    tmp_path: Path,
) -> None:
    elsewhere = (ipaddress.ip_network("192.0.2.1/32"),)
    with served(config(proof_of_work=True), tmp_path, trusted=elsewhere, runs=False) as service:
        service.faucet.allow_ip("10.1.0.0/16")

        assert claim(service, someone(), INSIDE).json()["code"] == "proof_missing"


def test_who_is_blocked_stays_so_in_an_allowed_network(
    config: Callable[..., FaucetConfig],
    tmp_path: Path,
) -> None:
    with served(config(proof_of_work=True), tmp_path, runs=False) as service:
        service.faucet.allow_ip("10.1.0.0/16")
        service.faucet.block_ip("10.1.2.0/24")
        to = someone()
        service.faucet.allow_address(to)
        service.faucet.block_address(to)

        refused = [claim(service, someone(), INSIDE), claim(service, to, "10.1.9.9")]

        assert [(one.status_code, one.json()["code"]) for one in refused] == [(403, "blocked")] * 2
        assert claim(service, someone(), "10.1.9.9").status_code == 202


def test_the_client_for_programs_solves_nothing_where_it_is_allowed(
    config: Callable[..., FaucetConfig],
    tmp_path: Path,
) -> None:
    """Without a proxy in front the connection says who it is; here it comes from this machine."""
    with served(config(proof_of_work=True), tmp_path, trusted=()) as service:
        service.faucet.allow_ip("127.0.0.1")
        worked: list[client.Progress] = []

        claims = [client.claim(service.url, someone(), on_progress=worked.append) for _ in range(4)]

        assert {one["state"] for one in claims} == {"final"}
        assert worked == []
