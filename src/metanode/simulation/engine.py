"""An execution client as a scenario sees it: it takes its time, is away, disagrees, restarts alone, forgets.

Around the fake client of `metanode.execution.fake`, whose rules decide what is valid. What a scenario sets is an `EngineModel`, which
outlives the lives of its node; each life has a `SimulatedEngine`, which is the driver's ExecutionClient.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from metanode.chain.attributes import PayloadAttributes
from metanode.chain.execution_header import ExecutionHeader
from metanode.errors import Unavailable as UnavailableError
from metanode.execution.client import (
    BuildId,
    ExecutionEvent,
    ExecutionPayload,
    Head,
    Invalid,
    Submission,
    Unavailable,
    Verdict,
    import_one_by_one,
)
from metanode.execution.fake import FakeExecution
from metanode.primitives.types import Hash32

SERVED_WHILE_SYNCING: Final = frozenset({"head", "payload", "submit", "rpc"})
"""What a client that is syncing still answers."""


@dataclass(slots=True)
class EngineModel:
    """How a node's client behaves. Owner: the scenario."""

    delay_ms: tuple[int, int] = (1, 20)
    """Of each operation, from and to."""
    is_available: bool = True
    """False: it answers SYNCING to what it is asked to check, build or finalize."""
    calls_invalid: Callable[[ExecutionPayload], bool] = lambda _: False
    """Valid blocks that this client alone finds invalid."""


class SimulatedEngine:
    """One life of a client. Owner: the simulated node."""

    def __init__(
        self,
        genesis: ExecutionHeader,
        *,
        decided: Sequence[ExecutionPayload],
        model: EngineModel,
        seed: random.Random,
    ) -> None:
        self._genesis = genesis
        self._model = model
        self._random = seed
        self._is_down = False
        self._client = FakeExecution(genesis, decided=decided)

    # --- what the scenario and the node do ----------------------------------------------------------------------------------------------

    @property
    def decided(self) -> list[ExecutionPayload]:
        """The finalized blocks from number 1 on: what a restart finds on the disk."""
        return self._client.decided

    def finalized(self, number: int) -> ExecutionPayload:
        """Return one of them."""
        return self._client.finalized(number)

    @property
    def head_rlp(self) -> bytes:
        """The latest finalized block's bytes."""
        return self._client.head_rlp

    def submit_local(self, raws: Sequence[bytes]) -> list[Submission]:
        """Offer transactions as this node's own callers do."""
        return self._client.submit_local(raws)

    async def restart(self, *, away_s: float, forgets_blocks: int = 0) -> None:
        """Restart without the node: builds, validated blocks and the pool are gone, and on request the last finalized blocks too."""
        kept = self._client.decided
        self._is_down = True
        self._client = FakeExecution(self._genesis, decided=kept[: max(0, len(kept) - forgets_blocks)])
        await asyncio.sleep(away_s)
        self._is_down = False

    # --- the port ------------------------------------------------------------------------------------------------------------------------

    async def head(self) -> Head:
        """See ExecutionClient."""
        await self._take_time("head")
        return await self._client.head()

    async def start_build(self, parent: Hash32, attributes: PayloadAttributes) -> BuildId:
        """See ExecutionClient."""
        await self._take_time("start_build")
        return await self._client.start_build(parent, attributes)

    async def take_build(self, build_id: BuildId, *, deadline_s: float) -> ExecutionPayload:
        """See ExecutionClient."""
        await self._take_time("take_build")
        return await self._client.take_build(build_id, deadline_s=deadline_s)

    async def validate(self, payload: ExecutionPayload) -> Verdict:
        """See ExecutionClient."""
        try:
            await self._take_time("validate")
        except UnavailableError as error:
            return Unavailable(str(error))
        if self._model.calls_invalid(payload):
            return Invalid("this client alone finds it invalid")
        return await self._client.validate(payload)

    async def finalize(self, execution_hash: Hash32) -> Head:
        """See ExecutionClient."""
        await self._take_time("finalize")
        return await self._client.finalize(execution_hash)

    async def import_payloads(self, payloads: Sequence[ExecutionPayload]) -> Head:
        """See ExecutionClient."""
        return await import_one_by_one(self, payloads)

    async def payload(self, number: int) -> ExecutionPayload | None:
        """See ExecutionClient."""
        await self._take_time("payload")
        return await self._client.payload(number)

    async def submit(self, raws: Sequence[bytes]) -> list[Submission]:
        """See ExecutionClient."""
        await self._take_time("submit")
        return await self._client.submit(raws)

    def events(self) -> AsyncIterator[ExecutionEvent]:
        """See ExecutionClient."""
        return self._client.events()

    async def rpc(self, method: str, params: bytes) -> bytes:
        """See ExecutionClient."""
        await self._take_time("rpc")
        return await self._client.rpc(method, params)

    async def _take_time(self, operation: str) -> None:
        low, high = self._model.delay_ms
        await asyncio.sleep(self._random.randint(low, high) / 1000)
        if self._is_down:
            raise UnavailableError("the simulated client is restarting")
        if not self._model.is_available and operation not in SERVED_WHILE_SYNCING:
            raise UnavailableError("the simulated client is syncing")
