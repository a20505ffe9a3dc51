"""Keys that visitors make themselves: their hashes in the index's database, bounded by the network that makes them, looked up by their public part.

Everything that a process knows of a key it asks again after `KNOWN_S`: so long a key that was revoked in another process may still be taken here.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, or_, select, update

from metanode.errors import InvalidInput, StorageFailed, Unavailable
from sdk.testnet.services.api.configuration import SCOPES, ApiKey, key_id, new_key
from sdk.testnet.services.store.tables import api_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from sdk.testnet.faucet.client_address import Origin
    from sdk.testnet.services.store import Store

KNOWN_S: Final = 10.0
KNOWN_MAX: Final = 10_000
"""Keys, and ids that are none, that a process remembers: some 5 MB."""
KEYS_MAX: Final = 10_000
"""Of all visitors; some 3 MB. The oldest that nobody ever used makes room."""
UNUSED_S: Final = 3_600
"""Before it may: its owner has to get to it."""
WIDE_TIMES: Final = 4
"""A /24, or an IPv6 /48, may make so many times what a client may, as with the faucet."""
DAY_S: Final = 86_400
NAME_CHARACTERS_MAX: Final = 64
DAYS: Final = 90
DAYS_MAX: Final = 366


class TooManyKeys(InvalidInput):
    """A network has made as many keys as it may."""

    def __init__(self, maximum: int, whose: str, retry_after_s: int) -> None:
        super().__init__(f"{maximum} keys a day are for {whose}, and they are made")
        self.retry_after_s = retry_after_s


class VisitorKeys:
    """The keys of one index. Its memory is the event loop's."""

    def __init__(self, store: Store, *, a_day: int, now_s: Callable[[], float] = time.time) -> None:
        self._store = store
        self._a_day = a_day
        self._now_s = now_s
        self._known: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()

    def is_known(self, text: str) -> bool:
        """Tell whether `find` answers without asking the database."""
        return self._remembered(key_id(text) or "") is not None

    async def find(self, text: str) -> ApiKey | None:
        """Return the key of this text; None for what is none, or is expired or revoked.

        Raises:
            StorageFailed: when it is not known here and the database does not answer.
        """
        name = key_id(text)
        if name is None:
            return None
        remembered, is_unused = self._remembered(name), False
        if remembered is None:
            try:
                found, is_unused = await asyncio.to_thread(self._load, name)
            except StorageFailed:
                # Who was here before goes on.
                stale = self._known.get(name)
                if stale is None:
                    raise
                found = stale[1]
            self._remember(name, found)
        else:
            found = remembered[1]
        # An id that is none is compared as well: no answer comes sooner than another.
        is_it = (found or _NOBODY).is_of(text)
        if is_it and is_unused:
            with suppress(StorageFailed):
                await asyncio.to_thread(self._note_use, name)
        return found if is_it else None

    async def make(
        self, name: str, *, origin: Origin, scopes: frozenset[str], days: int
    ) -> tuple[str, ApiKey]:
        """Return a new key's text, which nobody can tell again, and what is kept of it.

        Raises:
            InvalidInput: for a wrong name, scope or length.
            TooManyKeys: when its network has made as many as it may today.
            Unavailable: when no more are kept.
            StorageFailed: when the database does not answer.
        """
        if not name.isprintable() or len(name) > NAME_CHARACTERS_MAX:
            raise InvalidInput(f"name: expected at most {NAME_CHARACTERS_MAX} printable characters")
        wrong = sorted(scopes - set(SCOPES))
        if wrong or not scopes:
            found = repr(wrong[0])[:60] if wrong else "none"
            raise InvalidInput(f"scopes: found {found}; expected some of {', '.join(SCOPES)}")
        if not 1 <= days <= DAYS_MAX:
            raise InvalidInput(f"days: found {days}; expected 1 to {DAYS_MAX}")
        text, key = new_key(name, expires_at=int(self._now_s()) + days * DAY_S, scopes=scopes)
        await asyncio.to_thread(self._save, key, origin)
        self._remember(key.id, key)
        return text, key

    async def revoke(self, key: ApiKey) -> None:
        """Take a key back: here at once, in other processes within `KNOWN_S`. Raises StorageFailed."""

        def revoke() -> None:
            with self._store.change() as connection:
                connection.execute(
                    update(api_keys).where(api_keys.c.id == key.id).values(revoked_at=int(self._now_s()))
                )

        await asyncio.to_thread(revoke)
        self._remember(key.id, None)

    def _remembered(self, name: str) -> tuple[float, ApiKey | None] | None:
        entry = self._known.get(name)
        return entry if entry is not None and entry[0] > self._now_s() else None

    def _remember(self, name: str, key: ApiKey | None) -> None:
        self._known[name] = (self._now_s() + KNOWN_S, key)
        self._known.move_to_end(name)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def _load(self, name: str) -> tuple[ApiKey | None, bool]:
        """A key, and whether its use is to be noted, which is done once a day. Blocks."""
        chosen = select(api_keys).where(api_keys.c.id == name, api_keys.c.revoked_at.is_(None))
        with self._store.look() as connection:
            row = connection.execute(chosen).first()
        if row is None:
            return None, False
        key = ApiKey(
            id=row.id,
            sha256=bytes(row.sha256),
            name=row.name,
            expires_at=row.expires_at,
            scopes=frozenset(row.scopes.split()),
        )
        return key, row.last_used_at is None or self._now_s() - row.last_used_at >= DAY_S

    def _note_use(self, name: str) -> None:
        """Blocks."""
        with self._store.change() as connection:
            connection.execute(
                update(api_keys).where(api_keys.c.id == name).values(last_used_at=int(self._now_s()))
            )

    def _save(self, key: ApiKey, origin: Origin) -> None:
        """Blocks."""
        now = int(self._now_s())
        with self._store.change() as connection:
            _forget_old(connection, now)
            for column, network, maximum, whose in (
                (api_keys.c.narrow, origin.narrow, self._a_day, "you"),
                (api_keys.c.wide, origin.wide, WIDE_TIMES * self._a_day, f"the network {origin.wide}"),
            ):
                made, first = connection.execute(
                    select(func.count(), func.min(api_keys.c.created_at)).where(
                        column == str(network), api_keys.c.created_at > now - DAY_S
                    )
                ).one()
                if made >= maximum:
                    raise TooManyKeys(maximum, whose, max(1, first + DAY_S - now))
            _make_room(connection, now)
            connection.execute(
                api_keys.insert().values(
                    id=key.id, sha256=key.sha256, name=key.name, scopes=" ".join(sorted(key.scopes)),
                    created_at=now, expires_at=key.expires_at, narrow=str(origin.narrow), wide=str(origin.wide),
                )
            )  # fmt: skip


_NOBODY: Final = ApiKey(id="00000000", sha256=bytes(32), name="")
"""The key of no text."""


def _forget_old(connection: Connection, now: int) -> None:
    """Keys that ended a day ago, and where older ones were made."""
    ended = or_(api_keys.c.expires_at <= now - DAY_S, api_keys.c.revoked_at <= now - DAY_S)
    connection.execute(delete(api_keys).where(ended))
    old = (api_keys.c.created_at <= now - DAY_S, api_keys.c.narrow != "")
    connection.execute(update(api_keys).where(*old).values(narrow="", wide=""))


def _make_room(connection: Connection, now: int) -> None:
    """Leave room for one more. Raises Unavailable when all are used, or may be soon."""
    kept: int = connection.execute(select(func.count()).select_from(api_keys)).scalar_one()
    if kept < KEYS_MAX:
        return
    unused: Any = (
        select(api_keys.c.id)
        .where(api_keys.c.last_used_at.is_(None), api_keys.c.created_at <= now - UNUSED_S)
        .order_by(api_keys.c.created_at)
        .limit(1)
    )
    oldest = connection.execute(unused).scalar()
    if oldest is None:
        raise Unavailable(f"{kept} keys are made, and no more are; ask the operator for one")
    connection.execute(delete(api_keys).where(api_keys.c.id == oldest))
