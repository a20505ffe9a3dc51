"""Certificates of heights that are over: stragglers are sent ours, and what others send is compared with ours."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

import structlog

from metanode.chain.certificate import Certificate
from metanode.chain.parameters import ChainRules
from metanode.consensus import wire
from metanode.consensus.fork import Fork, prove_fork
from metanode.consensus.inputs import ForkProven, Input
from metanode.consensus.messages import Decision
from metanode.errors import InvalidCertificate, InvalidInput
from metanode.node.ports import ConsensusStore, Network
from metanode.primitives.types import Height

log = structlog.get_logger(__name__)

DECISION_REPEAT_S: Final = 1.0
"""A peer is told one height's decision at most this often."""
DECISIONS_REMEMBERED: Final = 4_096
COMPARISONS_MAX: Final = 16
"""Certificates that are compared at once; more are dropped, and an honest sender repeats them."""
ANSWERS_MAX: Final = 64
"""Certificates that are on their way from the disk to peers at once; more questions are dropped, and a straggler asks again."""
STORE_RETRY_S: Final = 0.1
STORE_LOOKS_MAX: Final = 50
"""Looks for a height that was decided a moment ago and is on its way to the disk. One that is not there then never comes: this node began after it."""


class PastHeights:
    """Owner: the driver."""

    def __init__(
        self,
        *,
        rules: ChainRules,
        store: ConsensusStore,
        network: Network,
        feed: Callable[[Input], None],
        spawn: Callable[[Coroutine[object, object, None]], object],
    ) -> None:
        self._rules = rules
        self._store = store
        self._network = network
        self._feed = feed
        self._spawn = spawn
        self._told: dict[tuple[str, Height], float] = {}
        self._comparisons = 0
        self._answers = 0

    def send_decision(self, peer: str, height: Height) -> None:
        """Send a peer the certificate of a past height, unless it has just had it."""
        if not peer:
            return
        now = asyncio.get_running_loop().time()
        key = (peer, height)
        if now - self._told.get(key, -DECISION_REPEAT_S) < DECISION_REPEAT_S:
            return
        if self._answers >= ANSWERS_MAX:
            return
        if len(self._told) >= DECISIONS_REMEMBERED:
            self._told.clear()
        self._told[key] = now
        self._answers += 1
        self._spawn(self._answer(peer, height))

    async def _answer(self, peer: str, height: Height) -> None:
        try:
            certificate = await self._store.certificate(height)
        finally:
            self._answers -= 1
        if certificate is not None:
            decision = Decision(certificate=certificate)
            self._network.send(peer, wire.encode(decision), decision)

    def compare(self, certificate: Certificate, peer: str) -> None:
        """Compare a certificate that a peer has sent with ours: it changes nothing, or proves a fork, or is the peer's fault."""
        if self._comparisons < COMPARISONS_MAX:
            self._comparisons += 1
            self._spawn(self._compare(certificate, peer))

    async def _compare(self, certificate: Certificate, peer: str) -> None:
        try:
            fork = await self.find_fork(certificate)
        except InvalidInput as error:
            self.charge(peer, str(error))
        else:
            if fork is not None:
                self._feed(ForkProven(fork=fork, heard=await self._store.heard(fork.height)))
        finally:
            self._comparisons -= 1

    async def find_fork(self, certificate: Certificate) -> Fork | None:
        """Return the fork that a certificate of a decided height proves; raises InvalidCertificate when it proves nothing at all.

        Of heights before a snapshot that came without headers nothing is known here: nothing is proven, and nobody is to blame.
        """
        height = certificate.height
        header = await self._store.header(height)
        for _ in range(STORE_LOOKS_MAX):
            if header is not None:
                break
            await asyncio.sleep(STORE_RETRY_S)
            header = await self._store.header(height)
        if header is None or header.hash == certificate.block_hash:
            return None
        ours, validators = await self._store.certificate(height), await self._store.validators(height)
        if ours is None or validators is None:
            raise InvalidCertificate(f"height {height} has no certificate, found one")
        return prove_fork(ours, certificate, validators=validators, rules=self._rules)

    def charge(self, peer: str, reason: str) -> None:
        """Charge a peer for a certificate that proves nothing."""
        log.warning("certificate_refused", peer=peer, reason=reason[:200])
        if peer:
            self._network.charge(peer)
