"""Who of several processes on one ledger pays: one has the lease and renews it, the others wait until it ends. Plus what a ledger put back would hide.

Two that pay at once would not pay twice, for signatures are the database's; but they raise fees against each other and fill nodes with replacements.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from sdk.testnet.faucet import quotas, schema
from sdk.testnet.faucet.facts import read_fact, record, write_fact

if TYPE_CHECKING:
    from sdk.testnet.faucet.database import Database

LEASE_MS: Final = 15_000
"""Who has not renewed for so long is gone."""
RENEW_MS: Final = 5_000
"""A heartbeat this often: one small write."""
_FACT: Final = "signer_lease"


class SigningLease:
    """This process's claim to be the one that pays. Every method blocks for a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owner = secrets.token_hex(8)
        self._renewed_ms: int | None = None
        self._others: dict[str, object] = {}
        self._others_since_ms = 0

    @property
    def is_held(self) -> bool:
        """Whether this process had it when it asked last."""
        return self._renewed_ms is not None

    def hold(self, now_ms: int) -> bool:
        """Take the lease, or renew it; False while another process has it.

        Another's that stays as it is for `LEASE_MS` is over, whatever time its end has: a machine whose clock was ahead may have written it.
        """
        if self._renewed_ms is not None and 0 <= now_ms - self._renewed_ms < RENEW_MS:
            return True
        with self._database.change() as connection:
            found = json.loads(read_fact(connection, _FACT) or "{}")
            if found != self._others:
                self._others, self._others_since_ms = found, now_ms
            is_free = (
                int(found.get("until_ms", 0)) <= now_ms
                or str(found.get("owner")) == self._owner
                or now_ms - self._others_since_ms >= LEASE_MS
            )
            if is_free:
                lease = {"owner": self._owner, "until_ms": now_ms + LEASE_MS}
                write_fact(connection, _FACT, json.dumps(lease))
        self._renewed_ms = now_ms if is_free else None
        return is_free

    def release(self) -> None:
        """Let another process have it at once."""
        with self._database.change() as connection:
            found = json.loads(read_fact(connection, _FACT) or "{}")
            if found.get("owner") == self._owner:
                write_fact(connection, _FACT, None)
        self._renewed_ms = None

    def note_unknown_nonces(self, chain_nonce: int, now_ms: int) -> str | None:
        """Pause when the account has sent more than this ledger knows of, and somebody waits; returns why, once.

        Either something else has the key, or the ledger is an older copy: then it may have forgotten whom it has paid, and only an operator can say.
        """
        with self._database.change() as connection:
            known = read_fact(connection, "next_nonce")
            if known is None or chain_nonce <= int(known):
                return None
            waiting = connection.scalar(
                select(func.count())
                .select_from(schema.payouts)
                .where(schema.payouts.c.state.in_(quotas.OPEN))
            )
            reason = (
                f"the account has sent {chain_nonce - int(known)} transactions that this ledger does not know: it is an older copy, or something "
                "else has the key"
            )
            record(connection, "faucet", "unknown transactions", f"{reason}; {waiting} payouts wait", now_ms)
            # The next start says nothing of the same.
            write_fact(connection, "next_nonce", str(chain_nonce))
            if not waiting:
                return None
            settings = json.loads(read_fact(connection, "settings") or "{}")
            settings["paused"] = settings.get("paused") or "its operator checks what was paid already"
            settings["drains"] = False
            write_fact(connection, "settings", json.dumps(settings))
            return reason
