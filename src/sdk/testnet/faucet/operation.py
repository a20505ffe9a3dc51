"""What an operator may do while the faucet runs: shut out, free of limits, pause, change budgets, hand out vouchers and keys; each thing is written down.

It stands in the faucet's database, so that every process on it obeys, and a restart forgets nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, delete, insert, select, update

from metanode.errors import InvalidInput
from sdk.testnet.faucet import schema
from sdk.testnet.faucet.facts import read_fact, record, write_fact

if TYPE_CHECKING:
    from sqlalchemy import Table

    from sdk.testnet.faucet.configuration import FaucetConfig
    from sdk.testnet.faucet.database import Database

VOUCHER_PREFIX: Final = "mnv"
KEY_PREFIX: Final = "mnk"
_ID_CHARACTERS: Final = 8
_SECRET_BYTES: Final = 16
PASSES_MAX: Final = 1_000
"""Vouchers and keys that are listed, the newest."""
AUDIT_MAX: Final = 200
"""Lines of the record that are shown, the newest."""
USES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What of the configuration an operator has changed; amounts in gwei."""

    paused: str | None
    """Why nothing is promised; None when it is."""
    is_draining: bool
    """Whether what was promised before is paid all the same."""
    daily_limit: int
    tokens_per_request: int

    @property
    def is_signing(self) -> bool:
        """Whether what waits is paid."""
        return self.paused is None or self.is_draining


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A voucher or a key, without its secret."""

    id: str
    label: str
    uses_max: int | None
    daily_max: int | None
    used: int
    created_ms: int
    expires_ms: int | None
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that an operator did."""

    time_ms: int
    actor: str
    action: str
    detail: str


class Operation:
    """The operator's side of the database. Every method blocks for a transaction."""

    def __init__(self, database: Database, config: FaucetConfig) -> None:
        self._database = database
        self._config = config

    def settings(self) -> Settings:
        """Return what holds now."""
        with self._database.look() as connection:
            changed: dict[str, Any] = json.loads(read_fact(connection, "settings") or "{}")
        return Settings(
            paused=changed.get("paused"),
            is_draining=changed.get("drains", False),
            daily_limit=changed.get("daily_limit", self._config.daily_limit),
            tokens_per_request=changed.get("tokens_per_request", self._config.tokens_per_request),
        )

    def pause(self, reason: str, *, drains: bool = False, actor: str, now_ms: int) -> None:
        """Promise nothing until `resume`, and sign nothing, unless it `drains`: then what waits is paid; `reason` is shown to everybody."""
        changes = {"paused": reason[:200] or "paused", "drains": drains}
        self._change(changes, actor, "drain" if drains else "pause", reason, now_ms)

    def resume(self, *, actor: str, now_ms: int) -> None:
        """Pay again."""
        self._change({"paused": None, "drains": False}, actor, "resume", "", now_ms)

    def set_budget(self, *, daily_limit: int, tokens_per_request: int, actor: str, now_ms: int) -> None:
        """Change what a day and a request pay. Raises InvalidInput."""
        for name, value, most in (
            ("daily_limit", daily_limit, 1_000_000),
            ("tokens_per_request", tokens_per_request, 2**63 - 1),
        ):
            if not 1 <= value <= most:
                raise InvalidInput(f"{name}: expected a whole number from 1 to {most:,}, found {value:,}")
        changes = {"daily_limit": daily_limit, "tokens_per_request": tokens_per_request}
        self._change(changes, actor, "budget", json.dumps(changes), now_ms)

    # -- vouchers and keys ----------------------------------------------------------------------------------------------------------------

    def make_pass(
        self,
        *,
        label: str,
        uses_max: int | None = None,
        daily_max: int | None = None,
        expires_ms: int | None = None,
        actor: str,
        now_ms: int,
    ) -> str:
        """Make a voucher (`uses_max`) or a key (`daily_max`) and return its text, which is shown this once. Raises InvalidInput."""
        if (uses_max is None) == (daily_max is None):
            raise InvalidInput("uses_max, daily_max: a voucher has the first, a key the second")
        most = uses_max if uses_max is not None else daily_max
        assert most is not None
        if not 1 <= most <= USES_MAX:
            raise InvalidInput(f"uses: expected a whole number from 1 to {USES_MAX:,}, found {most:,}")
        if not 1 <= len(label) <= 64:
            raise InvalidInput("label: expected 1 to 64 characters that say who it is for")
        pass_id, secret = secrets.token_hex(_ID_CHARACTERS // 2), secrets.token_hex(_SECRET_BYTES)
        with self._database.change() as connection:
            connection.execute(
                insert(schema.passes).values(
                    id=pass_id,
                    digest=_digest(secret),
                    label=label,
                    uses_max=uses_max,
                    daily_max=daily_max,
                    used=0,
                    created_ms=now_ms,
                    expires_ms=expires_ms,
                    revoked=False,
                )
            )
            record(connection, actor, "make pass", f"{pass_id} for {label!r}", now_ms)
        return f"{VOUCHER_PREFIX if uses_max is not None else KEY_PREFIX}_{pass_id}_{secret}"

    def find_pass(self, text: str) -> str:
        """Return the id of a voucher or key. Raises InvalidInput when there is none with this secret."""
        prefix, _, rest = text.strip().partition("_")
        pass_id, _, secret = rest.partition("_")
        if prefix in {VOUCHER_PREFIX, KEY_PREFIX} and len(text) < 80:
            with self._database.look() as connection:
                table = schema.passes.c
                known = connection.scalar(select(table.digest).where(table.id == pass_id))
            if known is not None and hmac.compare_digest(bytes(known), _digest(secret)):
                return pass_id
        raise InvalidInput("voucher: this faucet knows no such voucher or key")

    def revoke_pass(self, pass_id: str, *, actor: str, now_ms: int) -> bool:
        """Let it pay nothing any more; False when there is none."""
        table = schema.passes
        with self._database.change() as connection:
            gone = connection.execute(
                update(table).where(and_(table.c.id == pass_id, ~table.c.revoked)).values(revoked=True)
            ).rowcount
            if gone:
                record(connection, actor, "revoke pass", pass_id, now_ms)
            return gone > 0

    def passes(self) -> list[Pass]:
        """Return the newest first."""
        table = schema.passes
        query = select(table).order_by(table.c.created_ms.desc(), table.c.id).limit(PASSES_MAX)
        with self._database.look() as connection:
            return [
                Pass(
                    id=row.id,
                    label=row.label,
                    uses_max=row.uses_max,
                    daily_max=row.daily_max,
                    used=row.used,
                    created_ms=row.created_ms,
                    expires_ms=row.expires_ms,
                    revoked=row.revoked,
                )
                for row in connection.execute(query)
            ]

    # -- who is shut out ------------------------------------------------------------------------------------------------------------------

    def block(self, kind: str, value: str, *, actor: str = "program", now_ms: int = 0) -> None:
        """Shut out; twice is once."""
        self._list(schema.blocked, "block", kind, value, actor, now_ms)

    def unblock(self, kind: str, value: str, *, actor: str = "program", now_ms: int = 0) -> bool:
        """Let in again; False when it was not shut out."""
        return self._unlist(schema.blocked, "unblock", kind, value, actor, now_ms)

    def blocked(self, kind: str) -> list[str]:
        """Return everything of this kind that is shut out."""
        return self._listed(schema.blocked, kind)

    # -- who is free of limits ------------------------------------------------------------------------------------------------------------

    def allow(self, kind: str, value: str, *, actor: str = "program", now_ms: int = 0) -> None:
        """Free of limits; twice is once. Who is shut out as well stays so."""
        self._list(schema.allowed, "allow", kind, value, actor, now_ms)

    def disallow(self, kind: str, value: str, *, actor: str = "program", now_ms: int = 0) -> bool:
        """Let the limits hold again; False when it was not free of them."""
        return self._unlist(schema.allowed, "disallow", kind, value, actor, now_ms)

    def allowed(self, kind: str) -> list[str]:
        """Return everything of this kind that is free of limits."""
        return self._listed(schema.allowed, kind)

    # -- the record -----------------------------------------------------------------------------------------------------------------------

    def audit(self) -> list[AuditEntry]:
        """Return what operators did, the newest first."""
        table = schema.audit
        query = select(table).order_by(table.c.id.desc()).limit(AUDIT_MAX)
        with self._database.look() as connection:
            return [
                AuditEntry(time_ms=row.time_ms, actor=row.actor, action=row.action, detail=row.detail)
                for row in connection.execute(query)
            ]

    def note(self, action: str, detail: str, *, actor: str, now_ms: int) -> None:
        """Write down what changed nothing, and an operator should see."""
        with self._database.change() as connection:
            record(connection, actor, action, detail, now_ms)

    def secret(self, name: str) -> bytes:
        """Return 32 random bytes that are the same for every process on this database."""
        with self._database.change() as connection:
            found = read_fact(connection, name)
            if found is None:
                found = secrets.token_hex(32)
                write_fact(connection, name, found)
            return bytes.fromhex(found)

    def highest_balance(self, balance_gwei: int) -> int:
        """Return the most that the account was ever seen with, now included."""
        with self._database.look() as connection:
            known = int(read_fact(connection, "highest_balance_gwei") or 0)
        if balance_gwei <= known:
            return known
        with self._database.change() as connection:
            write_fact(connection, "highest_balance_gwei", str(balance_gwei))
        return balance_gwei

    def _list(self, table: Table, verb: str, kind: str, value: str, actor: str, now_ms: int) -> None:
        with self._database.change() as connection:
            found = select(table.c.kind).where(and_(table.c.kind == kind, table.c.value == value))
            if connection.execute(found).first() is None:
                connection.execute(insert(table).values(kind=kind, value=value))
                record(connection, actor, f"{verb} {kind}", value, now_ms)

    def _unlist(self, table: Table, verb: str, kind: str, value: str, actor: str, now_ms: int) -> bool:
        with self._database.change() as connection:
            gone = connection.execute(delete(table).where(and_(table.c.kind == kind, table.c.value == value)))
            if gone.rowcount:
                record(connection, actor, f"{verb} {kind}", value, now_ms)
            return gone.rowcount > 0

    def _listed(self, table: Table, kind: str) -> list[str]:
        query = select(table.c.value).where(table.c.kind == kind).order_by(table.c.value)
        with self._database.look() as connection:
            return [row.value for row in connection.execute(query)]

    def _change(self, changes: dict[str, Any], actor: str, action: str, detail: str, now_ms: int) -> None:
        with self._database.change() as connection:
            settings = json.loads(read_fact(connection, "settings") or "{}") | changes
            write_fact(connection, "settings", json.dumps(settings))
            record(connection, actor, action, detail, now_ms)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
