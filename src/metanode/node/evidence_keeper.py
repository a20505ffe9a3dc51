"""Proofs of lies, and what everybody has signed: logged, counted, and brought to the disk. Nothing waits for it but a halt."""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final

import structlog

from metanode.consensus.evidence import Evidence
from metanode.consensus.machine import Consensus
from metanode.node.ports import ConsensusStore
from metanode.primitives.types import Address, Height

log = structlog.get_logger(__name__)

UNSAVED_MAX: Final = 1_024
"""Proofs that wait for the disk; beyond it the newest go, for the first ones convict."""


class EvidenceKeeper:
    """Owner: the driver."""

    def __init__(
        self, *, store: ConsensusStore, spawn: Callable[[Coroutine[object, object, None]], object]
    ) -> None:
        self._store = store
        self._spawn = spawn
        self._unsaved: deque[Evidence] = deque()
        self._upon_evidence: list[Callable[[Evidence], None]] = []
        self._told: dict[Address, Height] = {}
        """The latest height at which a line of the log has named each liar."""

    def subscribe(self, upon_evidence: Callable[[Evidence], None]) -> None:
        """Call back with each new proof."""
        self._upon_evidence.append(upon_evidence)

    def keep(self, evidence: Evidence) -> None:
        """Say that a validator lied, and keep the proof."""
        assert evidence.rule is not None, evidence
        if self._told.get(evidence.author) != evidence.height:
            # A liar completes dozens of pairs at each height: the counter has them all, the log one of each height.
            self._told[evidence.author] = evidence.height
            log.error(
                "evidence_found",
                rule=evidence.rule.value,
                height=evidence.height,
                round=evidence.round,
                author="0x" + evidence.author.hex(),
                step=evidence.first.step.name,
            )
        for callback in self._upon_evidence:
            callback(evidence)
        if len(self._unsaved) < UNSAVED_MAX:
            self._unsaved.append(evidence)
            self._spawn(self.save())

    async def save(self) -> None:
        """Save the proofs that are not on the disk. A halt cancels this, and then calls it itself."""
        while self._unsaved:
            evidence = self._unsaved[0]
            await self._store.save_evidence(evidence)
            if self._unsaved and self._unsaved[0] is evidence:
                self._unsaved.popleft()

    def keep_heard(self, core: Consensus, decided: Height) -> None:
        """Keep what was signed at a height that is decided, and, now that stragglers have come, at the one before."""
        rows = [(height, core.heard(height)) for height in (Height(decided - 1), decided) if height > 0]
        self._spawn(self._store.save_heard(rows))
