"""The port to an execution client, in the words of the Engine API.

Two clients stand behind it, the embedded engine and the deterministic fake of the simulator; an external client over the Engine API fits
here too. They pass one set of contract tests (tests/unit/execution/test_contract.py). Rules that every client keeps:

- A block is an `ExecutionPayload`; its hash is recomputed from the bytes before a client is asked anything about it.
- `validate` and `finalize` are serial: the caller awaits one before it begins the next.
- A fault of the client (disk, transport, still syncing) is `Unavailable`, as a verdict or raised; it is never INVALID. One that
  lasts until somebody acts (damaged data, an engine that stopped in the middle of a call) is errors.StorageDamaged, raised by any call.
- A validated or built block is kept by its hash until a sibling or a descendant is finalized; asking again costs nothing.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NewType, Protocol

from metanode.chain.attributes import PayloadAttributes
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput
from metanode.errors import Unavailable as UnavailableError
from metanode.primitives import rlp
from metanode.primitives.types import Hash32

BuildId = NewType("BuildId", bytes)
"""Names one build of one client; at most 8 bytes, as the Engine API's payloadId."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The client's latest finalized block."""

    number: int
    hash: Hash32
    state_root: Hash32
    timestamp: int
    """Seconds since the Unix epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPayload:
    """One execution block, byte for byte."""

    execution_rlp: bytes
    """Header, transactions, ommers and withdrawals as Ethereum encodes them."""
    requests: tuple[bytes, ...] = ()
    """EIP-7685 requests in order, each with its type byte."""

    hash: Hash32 = field(init=False, compare=False)
    """Hash of the execution header, recomputed from the bytes."""

    def __post_init__(self) -> None:
        _, start, _ = rlp.item_span(self.execution_rlp, 0, len(self.execution_rlp))
        _, _, end = rlp.item_span(self.execution_rlp, start, len(self.execution_rlp))
        object.__setattr__(self, "hash", keccak256(self.execution_rlp[start:end]))


@dataclass(frozen=True, slots=True)
class Valid:
    """The block keeps every rule, on top of its parent's state."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """The block breaks a rule, for ever."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No verdict: the client is syncing, does not know the parent, or did not do its work. Ask again."""

    reason: str


Verdict = Valid | Invalid | Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The pool took a transaction, or had it."""

    hash: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The pool did not take a transaction."""

    code: int
    """JSON-RPC error code."""
    reason: str
    """The text that wallets know, as geth words it."""


Submission = Accepted | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadChanged:
    """A block was finalized and is visible with its state, receipts and logs."""

    head: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionsPending:
    """Transactions that became executable in the pool from this node's own callers since the last event."""

    count: int
    transactions_rlp: bytes
    """RLP list of their EIP-2718 bytes, to be gossiped as it is."""


ExecutionEvent = HeadChanged | TransactionsPending


class ExecutionClient(Protocol):
    """Executes, stores and serves blocks; decides nothing about which of them is final."""

    async def head(self) -> Head:
        """Return the latest finalized block. Raises errors.Unavailable."""
        ...

    async def start_build(self, parent: Hash32, attributes: PayloadAttributes) -> BuildId:
        """Begin a block on the finalized block `parent`; extra data is the client's own configuration. A build not taken is dropped when its parent is no longer the head.

        Raises errors.Unavailable, also when `parent` is not the head.
        """
        ...

    async def take_build(self, build_id: BuildId, *, deadline_s: float) -> ExecutionPayload:
        """Return the best block built so far, at the latest after `deadline_s`. Raises errors.Unavailable when there is none."""
        ...

    async def validate(self, payload: ExecutionPayload) -> Verdict:
        """Execute a block on its parent, the head or a kept block, and tell whether it keeps the rules. A passing fault is a verdict."""
        ...

    async def finalize(self, execution_hash: Hash32) -> Head:
        """Make a kept block the head, durably, then visible; finalizing the head again changes nothing. Raises errors.Unavailable."""
        ...

    async def import_payloads(self, payloads: Sequence[ExecutionPayload]) -> Head:
        """Validate and finalize blocks that are decided, in order; those that are final already change nothing. Return the head.

        Raises errors.Unavailable, and errors.InvalidInput for an invalid block: the blocks before it are final then.
        """
        ...

    async def payload(self, number: int) -> ExecutionPayload | None:
        """Return a finalized block, None when the client does not have it. Raises errors.Unavailable."""
        ...

    async def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        """Offer EIP-2718 transactions from gossip to the pool; one answer each, in order."""
        ...

    def events(self) -> AsyncIterator[ExecutionEvent]:
        """Iterate over what happens from now on. Bounded: a reader that falls behind loses the oldest events, never the engine's time."""
        ...

    async def rpc(self, method: str, params: bytes) -> bytes:
        """Answer one stateless JSON-RPC method: JSON parameters in, the whole member of the response out, as in `"result":"0x1"` or `"error":{…}`."""
        ...


async def import_one_by_one(client: ExecutionClient, payloads: Sequence[ExecutionPayload]) -> Head:
    """`ExecutionClient.import_payloads` of a client that has no faster way."""
    for payload in payloads:
        match await client.validate(payload):
            case Invalid(reason=reason):
                raise InvalidInput(reason)
            case Unavailable(reason=reason):
                raise UnavailableError(reason)
            case Valid():
                await client.finalize(payload.hash)
    return await client.head()
