"""The queue of submissions in the database: what is sent in is there after a restart, and one process at a time works on one of them.

Everything here blocks: on the event loop it is called by a thread.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, select, update

from metanode.errors import Unavailable
from sdk.testnet.services.queries.contracts import get_contract
from sdk.testnet.services.store.meanings import VerificationState
from sdk.testnet.services.store.tables import verifications
from sdk.testnet.services.verification.compilers import split_version
from sdk.testnet.services.verification.submissions import Rejected, Submission

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sdk.testnet.services.store import Store

QUEUE_MAX: Final = 32
"""Waiting; at some 5 s each, the last one waits three minutes."""
REQUESTER_MAX: Final = 8
"""Waiting of one client: a deployment has some contracts."""
KEPT_MAX: Final = 2_000
"""Finished ones that can be asked for, some 2 MB; contracts keep what was found."""
ATTEMPTS_MAX: Final = 2
"""A submission that ended its process twice is not tried again."""
LEASE_S: Final = 30
"""A process that is well renews it every few seconds; after a kill another takes over so soon."""


_QUEUED, _RUNNING, _VERIFIED, _FAILED = (each.value for each in VerificationState)
"""As the database has them."""
_TOLD: Final = tuple(column for column in verifications.c if column.name != "standard_json")
"""Megabytes of sources are for who compiles them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A submission and what came of it."""

    id: str
    address: bytes
    state: VerificationState
    submitted_at: int
    """Seconds since 1970."""
    finished_at: int | None
    language: str
    compiler_version: str
    contract_name: str
    error_code: str | None
    error_message: str | None
    result: dict[str, Any] | None
    """Of a verified one: `match`, `runtime_match`, `creation_match`."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in {VerificationState.VERIFIED, VerificationState.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A job that is this process's to do."""

    id: str
    address: bytes
    submission: Submission
    creation_transaction: bytes | None


def submit(
    store: Store,
    address: bytes,
    submission: Submission,
    *,
    requester: str,
    creation_transaction: bytes | None = None,
) -> str:
    """Put a submission into the queue, and return its id.

    Raises:
        Rejected: for a contract whose sources are known exactly, or that is in the queue with the same sources.
        Unavailable: when the queue is full, or the client's share of it.
    """
    job_id, now = str(uuid.uuid4()), int(time.time())
    waiting = verifications.c.state.in_((_QUEUED, _RUNNING))
    with store.change() as connection:
        known = get_contract(connection, address)
        if known is not None and known.match == "exact_match":
            raise Rejected("The contract's sources are known exactly.", "already_verified", 409)
        rows = connection.execute(
            select(verifications.c.address, verifications.c.requester, verifications.c.contract_name).where(
                waiting
            )
        ).all()
        if any(
            (bytes(row.address), row.contract_name) == (address, submission.contract_name) for row in rows
        ):
            raise Rejected("The contract is being verified.", "duplicate_verification_request", 429)
        if len(rows) >= QUEUE_MAX:
            raise Unavailable(
                f"{len(rows)} verifications wait, and no more are taken; try again in some minutes"
            )
        if sum(row.requester == requester for row in rows) >= REQUESTER_MAX:
            raise Rejected(
                f"{REQUESTER_MAX} of your verifications wait; send the next one when one is done.",
                "too_many_requests",
                429,
            )
        connection.execute(
            verifications.insert().values(
                id=job_id,
                address=address,
                requester=requester[:64],
                state=_QUEUED,
                submitted_at=now,
                attempts=0,
                language=submission.language,
                compiler_version=submission.compiler_version,
                contract_name=submission.contract_name,
                standard_json=submission.standard_json,
                creation_transaction=creation_transaction,
            )
        )
        _forget_old(connection)
    return job_id


def get_job(connection: Connection, job_id: str) -> Job | None:
    """Return a job; None when there is none, or it is long ago."""
    row = connection.execute(select(*_TOLD).where(verifications.c.id == job_id)).first()
    return None if row is None else _job(row)


def place_in_queue(connection: Connection, job: Job) -> int:
    """Return how many are before a waiting job."""
    before: int = connection.execute(
        select(func.count())
        .select_from(verifications)
        .where(
            verifications.c.state.in_((_QUEUED, _RUNNING)),
            verifications.c.submitted_at < job.submitted_at,
        )
    ).scalar_one()
    return before


def claim(store: Store, *, now_s: float | None = None) -> Claimed | None:
    """Take the oldest waiting job, or one that a dead process left; None when there is none, or another process is at work.

    What has ended its process twice is failed here.
    """
    now = int(time.time() if now_s is None else now_s)
    with store.change() as connection:
        running = connection.execute(
            select(verifications.c.id, verifications.c.lease_until, verifications.c.attempts).where(
                verifications.c.state == _RUNNING
            )
        ).all()
        for left in running:
            if left.lease_until is not None and left.lease_until > now:
                return None
            if left.attempts >= ATTEMPTS_MAX:
                _fail(
                    connection,
                    left.id,
                    "internal_error",
                    "The verification was interrupted twice; its sources may take more than this machine has. Send it again.",
                    now,
                )
        row = connection.execute(
            select(verifications)
            .where(verifications.c.state.in_((_QUEUED, _RUNNING)))
            .order_by(verifications.c.submitted_at, verifications.c.id)
            .limit(1)
        ).first()
        if row is None:
            return None
        connection.execute(
            update(verifications)
            .where(verifications.c.id == row.id)
            .values(state=_RUNNING, lease_until=now + LEASE_S, attempts=row.attempts + 1)
        )
    version, commit = split_version(row.compiler_version)
    path, _, name = row.contract_name.rpartition(":")
    return Claimed(
        id=row.id,
        address=bytes(row.address),
        submission=Submission(
            language=row.language,
            version=version,
            commit=commit,
            source_path=path,
            name=name,
            standard_json=row.standard_json,
        ),
        creation_transaction=None if row.creation_transaction is None else bytes(row.creation_transaction),
    )


def renew(store: Store, job_id: str) -> None:
    """Say that this process is still at a job."""
    with store.change() as connection:
        connection.execute(
            update(verifications)
            .where(verifications.c.id == job_id, verifications.c.state == _RUNNING)
            .values(lease_until=int(time.time()) + LEASE_S)
        )


def give_back(store: Store, job_id: str) -> None:
    """Let somebody else do a job that this process has no time for any more."""
    with store.change() as connection:
        connection.execute(
            update(verifications)
            .where(verifications.c.id == job_id, verifications.c.state == _RUNNING)
            .values(state=_QUEUED, lease_until=None, attempts=verifications.c.attempts - 1)
        )


def fail(store: Store, job_id: str, code: str, message: str) -> None:
    """Finish a job that found nothing."""
    with store.change() as connection:
        _fail(connection, job_id, code, message, int(time.time()))


def finish(connection: Connection, job_id: str, result: dict[str, Any]) -> None:
    """Finish a job, in the transaction that saves what it found."""
    connection.execute(
        update(verifications)
        .where(verifications.c.id == job_id)
        .values(
            state=_VERIFIED,
            finished_at=int(time.time()),
            standard_json=None,
            lease_until=None,
            result=json.dumps(result),
        )
    )


def _fail(connection: Connection, job_id: str, code: str, message: str, now: int) -> None:
    connection.execute(
        update(verifications)
        .where(verifications.c.id == job_id)
        .values(
            state=_FAILED,
            finished_at=now,
            standard_json=None,
            lease_until=None,
            error_code=code,
            error_message=message[:4_000],
        )
    )


def _forget_old(connection: Connection) -> None:
    newest = (
        select(verifications.c.submitted_at)
        .order_by(verifications.c.submitted_at.desc())
        .limit(1)
        .offset(KEPT_MAX)
        .scalar_subquery()
    )
    connection.execute(
        delete(verifications).where(
            verifications.c.submitted_at <= newest, verifications.c.finished_at.is_not(None)
        )
    )


def _job(row: Any) -> Job:
    return Job(
        id=row.id,
        address=bytes(row.address),
        state=VerificationState(row.state),
        submitted_at=row.submitted_at,
        finished_at=row.finished_at,
        language=row.language,
        compiler_version=row.compiler_version,
        contract_name=row.contract_name,
        error_code=row.error_code,
        error_message=row.error_message,
        result=None if row.result is None else json.loads(row.result),
    )
