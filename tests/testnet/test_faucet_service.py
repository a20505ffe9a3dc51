"""The faucet over HTTP, on a real network: what it must survive (docs/evidence/bad-inputs.md, row 39)."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import update
from tests.testnet.faucet_service import Served, served
from tests.testnet.test_testnet import rpc

from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet import FaucetConfig, Testnet
from sdk.testnet.faucet import schema
from sdk.testnet.faucet.payout import PayoutState
from sdk.testnet.services.faucet import client
from sdk.testnet.services.faucet.client import ClaimRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(300)

API = "/api/v1/faucet"
DEADLINE_S = 60.0
DRIP_WEI = 100 * 10**18
POOR = PrivateKey(b"\x31" * 32)


@pytest.fixture(scope="module")
def net() -> Iterator[Testnet]:
    with Testnet(
        validators=1,
        block_time_s=1,
        chain_id=9999,
        in_memory=True,
        balances={format_address(POOR.address): 150 * 10**18},
    ) as net:
        yield net


@pytest.fixture
def config(net: Testnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FaucetConfig]:
    """Makes the configuration of a public faucet; each test pays from an account of its own where it can."""
    monkeypatch.setenv("FAUCET_PRIVATE_KEY", net.accounts[4].private_key)

    def make(**settings: Any) -> FaucetConfig:
        base: dict[str, Any] = {
            "rpc_url": net.rpc_url,
            "database_url": f"sqlite:///{tmp_path}/faucet.db",
            "proof_of_work": False,
            "proof_of_work_bits": 3,
            "spread_over_the_day": False,
            "scale_with_balance": False,
        }
        return FaucetConfig.public(**(base | settings))

    return make


def someone() -> str:
    return format_address(os.urandom(20))


def balance(net: Testnet, address: str) -> int:
    return int(rpc(net.rpc_url, "eth_getBalance", address, "latest"), 16)


def claim(service: Served, address: str, origin: str = "198.51.100.7", **more: Any) -> httpx.Response:
    return httpx.post(
        f"{service.url}{API}/claims",
        json={"address": address, **more},
        headers={"x-forwarded-for": origin},
        timeout=120,
    )


def wait_final(service: Served, claim_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found: dict[str, Any] = httpx.get(f"{service.url}{API}/claims/{claim_id}", timeout=30).json()
        if found["is_over"]:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_a_proof_of_work_is_paid_once_and_its_replay_is_a_conflict(
    net: Testnet, config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    address = someone()
    with (
        served(config(proof_of_work=True), tmp_path) as service,
        httpx.Client(base_url=service.url, timeout=60) as http,
    ):
        missing = http.post(f"{API}/claims", json={"address": address})
        assert (missing.status_code, missing.json()["code"]) == (400, "proof_missing")

        challenge = http.post(f"{API}/challenges", json={"address": address})
        assert challenge.status_code == 201
        document = challenge.json()
        assert document["params"] | {"expected_hashes": 0} == {
            "alg": "scrypt", "N": 4096, "r": 8, "p": 1, "dkLen": 32, "k": 8, "bits": 3, "expected_hashes": 0,
        }  # fmt: skip
        seen: list[client.Progress] = []
        nonces = client.solve(document, seen.append)
        assert seen[-1].solved == 8
        body = {"challenge": document["challenge"], "nonces": nonces}

        wrong = http.post(f"{API}/claims", json=body | {"nonces": [0] * 8})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "challenge_invalid")
        forged = http.post(f"{API}/claims", json=body | {"challenge": document["challenge"][:-2] + "AA"})
        assert (forged.status_code, forged.json()["code"]) == (400, "challenge_invalid")

        with ThreadPoolExecutor(max_workers=10) as pool:
            answers = list(
                pool.map(lambda _: httpx.post(f"{service.url}{API}/claims", json=body, timeout=60), range(10))
            )
        assert sorted(answer.status_code for answer in answers) == [202] + [409] * 9
        (accepted,) = (answer for answer in answers if answer.status_code == 202)
        assert accepted.headers["location"] == f"{API}/claims/{document['id']}"
        replay = http.post(f"{API}/claims", json=body)
        assert (replay.status_code, replay.json()["code"]) == (409, "challenge_redeemed")
        assert replay.headers["content-type"] == "application/problem+json"

        final = wait_final(service, document["id"])
        counts = service.faucet.measures().counts
        # Of ten at once with a right proof, more than one may have had it checked.
        told = counts.challenges()
        assert (told["issued"], told["wrong"], told["expired"], told["refused"]) == (1, 1, 0, 0)
        assert 1 <= told["solved"] <= 10
        checked, sum_s = counts.checking.read()
        assert checked[-1] == ("+Inf", told["solved"] + told["wrong"])
        assert sum_s > 0
    assert final["state"] == "final"
    assert final["amount"] == str(DRIP_WEI)
    assert balance(net, address) == DRIP_WEI
    assert rpc(net.rpc_url, "eth_getTransactionReceipt", final["transaction_hash"])["status"] == "0x1"


def test_thirty_wrong_proofs_and_who_sent_them_waits(
    config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    """Three for each challenge, which is as often as one may be guessed at; the next is not even checked, and neither is a right one."""
    with (
        served(config(proof_of_work=True), tmp_path) as service,
        httpx.Client(base_url=service.url, timeout=60, headers={"x-forwarded-for": "198.51.100.7"}) as http,
    ):
        wrong = []
        for _ in range(10):
            document = http.post(f"{API}/challenges", json={"address": someone()}).json()
            body = {"challenge": document["challenge"], "nonces": [0] * 8}
            wrong += [http.post(f"{API}/claims", json=body) for _ in range(3)]
        right = {"challenge": document["challenge"], "nonces": client.solve(document, lambda _: None)}
        refused = http.post(f"{API}/claims", json=right)
        elsewhere = http.post(f"{API}/claims", json=body, headers={"x-forwarded-for": "203.0.113.7"})

    assert [(one.status_code, one.json()["code"]) for one in wrong] == [(400, "challenge_invalid")] * 30
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 3000 < int(refused.headers["retry-after"]) <= 3600
    assert refused.json()["retry_after"] == int(refused.headers["retry-after"])
    assert elsewhere.status_code == 400, "another network goes on"


def test_the_same_request_with_its_key_is_answered_as_the_first_time(
    net: Testnet, config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    address = someone()
    with served(config(), tmp_path) as service:
        answers = [
            httpx.post(
                f"{service.url}{API}/claims", json={"address": address}, headers={"idempotency-key": key}
            )
            for key in ("a", "a", "b")
        ]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert answers[0].json()["id"] == answers[1].json()["id"]
        wait_final(service, answers[0].json()["id"])
    assert balance(net, address) == DRIP_WEI


def test_two_hundred_claims_at_once_for_one_address_pay_once(
    net: Testnet, config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    address = someone()
    spellings = [address, address.lower(), address[2:].lower(), "0x" + address[2:].upper()]
    with served(config(max_requests_per_network=1000), tmp_path) as service:
        with ThreadPoolExecutor(max_workers=20) as pool:
            answers = list(
                pool.map(lambda number: claim(service, spellings[number % 4], f"10.{number}.7.1"), range(200))
            )
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(202) == 1, statuses
        assert set(statuses) == {202, 429}
        (accepted,) = (answer for answer in answers if answer.status_code == 202)
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["retry_after"] == int(refused.headers["retry-after"])
        wait_final(service, accepted.json()["id"])
    assert balance(net, address) == DRIP_WEI


def test_a_thousand_addresses_of_one_ipv6_64_are_one_client(
    config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    with served(config(), tmp_path, runs=False) as service:
        with ThreadPoolExecutor(max_workers=10) as pool:
            answers = list(
                pool.map(lambda number: claim(service, someone(), f"2001:db8::{number:x}"), range(1000))
            )
        # Two at a time are the limit of a network whose claims nobody pays here.
        assert [answer.status_code for answer in answers].count(202) == 2
        assert {answer.status_code for answer in answers} == {202, 429}
        assert service.faucet.get_stats()["pending_requests"] == 2
    with served(
        config(one_at_a_time=False, database_url=f"sqlite:///{tmp_path}/second.db"), tmp_path, runs=False
    ) as service:
        answers = [claim(service, someone(), f"2001:db8::{number:x}") for number in range(20)]
        assert [answer.status_code for answer in answers].count(202) == 3


def test_a_header_that_no_trusted_proxy_wrote_makes_nobody_somebody_else(
    config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    with served(config(one_at_a_time=False), tmp_path, trusted=(), runs=False) as service:
        answers = [claim(service, someone(), f"203.0.113.{number}") for number in range(10)]

    assert [answer.status_code for answer in answers] == [202] * 3 + [429] * 7
    assert answers[3].json()["code"] == "ip_limit"


def test_an_empty_faucet_says_so_and_when_to_come_again(
    config: Callable[..., FaucetConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAUCET_PRIVATE_KEY", POOR.secret.hex())
    with served(config(), tmp_path) as service:
        first = claim(service, someone())
        assert first.status_code == 202
        wait_final(service, first.json()["id"])
        second = claim(service, someone())
        page = httpx.get(service.url)
    assert second.status_code == 503
    problem = second.json()
    assert (problem["code"], problem["status"], problem["retry_after"]) == ("empty", 503, 600)
    assert "The faucet is empty" in page.text


def test_claims_of_a_time_without_a_node_are_paid_when_it_is_back(
    net: Testnet, config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    addresses = [someone() for _ in range(8)]
    settings = config(one_at_a_time=False, max_requests_per_ip=100, max_requests_per_network=100)
    with served(settings, tmp_path, runs=False) as service:
        claims = [claim(service, address).json()["id"] for address in addresses]
        net.node(0).kill()
        refused = claim(service, someone())
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["retry-after"]
        ready = httpx.get(f"{service.url}/readyz")
        deadline = time.monotonic() + DEADLINE_S
        while (ready := httpx.get(f"{service.url}/readyz")).status_code == 200:
            assert time.monotonic() < deadline
        assert ready.status_code == 503
        assert httpx.get(service.url).status_code == 200, "the page is there, and says it"
    net.node(0).start()
    with served(settings, tmp_path) as service:
        finals = [wait_final(service, one) for one in claims]
    assert {final["state"] for final in finals} == {"final"}
    assert [balance(net, address) for address in addresses] == [DRIP_WEI] * 8


def test_a_program_claims_with_a_voucher_or_by_work(
    net: Testnet, config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    worked, vouched = someone(), someone()
    with served(config(proof_of_work=True), tmp_path) as service:
        assert client.claim(service.url, worked)["state"] == "final"
        voucher = service.faucet.operation.make_pass(label="ci", daily_max=1, actor="test", now_ms=0)
        assert client.claim(service.url, vouched, voucher=voucher)["state"] == "final"
        with pytest.raises(ClaimRefused) as refused:
            client.claim(service.url, vouched, voucher=voucher)
        assert refused.value.code == "address_limit"
        with pytest.raises(ClaimRefused, match="knows no such voucher"):
            client.claim(service.url, someone(), voucher="mnv_00000000_00")
    assert [balance(net, one) for one in (worked, vouched)] == [DRIP_WEI] * 2


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("POST", "/claims", {"content": b"{"}, 422),
        ("POST", "/claims", {"json": {"address": "0x12"}}, 400),
        ("POST", "/claims", {"json": {"address": "0x" + "0" * 40}}, 400),
        ("POST", "/claims", {"json": {"address": "0x" + "1" * 40, "amount": "1"}}, 422),
        ("POST", "/claims", {"json": {}}, 400),
        ("POST", "/claims", {"json": {"challenge": "x", "nonces": [0] * 8}}, 400),
        ("POST", "/claims", {"json": {"challenge": "x", "nonces": [-1] * 8}}, 400),
        ("POST", "/claims", {"json": {"challenge": "x", "nonces": [2**64] * 8}}, 400),
        ("POST", "/claims", {"json": {"challenge": "x", "nonces": [0.5] * 8}}, 422),
        ("POST", "/claims", {"content": b"{" + b" " * 5000 + b"}"}, 413),
        ("POST", "/claims", {"json": {"address": "0x" + "1" * 40}, "headers": {"origin": "https://evil.example"}}, 403),
        ("POST", "/claims", {"json": {"address": "0x" + "1" * 40}, "headers": {"sec-fetch-site": "cross-site"}}, 403),
        ("GET", "/claims/" + "0" * 32, {}, 404),
        ("GET", "/claims/..%2f..%2fetc", {}, 404),
        ("GET", "/claims/' OR 1=1--", {}, 404),
        ("GET", "/eligibility", {}, 422),
        ("GET", "/eligibility?address=nonsense", {}, 400),
        ("DELETE", "/claims", {}, 405),
        ("GET", "/nothing", {}, 404),
    ],
)  # fmt: skip
def test_bad_requests_are_problems_that_name_what_is_wrong(
    shared: Served, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    answer = httpx.request(method, f"{shared.url}{API}{path}", timeout=30, **options)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail", "instance", "code"} <= set(problem)


@pytest.fixture(scope="module")
def shared(net: Testnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("shared")
    patch = pytest.MonkeyPatch()
    patch.setenv("FAUCET_PRIVATE_KEY", net.accounts[6].private_key)
    try:
        config = FaucetConfig(rpc_url=net.rpc_url, database_url=f"sqlite:///{folder}/faucet.db")
        with served(config, folder) as service:
            yield service
    finally:
        patch.undo()


def test_one_network_has_sixty_requests_a_minute(shared: Served) -> None:
    def ask() -> httpx.Response:
        return httpx.get(
            f"{shared.url}{API}/eligibility?address={someone()}", headers={"x-forwarded-for": "192.0.2.9"}
        )

    answers = [ask() for _ in range(61)]

    assert [answer.status_code for answer in answers] == [200] * 60 + [429]
    assert answers[0].json()["is_eligible"] is True
    assert answers[-1].json()["code"] == "rate_limited"


def test_what_is_public_says_nothing_of_who_asked(shared: Served) -> None:
    accepted = claim(shared, someone(), "192.0.2.55").json()
    wait_final(shared, accepted["id"])
    texts = [
        httpx.get(f"{shared.url}{path}").text
        for path in (API, f"{API}/payouts", "/status", f"/claims/{accepted['id']}")
    ]

    assert all("192.0.2" not in text for text in texts)
    (item,) = (
        one for one in httpx.get(f"{shared.url}{API}/payouts").json()["items"] if one["id"] == accepted["id"]
    )
    assert item["amount"] == str(DRIP_WEI)
    document = httpx.get(f"{shared.url}{API}").json()
    assert document["proof_of_work"] is None
    assert document["rules"]["per_address"] == 3
    assert document["chain_id"] == 9999


def test_the_form_works_without_javascript_where_no_work_is_asked(shared: Served, net: Testnet) -> None:
    address = someone()
    answer = httpx.post(
        f"{shared.url}/claim",
        data={"address": address, "voucher": ""},
        headers={"x-forwarded-for": "192.0.2.77"},
    )
    assert answer.status_code == 303
    wait_final(shared, answer.headers["location"].rpartition("/")[2])
    assert "Final: the coins are there" in httpx.get(shared.url + answer.headers["location"]).text
    assert balance(net, address) == DRIP_WEI

    wrong = httpx.post(f"{shared.url}/claim", data={"address": "<script>alert(1)</script>"})
    assert wrong.status_code == 400
    assert "<script>alert" not in wrong.text
    assert "hexadecimal digits" in wrong.text
    assert "problem-title" in wrong.text


def test_wallets_are_told_the_network(shared: Served) -> None:
    found = httpx.get(f"{shared.url}/network.json").json()

    assert found["chainId"] == "0x270f"
    assert found["chainName"] == "metanode-testnet"
    assert found["nativeCurrency"]["decimals"] == 18


def test_a_fuzzer_that_knows_the_api_finds_no_fault_of_ours(
    config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    with served(config(proof_of_work=True), tmp_path, requests_a_minute=1_000_000) as service:
        finished = subprocess.run(
            [
                Path(sys.executable).parent / "schemathesis", "run", f"{service.url}{API}/openapi.json",
                "--checks", "not_a_server_error", "--max-examples", "25", "--seed", "7", "--no-color",
            ],
            capture_output=True, text=True, check=False, timeout=200, cwd=tmp_path,
        )  # fmt: skip
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-1000:]


# -- the operator ------------------------------------------------------------------------------------------------------------------------


@contextmanager
def log_in(service: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.admin_url, timeout=30) as http:
        answer = http.post("/login", data={"password": service.password})
        assert answer.status_code == 303
        assert re.search(r"HttpOnly; Path=/; SameSite=strict", answer.headers["set-cookie"])
        yield http


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def token_of(http: httpx.Client) -> str:
    found = re.search(r'name="token" value="([^"]+)"', http.get("/").text)
    assert found is not None
    return found[1]


def test_an_operator_pauses_makes_vouchers_blocks_and_it_is_written_down(
    config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    with served(config(proof_of_work=True), tmp_path) as service, log_in(service) as http:
        token = token_of(http)

        def do(action: str, **fields: str) -> httpx.Response:
            return http.post(f"/do/{action}", data={"token": token, **fields})

        assert do("pause", reason="a new network at noon <b>").status_code == 303
        paused = httpx.post(f"{service.url}{API}/challenges", json={"address": someone()})
        assert (paused.status_code, paused.json()["code"]) == (503, "paused")
        # What is public is up to a second old.
        eventually(lambda: "a new network at noon &lt;b&gt;" in httpx.get(service.url).text)
        assert do("resume").status_code == 303

        made = do("voucher", label="Workshop", kind="voucher", count="2", days="30")
        assert made.status_code == 200
        found = re.search(r"mnv_[0-9a-f]{8}_[0-9a-f]{32}", made.text)
        assert found is not None
        assert claim(service, someone(), voucher=found[0]).status_code == 202
        assert do("revoke", id=found[0].split("_")[1]).headers["location"] == "/?said=revoked"
        assert claim(service, someone(), voucher=found[0]).status_code == 403

        blocked = someone()
        assert do("block", what=blocked).status_code == 303
        assert blocked in service.faucet.blocked_addresses
        assert do("block", what="203.0.113.0/24").status_code == 303
        assert do("block", what="nonsense").status_code == 400
        assert do("unblock", what=blocked).headers["location"] == "/?said=unblocked"
        assert do("budget", daily_limit="50", tokens_per_request="5000000000").status_code == 303
        eventually(lambda: httpx.get(f"{service.url}{API}").json()["rules"]["amount"] == str(5 * 10**18))
        assert do("budget", daily_limit="0", tokens_per_request="1").status_code == 400

        page = http.get("/").text
        for action in ("pause", "resume", "make pass", "revoke pass", "block address", "block ip", "budget"):
            assert f"<td>{action}</td>" in page
        assert found[0] not in page
        metrics = httpx.get(f"{service.admin_url}/metrics").text
        assert "faucet_daily_limit 50.0" in metrics
        assert do("nothing").status_code == 400
        assert http.post("/logout", data={"token": token}).status_code == 303
        assert http.get("/").headers["location"] == "/login"


def test_a_faucet_that_drains_pays_what_waits_and_promises_nothing_new(
    net: Testnet, config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    """Paused it signs nothing; drained it pays everybody who has a promise, and goes on refusing."""
    with served(config(), tmp_path, runs=False) as service, log_in(service) as http:
        token, waiting = token_of(http), someone()
        assert claim(service, waiting).status_code == 202

        def state() -> str:
            asyncio.run(service.faucet.settle())
            return str(service.faucet.get_history()[0]["state"])

        http.post("/do/pause", data={"token": token, "reason": "a look at it"})
        assert state() == "queued"
        said = http.post("/do/pause", data={"token": token, "reason": "the end", "drains": "yes"})
        assert said.headers["location"] == "/?said=draining"
        assert state() in {"broadcast", "settled"}
        refused = claim(service, someone(), "198.51.101.7")
        assert (refused.status_code, refused.json()["code"]) == (503, "paused")
        eventually(lambda: balance(net, waiting) == DRIP_WEI)
        page = http.get("/").text
        assert "Draining" in page
        assert "<td>drain</td>" in page


def test_an_operator_retries_what_was_given_up_and_cancels_what_waits(
    config: Callable[..., FaucetConfig], tmp_path: Path
) -> None:
    """By the buttons of the page; the faucet pays nobody meanwhile."""
    with served(config(), tmp_path, runs=False) as service, log_in(service) as http:
        token, waiting, lost = token_of(http), someone(), someone()
        claims = {
            who: claim(service, who, f"198.51.{place}.1").json()["id"]
            for place, who in enumerate((waiting, lost))
        }
        numbers = {format_address(payout.address): payout.id for payout in service.faucet.stuck_payouts()}
        with service.faucet._ledger._database.change() as ledger:
            ledger.execute(
                update(schema.payouts)
                .where(schema.payouts.c.id == numbers[lost])
                .values(state=PayoutState.FAILED, error="lost <b>twice</b>")
            )

        def buttons() -> set[tuple[str, str]]:
            pattern = r'action="/do/(retry|cancel)".*?name="id" value="(\d+)"'
            return set(re.findall(pattern, http.get("/").text, re.DOTALL))

        def press(action: str, number: int | str) -> httpx.Response:
            return http.post(f"/do/{action}", data={"token": token, "id": str(number)})

        def state(who: str) -> str:
            return str(httpx.get(f"{service.url}{API}/claims/{claims[who]}").json()["state"])

        assert buttons() == {("retry", str(numbers[lost])), ("cancel", str(numbers[waiting]))}
        assert "lost &lt;b&gt;twice&lt;/b&gt;" in http.get("/").text
        # Each does what its button says, and to nothing else.
        assert press("retry", numbers[waiting]).headers["location"] == "/?said=nothing"
        assert press("cancel", numbers[lost]).headers["location"] == "/?said=nothing"
        assert (state(lost), state(waiting)) == ("failed", "queued")

        retried, cancelled = press("retry", numbers[lost]), press("cancel", numbers[waiting])

        assert (retried.status_code, retried.headers["location"]) == (303, "/?said=retried")
        assert (cancelled.status_code, cancelled.headers["location"]) == (303, "/?said=cancelled")
        assert (state(lost), state(waiting)) == ("queued", "cancelled")
        assert buttons() == {("cancel", str(numbers[lost]))}
        assert press("retry", numbers[lost]).headers["location"] == "/?said=nothing"
        assert press("cancel", numbers[waiting]).headers["location"] == "/?said=nothing"
        assert press("cancel", "1 or 1").status_code == 400
        page = http.get("/?said=retried").text
        assert "Queued once more." in page
        for action in ("retry payout", "cancel payout"):
            assert page.count(f"<td>{action}</td>") == 1, "written down once: what changed nothing is not"
        # What was cancelled counts in no limit.
        assert claim(service, waiting, "198.51.0.1").status_code == 202


def test_a_forged_form_changes_nothing(config: Callable[..., FaucetConfig], tmp_path: Path) -> None:
    with served(config(), tmp_path) as service, log_in(service) as http:
        token = token_of(http)
        attacks = [
            http.post("/do/pause", data={"reason": "x"}),
            http.post("/do/pause", data={"reason": "x", "token": "0" * 43}),
            http.post("/do/pause", data={"reason": "x", "token": token}, headers={"origin": "https://evil.example"}),
            http.post("/do/pause", data={"reason": "x", "token": token}, headers={"sec-fetch-site": "cross-site"}),
        ]  # fmt: skip
        assert [answer.status_code for answer in attacks] == [403] * 4
        assert http.get("/do/pause").status_code == 405
        stranger = httpx.post(f"{service.admin_url}/do/pause", data={"reason": "x", "token": token})
        assert stranger.headers["location"] == "/login"
        assert httpx.get(service.admin_url).headers["location"] == "/login"
        assert service.faucet.operation.settings().paused is None
        assert httpx.get(f"{service.url}/do/pause").status_code == 404, (
            "the operator's page is on its own port"
        )


def test_passwords_are_not_guessed(config: Callable[..., FaucetConfig], tmp_path: Path) -> None:
    with served(config(), tmp_path) as service:
        answers = [
            httpx.post(f"{service.admin_url}/login", data={"password": f"guess {number}"})
            for number in range(6)
        ]
        right = httpx.post(f"{service.admin_url}/login", data={"password": service.password})
        elsewhere = httpx.post(
            f"{service.admin_url}/login", data={"password": service.password}, headers={"x-forwarded-for": "203.0.113.9"}
        )  # fmt: skip
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert right.status_code == 429
    assert elsewhere.status_code == 303
    assert (tmp_path / "operator.password").stat().st_mode & 0o777 == 0o600
