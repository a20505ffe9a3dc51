"""What is kept of a verified contract: its row in the index, and what its selectors mean. Blocks."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select, text, update

from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput
from sdk.testnet.services.explorer.abi import parse_abi
from sdk.testnet.services.store.meanings import Counter, SignatureKind
from sdk.testnet.services.store.tables import accounts, contracts
from sdk.testnet.services.verification.jobs import finish

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sdk.testnet.services.store import Store
    from sdk.testnet.services.verification.judging import Verdict

SOURCE: Final = "verified"
"""Where signatures come from."""
_KINDS: Final = {
    "function": SignatureKind.FUNCTION,
    "event": SignatureKind.EVENT,
    "error": SignatureKind.ERROR,
}
_BETTER: Final = {None: 0, "match": 1, "exact_match": 2}


class NotBetter(InvalidInput):
    """As much was known before."""

    code = "already_verified"


def save(
    store: Store, job_id: str, address: bytes, verdict: Verdict, standard_json: str, runtime: bytes
) -> None:
    """Save a verdict and finish its job, in one transaction.

    Raises:
        NotBetter: when the contract is verified as well already.
        InvalidInput: when the index does not know the address yet.
    """
    with store.change() as connection:
        account = connection.execute(select(accounts.c.id).where(accounts.c.address == address)).scalar()
        if account is None:
            raise InvalidInput("the index has no block yet that names this contract; try again in a moment")
        row = connection.execute(select(contracts.c.match).where(contracts.c.account_id == account)).first()
        had = None if row is None else row.match
        if _BETTER[verdict.match] <= _BETTER[had]:
            raise NotBetter("The contract's sources are known as well as by these.")
        if row is None:
            # Of the genesis: no transaction created it.
            connection.execute(insert(contracts).values(account_id=account, created_at_number=0))
        connection.execute(
            update(contracts)
            .where(contracts.c.account_id == account)
            .values(**_values(verdict, standard_json, runtime))
        )
        _save_signatures(connection, verdict)
        if had is None:
            connection.execute(
                text(
                    "INSERT INTO counters (name, value) VALUES (:name, 1) "
                    "ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
                ),
                {"name": str(Counter.VERIFIED_CONTRACTS)},
            )
        finish(
            connection,
            job_id,
            {
                "match": verdict.match,
                "runtime_match": verdict.runtime_match,
                "creation_match": verdict.creation_match,
            },
        )


def _values(verdict: Verdict, standard_json: str, runtime: bytes) -> dict[str, Any]:
    return {
        "match": verdict.match,
        "runtime_match": verdict.runtime_match,
        "creation_match": verdict.creation_match,
        "verified_at": int(time.time()),
        "verified_name": verdict.name,
        "source_path": verdict.source_path,
        "compiler_version": verdict.compiler_version,
        "language": verdict.language,
        "abi": json.dumps(verdict.abi, separators=(",", ":")),
        "standard_json": standard_json,
        "metadata": verdict.metadata,
        "constructor_arguments": verdict.arguments,
        "details": json.dumps(verdict.details, separators=(",", ":")),
        "code_hash": keccak256(runtime),
        "code_size": len(runtime),
    }


def _save_signatures(connection: Connection, verdict: Verdict) -> None:
    for entry in parse_abi(json.dumps(verdict.abi)).entries:
        if len(entry.signature) > 512:
            continue
        selector = entry.topic if entry.kind == "event" else entry.selector
        connection.execute(
            text(
                "INSERT INTO signatures (selector, text, kind, source) VALUES (:selector, :text, :kind, :source) "
                "ON CONFLICT (selector, text) DO NOTHING"
            ),
            {
                "selector": selector,
                "text": entry.signature,
                "kind": int(_KINDS[entry.kind]),
                "source": SOURCE,
            },
        )
