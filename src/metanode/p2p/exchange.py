"""What peers say to each other once they are connected, and who hears of it next.

Consensus messages, certificates, transactions and blocks are bytes here: they go to `NodeHandlers`, and the verdicts decide.

How consensus messages spread: who signs one pushes it to everybody (`broadcast`). Who gets it hands it on at once, except from validator to
validator, where everybody has it from its author in all likelihood: there it is announced a little later, and sent to those who ask.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import recover_address
from metanode.errors import InvalidInput, MetanodeError
from metanode.p2p import proofs, protocol
from metanode.p2p.enode import NodeId
from metanode.p2p.errors import PeerFault
from metanode.p2p.gossip import SEEN_MAX, Assemblies, HashSet, Kept, RecentMessages
from metanode.p2p.peer import Peer, Request, TooManyRequests
from metanode.p2p.ports import ChainView, NodeHandlers, Priority, ProofSigner, Verdict
from metanode.p2p.proofs import ValidatorRecord
from metanode.p2p.protocol import (
    Announce,
    Certificate,
    Consensus,
    GetBlocks,
    GetBody,
    Heartbeat,
    Large,
    Message,
    Part,
    Records,
    Response,
    Status,
    Transactions,
    Want,
)
from metanode.p2p.queue import Outbound, prepare, prepare_large
from metanode.p2p.refusals import Refusal, claimed_validator
from metanode.p2p.reputation import Offence
from metanode.p2p.requests import UnaskedResponse
from metanode.p2p.rlpx.connection import Ready
from metanode.p2p.rlpx.reasons import DisconnectReason
from metanode.p2p.roster import Roster
from metanode.primitives.types import Hash32, Height

log = structlog.get_logger(__name__)

ANNOUNCE_DELAY_S: Final = 0.05
"""Between validators a message that was heard is announced so much later, together with others."""
CERTIFICATE_DELAY_S: Final = 0.3
"""A validator that has not said the new height by then is sent its certificate."""
REMEMBERED_S: Final = 1.5
"""A message is handed on once in so long, or twice as long: what its author repeats, every four seconds, passes each time, also to those who have come since, or
had no use for it. Longer than messages are on their way, so none goes in circles."""
DUPLICATE_S: Final = 5.0
"""A second connection that comes so late after the first is a peer that has lost the first one."""
TRANSACTIONS_QUEUE_MAX: Final = 256
"""Batches that wait for the pool; more are dropped, their senders' peers have them too."""


class Exchange:
    """See the module. Everything happens in the event loop; `announce_collected` and `hand_in_transactions` are run by the network."""

    def __init__(
        self,
        *,
        own_id: NodeId,
        roster: Roster,
        chain: ChainView,
        handlers: NodeHandlers,
        signer: ProofSigner | None,
        upon_new_records: Callable[[tuple[ValidatorRecord, ...]], None],
        wall_clock: Callable[[], float],
        max_peers: int,
        admits: Callable[[NodeId], bool] = lambda _: True,
    ) -> None:
        self._own_id = own_id
        self._roster = roster
        self._chain = chain
        self._handlers = handlers
        self._signer = signer
        self._upon_new_records = upon_new_records
        self._wall_clock = wall_clock
        self._max_peers = max_peers
        self._admits = admits
        self._seen = HashSet(SEEN_MAX)
        self._forgets_at = 0.0
        self._recent = RecentMessages()
        self._assemblies = Assemblies()
        self._announced: dict[Peer, list[Hash32]] = {}
        self._announce_woken = asyncio.Event()
        self._transactions: asyncio.Queue[tuple[bytes, Peer]] = asyncio.Queue(TRANSACTIONS_QUEUE_MAX)
        self._seen_batches = HashSet(SEEN_MAX)
        self._certificate: tuple[Height, bytes, float] | None = None
        self.transactions_dropped = 0

    @property
    def assembling_bytes(self) -> int:
        """What has come of large messages that are not whole yet."""
        return self._assemblies.bytes

    def broadcast(self, raw: bytes, priority: Priority) -> None:
        """Push a consensus message of ours to every peer; repeating one sends it again to those who may have missed it."""
        assert priority <= Priority.CERTIFICATE, priority
        digest = keccak256(raw)
        is_repeat = self._recent.get(digest) is not None
        self._seen.add(digest)
        self._recent.add(Kept(priority=priority, digest=digest, raw=raw))
        if len(raw) <= protocol.SMALL_BYTES_MAX:
            outbound = prepare(Consensus(priority=priority, raw=raw))
            for peer in self._roster.recipients():
                if peer.push(outbound):
                    peer.known.add(digest)
            return
        large = prepare_large(priority, digest, raw)
        for peer in self._roster.recipients():
            if is_repeat or digest in peer.known:
                # It was sent, or has announced it itself: ask before it is sent once more.
                self._announce(peer, digest)
            elif peer.push_large(large):
                peer.known.add(digest)

    def send(self, node_id: NodeId, raw: bytes, priority: Priority = Priority.VOTE) -> None:
        """Send a consensus message to one peer; nothing happens when it is not connected."""
        peer = self._roster.peers.get(node_id)
        if peer is not None and peer.is_ready:
            self._push_message(peer, Kept(priority=priority, digest=keccak256(raw), raw=raw))

    def broadcast_transactions(self, batch: bytes) -> None:
        """Send transactions that came from our own RPC, one RLP list, to every peer."""
        for piece in protocol.split_batch(batch):
            self._seen_batches.add(keccak256(piece))
            outbound = prepare(Transactions(batch=piece))
            for peer in self._roster.ready():
                peer.push(outbound)

    def announce_decided(self, height: Height, certificate: bytes) -> None:
        """Tell peers that we have decided a height, once `ChainView.tip` says so.

        Other validators have the certificate themselves in all likelihood: they get it a moment later, if they have not said so by then.
        """
        self._certificate = (height, certificate, asyncio.get_running_loop().time())
        heartbeat = prepare(self._heartbeat())
        outbound = prepare(Certificate(height=height, certificate=certificate))
        validators = self._chain.validators()
        for peer in self._roster.ready():
            peer.push(heartbeat)
            if not self._roster.is_lazy(peer, validators) and max(peer.height, peer.offered) < height:
                peer.push(outbound)
                peer.offered = height

    def send_heartbeat(self) -> None:
        """Tell every peer our height and our clock."""
        self._roster.send_to_all(self._heartbeat())

    def handle_timer(self, now: float) -> None:
        """Ask elsewhere for what was announced and did not come, send certificates to those who are late, and forget what was heard long ago."""
        if now >= self._forgets_at:
            self._forgets_at = now + REMEMBERED_S
            self._seen.grow_old()
            for connected in self._roster.peers.values():
                connected.known.grow_old()
        for node_id, digest in self._assemblies.overdue(now):
            peer = self._roster.peers.get(node_id)
            if peer is not None and peer.is_ready:
                peer.send(Want(digests=(digest,)))
        self._send_late_certificates(now)

    def upon_closed(self, peer: Peer) -> None:
        """Forget a connection that has ended."""
        self._announced.pop(peer, None)
        if self._roster.peers.get(peer.node_id) is peer:
            del self._roster.peers[peer.node_id]
            self._assemblies.upon_gone(peer.node_id)

    # PeerOwner.

    def upon_ready(self, peer: Peer, ready: Ready) -> None:
        """Give the peer its place, or tell it that there is none, and say at once all that it needs to resume."""
        node_id = NodeId(ready.remote_id)
        if self._roster.reputation.is_banned(node_id, asyncio.get_running_loop().time()):
            peer.disconnect(DisconnectReason.USELESS_PEER, "banned for now")
            return
        if not self._admits(node_id):
            peer.disconnect(DisconnectReason.USELESS_PEER, "this node speaks with its sentries only")
            return
        known = self._roster.peers.get(node_id)
        if known is not None:
            if not self._replaces(peer, known):
                peer.disconnect(DisconnectReason.ALREADY_CONNECTED)
                return
            known.disconnect(DisconnectReason.ALREADY_CONNECTED, "a newer connection takes its place")
            self._assemblies.upon_gone(node_id)
        self._roster.peers[node_id] = peer
        peer.is_static = peer.is_static or self._roster.is_static(node_id)
        peer.send(self._status(peer))
        self._send_opening(peer)

    def _replaces(self, new: Peer, known: Peer) -> bool:
        """Whether a second connection with a node is the one to keep; both ends come to the same answer.

        Who calls again has lost the first one. When both have called at the same time, the call of the larger node id is kept.
        """
        if new.is_inbound == known.is_inbound:
            return new.is_inbound
        if known.age_s - new.age_s > DUPLICATE_S:
            return True
        return new.is_inbound == (new.node_id > self._own_id)

    def upon_message(self, peer: Peer, message: Message) -> None:
        """Process a message; raises PeerFault when it is wrong."""
        if isinstance(message, Status):
            self._upon_status(peer, message)
            return
        if not peer.is_ready:
            raise PeerFault(f"{type(message).__name__.lower()}: before the status")
        now = asyncio.get_running_loop().time()
        match message:
            case Heartbeat():
                self._upon_heartbeat(peer, message)
            case Consensus():
                self._upon_consensus(peer, message.priority, message.raw)
            case Large():
                peer.known.add(message.digest)
                is_wanted = message.digest not in self._seen and self._recent.get(message.digest) is None
                self._assemblies.upon_large(peer.node_id, message, is_wanted=is_wanted, now=now)
            case Part():
                whole = self._assemblies.upon_part(peer.node_id, message, now)
                if whole is not None:
                    self._upon_consensus(peer, *whole)
            case Announce():
                self._upon_announce(peer, message, now)
            case Want():
                self._upon_want(peer, message)
            case Certificate():
                self._upon_certificate(peer, message)
            case Transactions():
                self._upon_transactions(peer, message)
            case Records():
                self._upon_records(peer, message)
            case GetBlocks() | GetBody() | Response():
                raise AssertionError("requests and answers are the peer's own business")

    def upon_fault(self, peer: Peer, error: InvalidInput) -> None:
        """Charge a peer with something wrong, and disconnect it unless it is a trifle."""
        if isinstance(error, UnaskedResponse):
            self._roster.charge(peer, Offence.UNASKED)
        elif isinstance(error, TooManyRequests):
            self._roster.charge(peer, Offence.TOO_MANY_REQUESTS)
        elif isinstance(error, PeerFault) and error.disconnect is not DisconnectReason.PROTOCOL_BREACH:
            peer.disconnect(error.disconnect, str(error))
        else:
            self._roster.charge(peer, Offence.MALFORMED, str(error))

    async def answer(self, request: Request) -> bytes:
        """Return the answer to a request, empty when we have none."""
        match request:
            case GetBlocks(first=first, count=count):
                blocks = await self._handlers.blocks(first, count, protocol.RESPONSE_BYTES_SOFT)
                return protocol.encode_blocks(blocks)
            case GetBody(block_hash=block_hash):
                body = await self._handlers.body(block_hash)
                return b"" if body is None or len(body) > protocol.LARGE_BYTES_MAX else body

    def _status(self, peer: Peer) -> Status:
        proof = None
        if self._signer is not None:
            digest = proofs.proof_digest(
                self._chain.genesis_hash, self._chain.chain_id, self._own_id, peer.node_id, peer.session
            )
            proof = self._signer.sign_proof(digest)
        return Status(
            genesis_hash=self._chain.genesis_hash,
            network_id=self._chain.network_id,
            chain_id=self._chain.chain_id,
            fork_id=self._chain.fork_id(),
            tip=self._chain.tip(),
            time_ms=self._now_ms(),
            proof=proof,
        )

    def _send_opening(self, peer: Peer) -> None:
        """Send what resumes the current height: the tip's certificate, our own messages, pending transactions, records."""
        opening = self._handlers.opening_messages()
        if opening.certificate is not None:
            height, certificate = opening.certificate
            peer.send(Certificate(height=height, certificate=certificate))
            peer.offered = height
        for raw, priority in opening.consensus:
            kept = Kept(priority=priority, digest=keccak256(raw), raw=raw)
            self._seen.add(kept.digest)
            self._recent.add(kept)
            self._push_message(peer, kept)
        for batch in opening.transactions:
            for piece in protocol.split_batch(batch):
                peer.send(Transactions(batch=piece))
        records = self._roster.book.all()
        for start in range(0, len(records), protocol.RECORDS_MAX):
            peer.send(Records(records=tuple(records[start : start + protocol.RECORDS_MAX])))

    def _upon_status(self, peer: Peer, status: Status) -> None:
        if peer.was_ready:
            raise PeerFault("status: sent twice")
        chain = self._chain
        if status.genesis_hash != chain.genesis_hash:
            self._note_refusal(peer, status, "genesis")
            raise PeerFault(
                f"status: genesis {status.genesis_hash.hex()}, ours is {chain.genesis_hash.hex()}",
                DisconnectReason.USELESS_PEER,
            )
        if (status.network_id, status.chain_id) != (chain.network_id, chain.chain_id):
            self._note_refusal(peer, status, "network")
            raise PeerFault(
                f"status: network {status.network_id} and chain {status.chain_id}, ours are {chain.network_id} and {chain.chain_id}",
                DisconnectReason.USELESS_PEER,
            )
        if not chain.accepts_fork(status.fork_id):
            self._note_refusal(peer, status, "fork")
            raise PeerFault(
                f"status: fork id {status.fork_id.hash.hex()}/{status.fork_id.next} is of another chain or an older version",
                DisconnectReason.USELESS_PEER,
            )
        if status.proof is not None:
            digest = proofs.proof_digest(
                chain.genesis_hash, chain.chain_id, peer.node_id, self._own_id, peer.session
            )
            peer.proven = recover_address(digest, status.proof)
        if not self._roster.is_needed(peer):
            ordinary = sum(not self._roster.is_needed(other) for other in self._roster.ready())
            if ordinary >= self._max_peers:
                raise PeerFault("every place is taken", DisconnectReason.TOO_MANY_PEERS)
        peer.claimed = status.tip.height
        self._note_clock(peer, status.time_ms)
        peer.is_ready = peer.was_ready = True
        self._roster.refusals.forget(peer.node_id)
        if peer.proven in chain.validators() and peer.remote_host:
            self._roster.note_needed_ip(peer.remote_host)
        self._handlers.upon_peer_ready(peer.info(chain.validators()))

    def _note_refusal(self, peer: Peer, status: Status, reason: str) -> None:
        self._roster.refusals.add(
            Refusal(
                node_id=peer.node_id,
                address=peer.address,
                client=peer.client,
                reason=reason,
                genesis_hash=status.genesis_hash,
                chain_id=status.chain_id,
                validator=claimed_validator(
                    status, prover=peer.node_id, verifier=self._own_id, session=peer.session
                ),
                times=1,
                at_s=asyncio.get_running_loop().time(),
            )
        )

    def _upon_heartbeat(self, peer: Peer, heartbeat: Heartbeat) -> None:
        self._note_clock(peer, heartbeat.time_ms)
        if heartbeat.tip.height < peer.claimed:
            self._roster.charge(peer, Offence.CLAIM_LOWERED, f"from {peer.claimed} to {heartbeat.tip.height}")
            return
        peer.claimed = heartbeat.tip.height

    def _upon_consensus(self, peer: Peer, priority: Priority, raw: bytes) -> None:
        digest = keccak256(raw)
        peer.known.add(digest)
        self._assemblies.forget(digest)
        if digest not in self._seen:
            self._take(peer, Kept(priority=priority, digest=digest, raw=raw))

    def _take(self, peer: Peer, kept: Kept) -> None:
        """Give a message to the node, and do as it says."""
        match self._handlers.upon_consensus_message(kept.raw, peer.node_id):
            case Verdict.RELAY:
                self._seen.add(kept.digest)
                self._recent.add(kept)
                self._relay(kept)
            case Verdict.DROP:
                pass
            case Verdict.MALFORMED:
                self._roster.charge(peer, Offence.MALFORMED, "consensus message")

    def _relay(self, kept: Kept) -> None:
        """Hand a message on to those who do not have it."""
        validators = self._chain.validators()
        outbound: Outbound | None = None
        for peer in self._roster.recipients():
            if kept.digest in peer.known:
                continue
            if len(kept.raw) > protocol.SMALL_BYTES_MAX or self._roster.is_lazy(peer, validators):
                self._announce(peer, kept.digest)
            else:
                outbound = outbound or prepare(Consensus(priority=kept.priority, raw=kept.raw))
                if peer.push(outbound):
                    peer.known.add(kept.digest)

    def _push_message(self, peer: Peer, kept: Kept) -> None:
        if len(kept.raw) <= protocol.SMALL_BYTES_MAX:
            accepted = peer.push(prepare(Consensus(priority=kept.priority, raw=kept.raw)))
        else:
            accepted = peer.push_large(prepare_large(kept.priority, kept.digest, kept.raw))
        if accepted:
            peer.known.add(kept.digest)

    def _announce(self, peer: Peer, digest: Hash32) -> None:
        self._announced.setdefault(peer, []).append(digest)
        self._announce_woken.set()

    async def announce_collected(self) -> None:
        """Send what is to be announced, a moment after it came up, until cancelled."""
        while True:
            await self._announce_woken.wait()
            await asyncio.sleep(ANNOUNCE_DELAY_S)
            self._announce_woken.clear()
            announced, self._announced = self._announced, {}
            for peer, digests in announced.items():
                # What it has sent, or was sent, in the meantime needs no word; a repeated large message does.
                missing = [d for d in digests if d not in peer.known or self._is_large(d)]
                for start in range(0, len(missing), protocol.ANNOUNCED_MAX):
                    peer.send(Announce(digests=tuple(missing[start : start + protocol.ANNOUNCED_MAX])))

    def _is_large(self, digest: Hash32) -> bool:
        kept = self._recent.get(digest)
        return kept is not None and len(kept.raw) > protocol.SMALL_BYTES_MAX

    def _upon_want(self, peer: Peer, want: Want) -> None:
        asked = [self._recent.get(digest) for digest in dict.fromkeys(want.digests)]
        found = [kept for kept in asked if kept is not None]
        peer.note_work(digests=len(want.digests), bytes_sent=sum(len(kept.raw) for kept in found))
        for kept in found:
            self._push_message(peer, kept)

    def _upon_announce(self, peer: Peer, announce: Announce, now: float) -> None:
        peer.note_work(digests=len(announce.digests))
        wanted = []
        for digest in announce.digests:
            peer.known.add(digest)
            if digest in self._seen:
                continue
            kept = self._recent.get(digest)
            if kept is not None:
                # What is here since long is said once more: heard again, but not sent. Once in a while, whatever the node says to it: to mention it costs nothing.
                self._seen.add(digest)
                self._take(peer, kept)
            elif self._assemblies.upon_announce(peer.node_id, digest, now):
                wanted.append(digest)
        if wanted:
            peer.send(Want(digests=tuple(wanted)))

    def _upon_certificate(self, peer: Peer, message: Certificate) -> None:
        match self._handlers.upon_certificate(message.height, message.certificate, peer.node_id):
            case Verdict.RELAY:
                self._relay_certificate(peer, message)
            case Verdict.DROP:
                pass
            case Verdict.MALFORMED:
                self._roster.charge(peer, Offence.MALFORMED, "certificate")
                return
        peer.told = max(peer.told, message.height)

    def _relay_certificate(self, source: Peer, message: Certificate) -> None:
        outbound = prepare(message)
        validators = self._chain.validators()
        for peer in self._roster.ready():
            is_late = max(peer.height, peer.offered) < message.height
            if peer is not source and is_late and not self._roster.is_lazy(peer, validators):
                peer.push(outbound)
                peer.offered = message.height

    def _send_late_certificates(self, now: float) -> None:
        """Send the tip's certificate to peers that have not reached it a while after we did."""
        if self._certificate is None or now < self._certificate[2] + CERTIFICATE_DELAY_S:
            return
        height, certificate, _ = self._certificate
        outbound: Outbound | None = None
        for peer in self._roster.ready():
            if max(peer.height, peer.offered) < height:
                outbound = outbound or prepare(Certificate(height=height, certificate=certificate))
                peer.push(outbound)
                peer.offered = height

    def _upon_transactions(self, peer: Peer, message: Transactions) -> None:
        digest = keccak256(message.batch)
        if digest in self._seen_batches:
            return
        self._seen_batches.add(digest)
        try:
            self._transactions.put_nowait((message.batch, peer))
        except asyncio.QueueFull:
            self.transactions_dropped += 1

    async def hand_in_transactions(self) -> None:
        """Give batches to the pool one after the other, and relay those that brought something new."""
        while True:
            batch, peer = await self._transactions.get()
            validators = self._chain.validators()
            from_validator = peer.proven is not None and peer.proven in validators
            try:
                verdict = await self._handlers.upon_transactions(batch, peer.info(validators))
            except MetanodeError as error:
                log.warning("transactions_not_taken", error=str(error)[:200])
                continue
            except Exception:
                # Our own mistake, met by a batch of this peer: it must not end the node.
                log.exception("transactions_not_handled", peer=repr(peer))
                continue
            if verdict is Verdict.MALFORMED:
                self._roster.charge(peer, Offence.MALFORMED, "transactions")
            elif verdict is Verdict.RELAY:
                self._relay_transactions(batch, peer, from_validator=from_validator)

    def _relay_transactions(self, batch: bytes, source: Peer, *, from_validator: bool) -> None:
        """Hand a batch on once; from a validator to a validator never, as its author has sent it to all of them."""
        validators = self._chain.validators()
        outbound = prepare(Transactions(batch=batch))
        for peer in self._roster.ready():
            if peer is not source and not (from_validator and self._roster.is_lazy(peer, validators)):
                peer.push(outbound)

    def _upon_records(self, peer: Peer, message: Records) -> None:
        validators = self._chain.validators()
        new = tuple(record for record in message.records if self._roster.book.add(record, validators))
        if not new:
            return
        outbound = prepare(Records(records=new))
        for other in self._roster.ready():
            if other is not peer:
                other.push(outbound)
        self._upon_new_records(new)

    def _note_clock(self, peer: Peer, time_ms: int) -> None:
        peer.clock_skew_ms = time_ms - self._now_ms() + round(peer.round_trip_s * 500)

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(tip=self._chain.tip(), time_ms=self._now_ms())

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)
