"""A submission is taken: its compiler is here, its contract has code, and the queue has room. What every door to verification does, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from metanode.crypto.addresses import format_address
from sdk.testnet.services.told import told_data
from sdk.testnet.services.verification.jobs import submit
from sdk.testnet.services.verification.submissions import Rejected
from sdk.testnet.services.verification.verifier import no_compiler

if TYPE_CHECKING:
    from sdk.testnet.services.store import Store
    from sdk.testnet.services.verification.submissions import Submission
    from sdk.testnet.services.verification.verifier import Node, Verifier


async def take_submission(
    submission: Submission,
    address: bytes,
    *,
    verifier: Verifier,
    store: Store,
    node: Node,
    requester: str,
    creation_transaction: bytes | None = None,
) -> str:
    """Queue sources of a contract and return the job's id.

    Raises:
        Rejected: `unsupported_compiler_version`, `contract_not_deployed`, or what `submit` says.
        JSONRPCError: when the node refuses to tell the code.
        Unavailable: when no node answers, or not in a way that can be read, or the queue is full.
    """
    if verifier.compilers.get(submission.language, submission.version) is None:
        raise Rejected(no_compiler(verifier.compilers, submission), "unsupported_compiler_version")
    if not told_data(await node.call("eth_getCode", f"0x{address.hex()}", "latest")):
        raise Rejected(
            f"This chain has no contract at {format_address(address)}.", "contract_not_deployed", 404
        )
    job_id = await asyncio.to_thread(
        submit,
        store,
        address,
        submission,
        requester=requester,
        creation_transaction=creation_transaction,
    )
    verifier.submitted()
    return job_id
