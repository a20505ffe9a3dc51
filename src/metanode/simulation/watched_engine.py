"""The execution client of one life, with the boundaries around its calls, and a word to the checker about each block it finds valid."""

from collections.abc import AsyncIterator, Callable, Sequence

from metanode.chain.attributes import PayloadAttributes
from metanode.execution.client import (
    BuildId,
    ExecutionClient,
    ExecutionEvent,
    ExecutionPayload,
    Head,
    Submission,
    Valid,
    Verdict,
    import_one_by_one,
)
from metanode.primitives.types import Hash32
from metanode.simulation.life import Life


class WatchedEngine:
    """Passes every call on. Owner: the node's life."""

    def __init__(
        self,
        client: ExecutionClient,
        life: Life,
        upon_valid: Callable[[Hash32], None],
        upon_head: Callable[[int], None],
    ) -> None:
        self._client = client
        self._life = life
        self._upon_valid = upon_valid
        self._upon_head = upon_head

    async def start_build(self, parent: Hash32, attributes: PayloadAttributes) -> BuildId:
        """See ExecutionClient."""
        self._life.pass_by("before start_build")
        build_id = await self._client.start_build(parent, attributes)
        self._life.pass_by("after start_build")
        return build_id

    async def take_build(self, build_id: BuildId, *, deadline_s: float) -> ExecutionPayload:
        """See ExecutionClient."""
        self._life.pass_by("before take_build")
        payload = await self._client.take_build(build_id, deadline_s=deadline_s)
        self._life.pass_by("after take_build")
        return payload

    async def validate(self, payload: ExecutionPayload) -> Verdict:
        """See ExecutionClient."""
        self._life.pass_by("before validate")
        verdict = await self._client.validate(payload)
        self._life.pass_by("after validate")
        if isinstance(verdict, Valid):
            self._upon_valid(payload.hash)
        return verdict

    async def finalize(self, execution_hash: Hash32) -> Head:
        """See ExecutionClient."""
        self._life.pass_by("before finalize")
        head = await self._client.finalize(execution_hash)
        self._upon_head(head.number)
        self._life.pass_by("after finalize")
        return head

    async def import_payloads(self, payloads: Sequence[ExecutionPayload]) -> Head:
        """See ExecutionClient."""
        return await import_one_by_one(self, payloads)

    async def head(self) -> Head:
        """See ExecutionClient."""
        return await self._client.head()

    async def payload(self, number: int) -> ExecutionPayload | None:
        """See ExecutionClient."""
        return await self._client.payload(number)

    async def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        """See ExecutionClient."""
        return await self._client.submit(raws)

    def events(self) -> AsyncIterator[ExecutionEvent]:
        """See ExecutionClient."""
        return self._client.events()

    async def rpc(self, method: str, params: bytes) -> bytes:
        """See ExecutionClient."""
        return await self._client.rpc(method, params)
