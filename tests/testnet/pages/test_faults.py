"""What people see while a database, Redis or a node is away or hangs: a page that says so at once, and everything right again by itself."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.processes import slowness, wait_until
from tests.testnet.pages.standing import (
    PAYOUT_WEI,
    Answer,
    Listener,
    Standing,
    document_of,
    standing,
    words_of,
)
from tests.testnet.postgresql import PostgreSQLAbsent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

ANSWER_S = 2.5
"""Two seconds until a page says what is wrong, and a half for six visitors on a small machine."""
BACK_S = 20.0
"""Until everything is right again."""
MEMORY_MB_MAX = 48
"""What a fault and thousands of questions in it may add."""
WITHOUT_DATABASE = {
    "/dashboard", "/dashboard.json", "/dashboard/history.json", "/verify", "/network.json", "/healthz", "/docs", "/openapi.json",
    "/keys", "/api/v1/nodes", "/api/v1/consensus/state", "/api/v1/alerts", "/metrics",
}  # fmt: skip
"""What is not of the database."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed; apt-get install redis-server")
    try:
        with standing(tmp_path_factory.mktemp("standing")) as found:
            yield found
    except PostgreSQLAbsent as absent:
        pytest.skip(str(absent))


@pytest.fixture
def listener(world: Standing) -> Iterator[Listener]:
    found = Listener(f"{world.urls['explorer']}/live?topics=home")
    wait_until(lambda: found.events, within_s=20, what="a block is told")
    yield found
    found.close()


@contextmanager
def stopped_database(world: Standing) -> Iterator[None]:
    world.postgresql.stop()
    try:
        yield
    finally:
        world.postgresql.start()


@contextmanager
def stopped_redis(world: Standing) -> Iterator[None]:
    world.redis.kill()
    world.redis.wait()
    try:
        yield
    finally:
        world.redis = subprocess.Popen(world.redis.args, stdout=subprocess.DEVNULL)


@contextmanager
def hanging_redis(world: Standing) -> Iterator[None]:
    world.redis.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        world.redis.send_signal(signal.SIGCONT)


@contextmanager
def killed_node(world: Standing) -> Iterator[None]:
    world.net.node(0).kill()
    try:
        yield
    finally:
        world.net.node(0).start()


@contextmanager
def hanging_node(world: Standing) -> Iterator[None]:
    node = world.node_process()
    node.suspend()
    try:
        yield
    finally:
        node.resume()


def in_time(answers: list[Answer]) -> None:
    late = [one.name for one in answers if one.took_s > ANSWER_S * slowness()]
    assert not late
    broken = [one.name for one in answers if one.response.status_code == 500 or "Traceback" in one.text]
    assert not broken


def say_that_the_database_is_away(answers: list[Answer]) -> None:
    """Each says it in its way, with a time to come again."""
    for one in answers:
        if one.site in {"gateway", "metrics"} or one.path in WITHOUT_DATABASE:
            assert one.response.status_code == 200, one.name
        elif one.site == "api" and one.path.startswith("/api?"):
            # Etherscan's clients read the document, whatever the status.
            assert "database" in one.text or document_of(one)["status"] == "1", one.text
        else:
            assert one.response.status_code == 503, one.name
            if one.path != "/readyz" or one.site == "faucet":
                assert int(one.response.headers["retry-after"]) > 0, one.name
            assert "database" in words_of(one.text), one.name
            if one.path.startswith("/api/v1") or one.path.endswith(".json"):
                assert one.response.headers["content-type"] == "application/problem+json", one.name
                assert document_of(one)["detail"], one.name


def is_right_again(world: Standing) -> None:
    wait_until(world.is_ready, within_s=BACK_S, what=lambda: world.log.read_text()[-1500:])
    wait_until(lambda: not _wrong(world), within_s=BACK_S, what=lambda: str(_wrong(world)))
    wait_until(
        lambda: world.indexed()[0] >= (world.net.height or 0) - 2,
        within_s=BACK_S,
        what=lambda: f"the index is at the head: {world.indexed()[0]} of {world.net.height}",
    )
    numbers = world.indexed()
    assert numbers == list(range(numbers[0], -1, -1)), "no gap, and nothing twice"


def _wrong(world: Standing) -> list[str]:
    """What is not as before. A site whose own look at the node is a second old may say for so long that it is away."""
    answers = world.ask_all()
    in_time(answers)
    found = []
    for one in answers:
        expected = 404 if one.path.startswith(("/claims/", "/v2/contract/")) else 200
        if one.response.status_code not in {expected, 302} or "No node answers now" in one.text:
            found.append(one.name)
    return found


def is_paid_once(world: Standing, who: str, claim_id: str) -> None:
    wait_until(
        lambda: world.claim_state(claim_id) == "final",
        within_s=30,
        what=lambda: f"the claim is paid: {world.claim_state(claim_id)}",
    )
    assert world.balance(who) == PAYOUT_WEI


@pytest.mark.parametrize(
    "fault", [stopped_database, lambda world: world.postgresql.frozen()], ids=["stopped", "hangs"]
)
def test_without_its_database_every_page_says_so_at_once_and_is_right_again_by_itself(
    fault: Callable[[Standing], AbstractContextManager[None]], world: Standing, listener: Listener
) -> None:
    before_mb = world.memory_mb()
    who, claimed = world.claim()
    assert claimed.status_code == 202, claimed.text
    with fault(world):
        for _ in range(3):
            answers = world.ask_all()
            in_time(answers)
            say_that_the_database_is_away(answers)
        dashboard = world.ask("explorer", "/dashboard")
        assert "The index does not answer now" in words_of(dashboard.text)
        refused_who, refused = world.claim()
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        wait_until(lambda: _is_away(listener), within_s=15, what=lambda: str(listener.events)[-500:])
        told = len(listener.events)

    is_right_again(world)
    wait_until(
        lambda: any(name == "home" for name, _ in listener.events[told:]), within_s=15, what="live again"
    )
    is_paid_once(world, who, claimed.json()["id"])
    assert world.balance(refused_who) == 0
    assert world.memory_mb() - before_mb < MEMORY_MB_MAX


@pytest.mark.parametrize("fault", [stopped_redis, hanging_redis], ids=["stopped", "hangs"])
def test_without_redis_nobody_notices(
    fault: Callable[[Standing], AbstractContextManager[None]], world: Standing, listener: Listener
) -> None:
    before_mb = world.memory_mb()
    with fault(world):
        for _ in range(3):
            answers = world.ask_all()
            in_time(answers)
            failed = [one.name for one in answers if one.response.status_code >= 500]
            assert not failed
        assert world.ask("api", "/api/v1/blocks").response.headers["ratelimit"]
        who, claimed = world.claim()
        assert claimed.status_code == 202, claimed.text
        is_paid_once(world, who, claimed.json()["id"])
        told = len(listener.events)
        wait_until(lambda: len(listener.events) > told, within_s=15, what="live all the same")

    is_right_again(world)
    assert world.memory_mb() - before_mb < MEMORY_MB_MAX


@pytest.mark.parametrize("fault", [killed_node, hanging_node], ids=["killed", "hangs"])
def test_without_a_node_pages_say_how_far_they_go_and_are_right_again_by_themselves(
    fault: Callable[[Standing], AbstractContextManager[None]], world: Standing, listener: Listener
) -> None:
    before_mb = world.memory_mb()
    who, claimed = world.claim()
    assert claimed.status_code == 202, claimed.text
    with fault(world):
        for _ in range(3):
            answers = world.ask_all()
            in_time(answers)
        found = {(one.site, one.path): one for one in answers}
        for path in ("/", "/blocks", "/transactions", "/validators", f"/tx/{world.transaction}"):
            assert "No node answers now. What is shown is final" in words_of(found["explorer", path].text)
        for path in ("/pending",):
            assert found["explorer", path].response.status_code == 503
        assert found["explorer", "/readyz"].response.status_code == 503
        assert "does not answer" in words_of(found["faucet", "/"].text)
        assert found["faucet", "/readyz"].text.startswith("the node does not answer")
        state = found["api", "/api/v1/consensus/state"]
        assert state.response.status_code == 503
        assert state.response.headers["content-type"] == "application/problem+json"
        assert "node: does not answer" in found["api", "/readyz"].text
        wait_until(
            lambda: any("No node answers now" in data for name, data in listener.events if name == "home"),
            within_s=20,
            what="the live page says it without a block",
        )
        wait_until(
            lambda: (
                world.ask("explorer", "/dashboard.json").response.json()["data"]["verdict"]["state"]
                == "UNKNOWN"
            ),
            within_s=20,
            what="the dashboard knows nothing",
        )
        told = len(listener.events)

    is_right_again(world)
    wait_until(
        lambda: any(
            name == "home" and "No node answers now" not in data for name, data in listener.events[told:]
        ),
        within_s=15,
        what="live again",
    )
    is_paid_once(world, who, claimed.json()["id"])
    assert world.memory_mb() - before_mb < MEMORY_MB_MAX


def test_a_browser_says_that_a_page_is_not_live_and_when_it_is_again(
    world: Standing, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(world.urls["explorer"])
    word = page.locator("[data-live-word]")
    wait_until(lambda: word.inner_text() == "Live", within_s=15, what="it is live")
    with stopped_database(world):
        wait_until(
            lambda: word.inner_text() == "Not live: the database refused or did not answer",
            within_s=15,
            what=word.inner_text,
        )
    wait_until(lambda: word.inner_text() == "Live", within_s=BACK_S, what=word.inner_text)
    page.close()


def _is_away(listener: Listener) -> bool:
    told = [json.loads(data) for name, data in listener.events if name == "away"]
    return bool(told) and told[-1] == {
        "topic": "home",
        "reason": "the database refused or did not answer",
    }
