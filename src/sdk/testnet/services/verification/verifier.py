"""The task that verifies: takes jobs from the queue one at a time, asks a node for the chain's code, and saves what it finds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput, MetanodeError, StorageFailed, Unavailable
from metanode.primitives.hexadecimal import decode_data
from sdk.testnet.own_task import in_own_task
from sdk.testnet.services.queries.addresses import get_address
from sdk.testnet.services.queries.transactions import get_transaction, transaction_input
from sdk.testnet.services.told import told_data
from sdk.testnet.services.verification import jobs
from sdk.testnet.services.verification.compiling import CompilerFailed, run_compiler
from sdk.testnet.services.verification.judging import ChainCode, NoMatch, judge
from sdk.testnet.services.verification.saving import NotBetter, save
from sdk.testnet.services.web.problems import reason_of

if TYPE_CHECKING:
    from sdk.testnet.services.store import Store
    from sdk.testnet.services.verification.compilers import Compiler, Compilers
    from sdk.testnet.services.verification.judging import Verdict
    from sdk.testnet.services.verification.submissions import Submission

log = structlog.get_logger(__name__)

POLL_S: Final = 2.0
"""Another process may have put something into the queue; one look costs a millisecond."""
RENEW_S: Final = 5.0
"""A sixth of the lease: some may be late."""
PAUSE_S: Final = 5.0
"""After a failure of the database or of all nodes."""
NODE_TRIES: Final = 3
"""Of a question to a node, before a job fails by it."""
_DELEGATION: Final = bytes.fromhex("ef0100")
_TRACE_TIMEOUT: Final = {"tracer": "callTracer", "timeout": "10s"}


class Node(Protocol):
    """A node, or several as one."""

    async def call(self, method: str, *params: Any) -> Any:
        """Return a call's result; raises JSONRPCError or Unavailable."""


class Verifier:
    """Verifies what is in the queue of a database. `submitted` is called by who puts something there in this process."""

    def __init__(self, *, store: Store, node: Node, compilers: Compilers, poll_s: float = POLL_S) -> None:
        self._store = store
        self._node = node
        self.compilers: Final = compilers
        self._poll_s = poll_s
        self._woken = asyncio.Event()
        self.results: Final[Counter[str]] = Counter()
        """How many jobs ended how since the start: `match`, `exact_match`, or the code of the error."""

    def submitted(self) -> None:
        """Look at the queue now."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled; a job that is under way then is given back, and done after the restart."""
        while True:
            try:
                job = await asyncio.to_thread(jobs.claim, self._store)
            except StorageFailed as error:
                log.warning("verification_failed", reason=reason_of(error)[:200])
                await asyncio.sleep(PAUSE_S)
                continue
            if job is not None:
                await self._do(job)
                continue
            self._woken.clear()
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _do(self, job: jobs.Claimed) -> None:
        began_s = time.monotonic()
        try:
            async with asyncio.TaskGroup() as tasks:
                renewing = tasks.create_task(self._renew(job.id), name="verification: lease")
                try:
                    outcome = await self._verify(job)
                finally:
                    renewing.cancel()
        except asyncio.CancelledError:
            # The database answers in milliseconds, or the lease runs out.
            with contextlib.suppress(StorageFailed):
                await asyncio.shield(asyncio.to_thread(jobs.give_back, self._store, job.id))
            raise
        self.results[outcome] += 1
        log.info(
            "verification_finished",
            contract=format_address(job.address),
            compiler=f"{job.submission.language} {job.submission.version}",
            outcome=outcome,
            ms=round((time.monotonic() - began_s) * 1_000),
        )

    async def _renew(self, job_id: str) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await asyncio.to_thread(jobs.renew, self._store, job_id)
            except StorageFailed as error:
                log.warning("verification_failed", reason=reason_of(error)[:200])

    async def _verify(self, job: jobs.Claimed) -> str:
        """Do a job, and say how it ended: a match, or the code of the error that it is failed with."""
        try:
            compiler = self.compilers.get(job.submission.language, job.submission.version)
            if compiler is None:
                return await self._fail(
                    job, "unsupported_compiler_version", no_compiler(self.compilers, job.submission)
                )
            # In there are task groups, of which one that fails while it is cancelled would be taken for a job that has failed, and the next one begun.
            chain, verdict = await in_own_task(self._judge(job, compiler), name="verification: judge")
            await asyncio.to_thread(
                save, self._store, job.id, job.address, verdict, job.submission.standard_json, chain.runtime
            )
        except (CompilerFailed, NoMatch, NotBetter) as refused:
            return await self._fail(job, refused.code, str(refused))
        except Unavailable as failed:
            return await self._fail(job, "internal_error", reason_of(failed)[:400])
        except MetanodeError as refused:
            return await self._fail(job, getattr(refused, "word", "internal_error"), str(refused)[:400])
        except Exception:
            # Hostile sources may make a compiler's answer look as nobody expects; the next job must not wait for it.
            log.exception("verification_failed", contract=format_address(job.address))
            return await self._fail(
                job, "internal_error", "The verification failed inside; the operator's log says why."
            )
        return verdict.match

    async def _judge(self, job: jobs.Claimed, compiler: Compiler) -> tuple[ChainCode, Verdict]:
        """What the chain has, and what the sources are to that."""
        chain = await self._chain_code(job)
        return chain, await judge(job.submission, chain, partial(run_compiler, compiler))

    async def _fail(self, job: jobs.Claimed, code: str, message: str) -> str:
        try:
            await asyncio.to_thread(jobs.fail, self._store, job.id, code, message)
        except StorageFailed as error:
            # The lease runs out, and the job is tried again.
            log.warning("verification_failed", reason=reason_of(error)[:200])
        return code

    async def _chain_code(self, job: jobs.Claimed) -> ChainCode:
        runtime = told_data(await self._ask("eth_getCode", format_address(job.address), "latest"))
        if not runtime:
            raise NoCode(
                "The address has no code: nothing is deployed there, or the contract has destroyed itself."
            )
        if len(runtime) == 23 and runtime.startswith(_DELEGATION):
            raise NoCode(
                "The address is an account that delegates to a contract (EIP-7702); verify that contract."
            )
        return ChainCode(runtime=runtime, creation=await self._creation_code(job))

    async def _creation_code(self, job: jobs.Claimed) -> bytes | None:
        """Code and arguments that made a contract: the input of its transaction, or of the call inside it. None when nobody can tell."""
        found = await asyncio.to_thread(self._look_for_creation, job.address)
        transaction = (found[0] if found else None) or job.creation_transaction
        if found is not None and found[1] is not None:
            return found[1]
        if transaction is None:
            return None
        try:
            tree = await self._node.call("debug_traceTransaction", f"0x{transaction.hex()}", _TRACE_TIMEOUT)
            return _created_in(tree, job.address)
        except (MetanodeError, KeyError, TypeError, AttributeError):
            return None

    def _look_for_creation(self, address: bytes) -> tuple[bytes, bytes | None] | None:
        """The transaction that created a contract, and its input if it did so itself."""
        with self._store.look() as connection:
            account = get_address(connection, address)
            if account is None or account.creation_transaction is None:
                return None
            row = get_transaction(connection, account.creation_transaction)
            if row is None:
                return None
            is_direct = row.created is not None and row.created.address == address
            return row.hash, transaction_input(connection, row) if is_direct else None

    async def _ask(self, method: str, *params: Any) -> Any:
        for tried in range(1, NODE_TRIES + 1):
            try:
                return await self._node.call(method, *params)
            except Unavailable:
                if tried == NODE_TRIES:
                    raise
                await asyncio.sleep(PAUSE_S)
        raise AssertionError


class NoCode(InvalidInput):
    """There is nothing to compare with."""

    word = "contract_not_deployed"


def no_compiler(compilers: Compilers, submission: Submission) -> str:
    """Return why a submission's compiler can't be asked."""
    here = compilers.versions(submission.language)
    if here:
        return f"{submission.language} {submission.version} is not here; there are {', '.join(here)}."
    return f"No compiler of {submission.language} is here. The operator installs them: testnet compilers --install."


def _created_in(tree: Any, address: bytes) -> bytes | None:
    """The input of the call that created a contract, somewhere in a transaction's calls."""
    waiting = [tree]
    while waiting:
        call = waiting.pop()
        is_creation = call.get("type") in {"CREATE", "CREATE2"} and not call.get("error")
        if is_creation and decode_data(call.get("to") or "0x") == address:
            return decode_data(call["input"])
        waiting += call.get("calls") or ()
    return None
