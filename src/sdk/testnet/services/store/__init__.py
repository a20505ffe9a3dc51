"""The index as a database: SQLite by default, PostgreSQL by URL; the tables (`tables`), what their numbers mean (`meanings`), and `Store`."""

from sdk.testnet.services.store.meanings import (
    CallKind,
    Counter,
    Direction,
    SignatureKind,
    TokenKind,
    Traces,
    VerificationState,
)
from sdk.testnet.services.store.store import Store

__all__ = [
    "CallKind",
    "Counter",
    "Direction",
    "SignatureKind",
    "Store",
    "TokenKind",
    "Traces",
    "VerificationState",
]
