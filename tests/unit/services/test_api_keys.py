"""Keys that visitors make: shown once, bounded by network, taken back; and what strangers may try. Asked without a socket, over a real database."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import func, select, update
from tests.unit.services.told_chain import ToldChain, write_chain

from metanode.errors import StorageFailed
from sdk.testnet.faucet.client_address import origin_of, parse_ip
from sdk.testnet.services.api import ApiConfig, configuration, keys, make_app, new_key
from sdk.testnet.services.api.reference import PROBLEMS
from sdk.testnet.services.store.store import Store
from sdk.testnet.services.store.tables import api_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import FastAPI

KEYS = "/api/v1/keys"
ME = "/api/v1/me"
ORIGIN = origin_of(parse_ip("198.51.100.1"))
KEY = re.compile(r"evk_[0-9a-f]{8}_[0-9a-f]{32}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/index.db")
    write_chain(store, ToldChain(head=2))
    yield store
    store.close()


def app_of(store: Store, **changes: Any) -> FastAPI:
    options = {
        "network_name": "any", "chain_id": 1, "public_url": "http://any", "anonymous_a_minute": 10_000, **changes,
    }  # fmt: skip
    return make_app(store=store, node=ToldChain(head=2), config=ApiConfig(**options))


def asking(app: FastAPI, address: str = "198.51.100.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://any")


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def test_a_key_is_shown_once_and_gives_more(store: Store, tmp_path: Path) -> None:
    app = app_of(store)
    async with asking(app) as http:
        made = await http.post(KEYS, json={"name": "my bot", "scopes": ["read"], "days": 3})
        key = made.json()
        me = (await http.get(ME, headers=bearer(key["key"]))).json()
        scoped = await http.post("/v2/verify/1/0x12", headers=bearer(key["key"]))

    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "private, no-store"
    assert KEY.fullmatch(key["key"])
    assert (key["id"], key["name"], key["limit"]) == (key["key"][4:12], "my bot", 600)
    assert (me["key"], me["scopes"], me["limit"]) == (key["id"], ["read"], 600)
    assert me["expires_at"] == key["expires_at"]
    assert scoped.status_code == 403
    secret = key["key"][13:]
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert bytes.fromhex(secret) not in file.read_bytes()


async def test_a_key_is_of_all_processes_of_an_index_and_survives_them(store: Store) -> None:
    async with asking(app_of(store)) as http:
        text = (await http.post(KEYS, json={})).json()["key"]
    async with asking(app_of(store)) as http:
        assert (await http.get(ME, headers=bearer(text))).json()["key"] == text[4:12]
    with store.look() as connection:
        assert connection.execute(select(api_keys.c.last_used_at)).scalar_one() is not None


async def test_a_thousand_keys_of_one_customer_are_five(store: Store) -> None:
    """Whatever address of its /64 asks; its neighbours in the /48 have four times as many together."""
    app = app_of(store)
    answers: list[httpx.Response] = []
    for number in range(100):
        async with asking(app, f"2001:db8:1:1::{number:x}") as http:
            answers += [await http.post(KEYS, json={}) for _ in range(10)]
    neighbours = []
    for number in range(2, 8):
        async with asking(app, f"2001:db8:1:{number:x}::1") as http:
            neighbours += [(await http.post(KEYS, json={})).status_code for _ in range(5)]
    async with asking(app, "2001:db8:2::1") as http:
        elsewhere = (await http.post(KEYS, json={})).status_code

    assert [answer.status_code for answer in answers].count(201) == 5
    refused = answers[-1]
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_keys")
    assert "too_many_keys" in PROBLEMS
    assert 86_000 < int(refused.headers["retry-after"]) <= 86_400
    assert neighbours.count(201) == 15
    assert elsewhere == 201


async def test_keys_that_are_taken_back_are_made_nevertheless(store: Store) -> None:
    """Else a customer would have a new budget whenever one is used up."""
    async with asking(app_of(store)) as http:
        statuses = []
        for _ in range(7):
            made = await http.post(KEYS, json={})
            statuses.append(made.status_code)
            if made.status_code == 201:
                key = made.json()
                gone = await http.delete(f"{KEYS}/{key['id']}", headers=bearer(key["key"]))
                assert gone.status_code == 204

    assert statuses == [201] * 5 + [429] * 2


async def test_a_key_is_revoked_by_who_has_it_and_by_nobody_else(store: Store) -> None:
    configured, kept = new_key("the operator's")
    app = app_of(store, keys=(kept,))
    async with asking(app) as http, asking(app, "203.0.113.5") as other:
        mine = (await http.post(KEYS, json={"scopes": ["verify"]})).json()
        theirs = (await other.post(KEYS, json={})).json()
        refused = [
            (await other.delete(f"{KEYS}/{mine['id']}")).status_code,
            (await other.delete(f"{KEYS}/{mine['id']}", headers=bearer(theirs["key"]))).status_code,
            (await other.delete(f"{KEYS}/{mine['id']}", headers=bearer(mine["key"][:-1] + "x"))).status_code,
            (await http.delete(f"{KEYS}/{kept.id}", headers=bearer(configured))).status_code,
            (await http.delete(f"{KEYS}/../me", headers=bearer(mine["key"]))).status_code,
        ]
        before = (await http.get(ME, headers=bearer(mine["key"]))).status_code
        gone = await http.delete(f"{KEYS}/{mine['id']}", headers=bearer(mine["key"]))
        after = await http.get(ME, headers=bearer(mine["key"]))

    assert refused == [403, 403, 401, 403, 405]
    assert (before, gone.status_code, after.status_code) == (200, 204, 401)
    assert after.json()["code"] == "unknown_key"


async def test_another_process_takes_a_revoked_key_for_seconds_only(store: Store) -> None:
    now_s = time.time()
    one, other = [keys.VisitorKeys(store, a_day=5, now_s=lambda: now_s) for _ in range(2)]
    text, key = await one.make("", origin=ORIGIN, scopes=frozenset({"read"}), days=1)
    assert await other.find(text) is not None
    await one.revoke(key)

    assert await one.find(text) is None
    assert await other.find(text) is not None
    now_s += keys.KNOWN_S + 0.1
    assert await other.find(text) is None


async def test_a_key_ends_when_it_was_said_to(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = time.time()
    ring = keys.VisitorKeys(store, a_day=5, now_s=lambda: now_s)
    text, key = await ring.make("", origin=ORIGIN, scopes=frozenset({"read"}), days=1)
    assert key.expires_at is not None
    monkeypatch.setattr(configuration, "time", Clock(key.expires_at - 1))
    assert await ring.find(text) is not None
    monkeypatch.setattr(configuration, "time", Clock(key.expires_at))
    assert await ring.find(text) is None


async def test_guesses_ask_the_database_a_few_times_only(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(store, anonymous_a_minute=60)
    asked: list[str] = []
    load = keys.VisitorKeys._load
    monkeypatch.setattr(keys.VisitorKeys, "_load", lambda ring, name: asked.append(name) or load(ring, name))
    async with asking(app, "203.0.113.5") as friend:
        text = (await friend.post(KEYS, json={})).json()["key"]
    async with asking(app) as guessing, asking(app, "203.0.113.5") as friend:
        statuses = [
            (await guessing.get(ME, headers=bearer(f"evk_{n:08x}_{n:032x}"))).status_code for n in range(300)
        ]
        # The public part of a key is no help.
        near = (await guessing.get(ME, headers=bearer(text[:13] + "0" * 32))).status_code
        works = (await friend.get(ME, headers=bearer(text))).status_code

    assert statuses.count(401) == 12
    assert set(statuses[12:]) == {429}
    assert len(asked) == 12
    assert (near, works) == (429, 200)


async def test_an_answer_comes_no_sooner_for_an_id_that_is_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not timed: each is hashed and compared whole, in constant time."""
    ring = keys.VisitorKeys(store, a_day=5)
    text, _ = await ring.make("", origin=ORIGIN, scopes=frozenset({"read"}), days=1)
    compared: list[tuple[int, int]] = []
    compare = configuration.secrets.compare_digest

    def note(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(configuration.secrets, "compare_digest", note)
    found = [
        await ring.find(guess)
        for guess in (text, text[:-1] + "-", text[:13] + "0" * 32, f"evk_{0:08x}_{0:032x}")
    ]

    assert [one is not None for one in found] == [True, False, False, False]
    # The second one is no key at all by its form.
    assert compared == [(32, 32)] * 3


async def test_while_the_database_is_away_known_keys_work(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = time.time()
    ring = keys.VisitorKeys(store, a_day=5, now_s=lambda: now_s)
    text, _ = await ring.make("", origin=ORIGIN, scopes=frozenset({"read"}), days=1)

    def away(*_: Any) -> Any:
        raise StorageFailed("the index's database: it does not answer")

    monkeypatch.setattr(ring, "_load", away)
    now_s += 2 * keys.KNOWN_S
    assert await ring.find(text) is not None
    with pytest.raises(StorageFailed):
        await ring.find(f"evk_{1:08x}_{1:032x}")


async def test_a_used_key_never_makes_room_for_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "KEYS_MAX", 3)
    now_s = time.time()
    ring = keys.VisitorKeys(store, a_day=100, now_s=lambda: now_s)

    async def make() -> str:
        return (await ring.make("", origin=ORIGIN, scopes=frozenset({"read"}), days=9))[1].id

    used, _, _ = [await make() for _ in range(3)]
    with store.change() as connection:
        connection.execute(update(api_keys).where(api_keys.c.id == used).values(last_used_at=1))
    with pytest.raises(keys.Unavailable, match="3 keys"):
        await make()
    now_s += keys.UNUSED_S + 1
    newest = await make()

    with store.look() as connection:
        ids = set(connection.execute(select(api_keys.c.id)).scalars())
    assert {used, newest} < ids
    assert len(ids) == 3


async def test_where_a_key_was_made_is_forgotten_a_day_later(store: Store) -> None:
    now_s = time.time()
    ring = keys.VisitorKeys(store, a_day=1, now_s=lambda: now_s)
    _, first = await ring.make("", origin=ORIGIN, scopes=frozenset({"read"}), days=1)
    await ring.revoke(first)
    now_s += keys.DAY_S + 1
    await ring.make("", origin=ORIGIN, scopes=frozenset({"read"}), days=9)
    now_s += keys.DAY_S + 1
    await ring.make("", origin=ORIGIN, scopes=frozenset({"read"}), days=9)

    with store.look() as connection:
        kept = connection.execute(select(api_keys.c.narrow).order_by(api_keys.c.created_at)).scalars().all()
        assert connection.execute(select(func.count()).where(api_keys.c.id == first.id)).scalar_one() == 0
    assert kept == ["", "198.51.100.1/32"]


async def test_a_key_is_not_kept_for_a_repetition(store: Store) -> None:
    app = app_of(store)
    async with asking(app) as http:
        first, second = [
            (await http.post(KEYS, json={}, headers={"idempotency-key": "1"})).json()["key"] for _ in range(2)
        ]

    assert first != second
    assert not any(first.encode() in value for _, value in app.state.parts.shared._values.values())


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"scopes": ["admin"]}, 400, "scopes: found 'admin'"),
        ({"scopes": []}, 400, "scopes: found none"),
        ({"name": "a\nb"}, 400, "name: expected at most 64 printable"),
        ({"name": "x" * 65}, 422, "/body/name"),
        ({"days": 367}, 422, "/body/days"),
        ({"days": 0}, 422, "/body/days"),
        ({"limit": 10**6}, 422, "/body/limit"),
    ],
)
async def test_a_wrong_wish_names_its_field(store: Store, body: Any, status: int, words: str) -> None:
    async with asking(app_of(store)) as http:
        refused = await http.post(KEYS, json=body)

    assert refused.status_code == status
    assert words in refused.json()["detail"]


async def test_people_make_and_revoke_keys_on_a_page(store: Store) -> None:
    app = app_of(store, network_name="<b>net</b>")
    async with asking(app) as http:
        page = await http.get("/keys")
        made = await http.post("/keys", data={"name": "<script>", "days": "30"})
        [text] = set(KEY.findall(made.text))
        me = (await http.get(ME, headers=bearer(text))).json()
        gone = await http.post("/keys/revoke", data={"key": text})
        again = await http.post("/keys/revoke", data={"key": text})
        wrong = await http.post("/keys", data={"days": "tomorrow"})
        docs = (await http.get("/docs")).text

    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert "<b>net" not in page.text
    assert (made.status_code, made.headers["cache-control"]) == (201, "private, no-store")
    assert me["key"] == text[4:12]
    assert f"The key {text[4:12]} is revoked." in gone.text
    assert (again.status_code, wrong.status_code) == (400, 400)
    assert text not in gone.text + again.text
    assert 'href="/keys"' in docs


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}]
)
async def test_a_page_of_somebody_else_makes_no_key(store: Store, headers: dict[str, str]) -> None:
    async with asking(app_of(store)) as http:
        form = await http.post("/keys", data={"days": "30"}, headers=headers)
        resource = await http.post(KEYS, json={}, headers={"origin": "https://evil.example"})
        removed = await http.delete(f"{KEYS}/01234567", headers={"origin": "https://evil.example"})

    assert (form.status_code, resource.status_code, removed.status_code) == (403, 403, 403)
    with store.look() as connection:
        assert connection.execute(select(func.count()).select_from(api_keys)).scalar_one() == 0


async def test_an_operator_may_make_all_keys_alone(store: Store) -> None:
    async with asking(app_of(store, keys_a_day=0)) as http:
        refused = await http.post(KEYS, json={})
        page = await http.get("/keys")
        form = await http.post("/keys", data={"days": "30"})

    assert (refused.status_code, form.status_code) == (404, 404)
    assert "ask the operator" in page.text


class Clock:
    """A `time` that stands."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s

    def time(self) -> float:
        return self._now_s
