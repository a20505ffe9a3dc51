"""Single values in the faucet's database, one row each by name; and the record of what operators did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from sdk.testnet.faucet import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection


def read_fact(connection: Connection, name: str) -> str | None:
    """Return the value, or None."""
    return connection.scalar(select(schema.facts.c.value).where(schema.facts.c.name == name))


def write_fact(connection: Connection, name: str, value: str | None) -> None:
    """Set the value; None forgets it."""
    if value is None:
        connection.execute(delete(schema.facts).where(schema.facts.c.name == name))
        return
    changed = connection.execute(update(schema.facts).where(schema.facts.c.name == name).values(value=value))
    if changed.rowcount == 0:
        connection.execute(insert(schema.facts).values(name=name, value=value))


def record(connection: Connection, actor: str, action: str, detail: str, now_ms: int) -> None:
    """Write down what somebody did, in the transaction that does it."""
    connection.execute(
        insert(schema.audit).values(time_ms=now_ms, actor=actor[:64], action=action[:32], detail=detail[:500])
    )
