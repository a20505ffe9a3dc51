"""What a day costs a node on disk: its real stores taken through 43,200 heights as fast as they go, idle, and some with full blocks.

Engine, node.db and signer.log get the calls that the driver makes for a validator among four; no peers, no waiting. What is measured
is what the file system gave out (`du`), after a warm-up that fills what is preallocated or a ring: journal, WAL, the recent payloads,
the 8,191 slots of EIP-4788 and EIP-2935.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.report import Figure
from metanode import _engine
from metanode.chain.attributes import calculate_attributes
from metanode.chain.certificate import Certificate
from metanode.chain.genesis import make_genesis, parse_genesis
from metanode.chain.proposal import make_block
from metanode.chain.state import next_state
from metanode.chain.timing import calculate_due
from metanode.chain.validators import ValidatorSet
from metanode.consensus.effects import Decided
from metanode.consensus.messages import Commit, Prepare, PreparedCertificate, Seal, Step
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.watermark import SignedStep
from metanode.consensus.witness import Witness
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.node.config import StorageSection
from metanode.primitives.types import Height, Round
from metanode.storage.node_store import NodeStore
from metanode.storage.signer import FileSigner
from metanode.storage.signer_log import make_signer_log
from sdk.testnet.transfers import signed_transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from metanode.chain.block import Block
    from metanode.chain.genesis import Genesis
    from metanode.chain.header import ConsensusHeader
    from metanode.chain.state import ConsensusState
    from metanode.primitives.types import Address, Hash32

BLOCKS_A_DAY: Final = 43_200
"""At 2 s."""
RECENT: Final = "recent payloads"
REPORT_EVERY_BLOCKS: Final = 5_000
SAMPLES: Final = 16
SETTLE_LOOK_S: Final = 0.3
SETTLE_LOOKS_MAX: Final = 100
VALIDATORS: Final = 4


@dataclass(frozen=True)
class Load:
    """What goes into the blocks, and how many there are."""

    name: str
    warm_up_blocks: int
    blocks: int
    sample_every_blocks: int
    """Samples of a mean are so far apart: all together, the engine moves its state to disk at least once."""
    transfers: int = 0
    """In a block, each to a new account. Every second block is then empty, as the fee market wants it, and only the full ones are counted."""
    target: str = ""


IDLE: Final = Load("idle", 10_000, BLOCKS_A_DAY, 128, target="<= 80")
FULL: Final = Load("full 60 M gas blocks", 64, 160, 4, transfers=2_857)
LOADS: Final = (IDLE, FULL)


@dataclass(frozen=True)
class Usage:
    """What one node's files take, by group."""

    height: int
    bytes_of: Counter[str]

    @property
    def total_bytes(self) -> int:
        return self.bytes_of.total()


def measure() -> Iterator[Figure]:
    """Growth a day, idle and full, by group of files."""
    for load in LOADS:
        print(f"==> {load.warm_up_blocks:,} and then {load.blocks:,} blocks, {load.name}", flush=True)
        with _directory() as data:
            before, after = asyncio.run(_live(data, load))
        yield from _figures(load, before, after)


def _figures(load: Load, before: Usage, after: Usage) -> Iterator[Figure]:
    all_mb = before.total_bytes / 1e6
    # As many as there ever are: they end before a day does.
    before.bytes_of[RECENT] = after.bytes_of[RECENT]
    a_day_mb = BLOCKS_A_DAY / load.blocks / 1e6
    label = f"disk, {load.name}"
    grown = (after.total_bytes - before.total_bytes) * a_day_mb
    yield _figure(f"{label}: MB a day a node", grown, load.target)
    for group in sorted(after.bytes_of):
        grown = (after.bytes_of[group] - before.bytes_of[group]) * a_day_mb
        yield _figure(f"{label}: {group}, MB a day", grown)
    yield _figure(f"{label}: all files when the count began, height {before.height:,}, MB", all_mb)


async def _live(data: Path, load: Load) -> tuple[Usage, Usage]:
    node = StoredNode(data, accounts=200 if load.transfers else 0)
    try:
        before = await _usage_after(node, data, load, load.warm_up_blocks)
        return before, await _usage_after(node, data, load, load.blocks)
    finally:
        node.close()


async def _usage_after(node: StoredNode, data: Path, load: Load, blocks: int) -> Usage:
    """What is taken so many blocks on, the mean over the last ones: tables of the state are merged now and then."""
    await node.decide(blocks - (SAMPLES - 1) * load.sample_every_blocks, load.transfers)
    found = [_settled_usage(data, node.height)]
    for _ in range(SAMPLES - 1):
        await node.decide(load.sample_every_blocks, load.transfers)
        found.append(_settled_usage(data, node.height))
    groups = {group for sample in found for group in sample.bytes_of}
    mean = Counter({group: sum(sample.bytes_of[group] for sample in found) // SAMPLES for group in groups})
    return Usage(node.height, mean)


def _settled_usage(data: Path, height: int) -> Usage:
    """What is taken once merging in the background is done, for which a node has two seconds a block."""
    for _ in range(SETTLE_LOOKS_MAX):
        before = usage(data, height)
        time.sleep(SETTLE_LOOK_S)
        after = usage(data, height)
        if before == after:
            return after
    raise RuntimeError(f"the files still change {SETTLE_LOOKS_MAX * SETTLE_LOOK_S:g} s after block {height}")


class StoredNode:
    """One validator's stores, with the keys of all four."""

    def __init__(self, data: Path, *, accounts: int) -> None:
        """Begin in an empty directory, whose parent gets the genesis file."""
        self._keys = {
            key.address: key for key in (PrivateKey(bytes([n]) * 32) for n in range(1, VALIDATORS + 1))
        }
        own = next(iter(self._keys.values()))
        self._accounts = [PrivateKey(keccak256(f"disk {n}".encode())) for n in range(accounts)]
        self._sent = 0
        document = json.dumps(
            make_genesis(
                network_name="disk",
                chain_id=1337,
                genesis_time=int(time.time()) - 10 * 365 * 86_400,
                validators=ValidatorSet.of_addresses(self._keys),
                balances={account.address: 10**24 for account in self._accounts} | {own.address: 10**24},
            )
        ).encode()
        (data.parent / "genesis.json").write_bytes(document)
        self._genesis: Genesis = parse_genesis(document)
        history = StorageSection().history_blocks
        self._engine = _engine.Engine.open(document, path=str(data / "engine"), history_blocks=history)
        self._store = NodeStore.open(data / "node.db", self._genesis)
        make_signer_log(data / "signer.log", address=own.address, genesis_hash=self._genesis.hash)
        self._signer = FileSigner.open(
            data / "signer.log", own, genesis_hash=self._genesis.hash, lock_folder=data.parent
        )
        self._parent: ConsensusHeader = self._genesis.header
        self._state: ConsensusState = self._genesis.state
        self._certificate: Certificate | None = None
        self._witness = Witness()

    @property
    def height(self) -> int:
        """The highest decided height."""
        return self._parent.height

    def close(self) -> None:
        """Close the stores."""
        self._signer.close()
        self._store.close()
        self._engine.close()

    async def decide(self, blocks: int, transfers: int) -> None:
        """Decide so many heights more, each with this many transfers."""
        started, first = time.monotonic(), self.height
        for _ in range(blocks):
            if transfers:
                self._fill_pool(transfers)
                await self._decide_next(transfers)
            await self._decide_next(0)
            if self.height % REPORT_EVERY_BLOCKS == 0:
                rate = (self.height - first) / (time.monotonic() - started)
                print(f"    height {self.height:,}, {rate:,.0f} blocks/s", flush=True)

    def _fill_pool(self, transfers: int) -> None:
        raws = []
        for _ in range(transfers):
            account = self._accounts[self._sent % len(self._accounts)]
            to = keccak256(b"to" + self._sent.to_bytes(8, "big"))[-20:]
            nonce = self._sent // len(self._accounts)
            chain_id = self._genesis.chain_id
            raws.append(
                signed_transfer(account, chain_id=chain_id, nonce=nonce, to=to, value_wei=1 + self._sent)
            )
            self._sent += 1
        refused = [answer for answer in self._engine.submit(raws) if not isinstance(answer, bytes)]
        if refused:
            raise RuntimeError(f"the pool refused a transfer: {refused[0]}")

    async def _decide_next(self, transfers: int) -> None:
        rules, parameters = self._genesis.rules, self._genesis.parameters
        proposer = self._keys[self._state.proposer(Round(0), rules.quorum_rule)]
        due = calculate_due(
            parent_timestamp=self._parent.timestamp,
            genesis_time=parameters.genesis_time,
            period_s=parameters.period_s,
        )
        wanted = calculate_attributes(
            self._state, self._parent, rules, timestamp=due, fee_recipient=proposer.address
        )
        built = self._engine.build(
            self._parent.execution_hash,
            timestamp=wanted.timestamp,
            fee_recipient=wanted.fee_recipient,
            prev_randao=wanted.prev_randao,
            withdrawals=[(w.index, w.validator_index, w.address, w.amount_gwei) for w in wanted.withdrawals],
            parent_beacon_block_root=wanted.parent_beacon_block_root,
            gas_limit=wanted.gas_limit,
            extra_data=b"metanode",
            deadline_s=10.0,
        )
        block = make_block(
            state=self._state,
            parent=self._parent,
            rules=rules,
            execution_rlp=built.rlp,
            requests=tuple(built.requests),
            parent_certificate=self._certificate,
            proposer=proposer.address,
            proposal_round=Round(0),
        )
        if block.execution.transaction_count != transfers:
            raise RuntimeError(
                f"{block.execution.transaction_count} of {transfers} transfers are in block {block.height}"
            )
        self._engine.validate(block.execution_rlp, list(block.requests))
        await self._vote(block, proposer.address)
        self._engine.finalize(block.header.execution_hash)

    async def _vote(self, block: Block, proposer: Address) -> None:
        """What the driver writes for a height that others propose: PREPARE and body, COMMIT and prepared certificate, the decision, and what all have signed.

        It decides with a quorum of seals; all four are in the next block, and take the place of those.
        """
        at: dict[str, Any] = {"height": block.height, "round": Round(0), "block_hash": block.hash}
        domain, parameters = self._genesis.rules.domain, self._genesis.parameters
        proposal, prepare, commit = (make(**at) for make in (domain.proposal, domain.prepare, domain.commit))
        own = self._signer.address
        voters = [key for key in self._keys.values() if key.address != proposer]
        prepared = PreparedCertificate(
            round=Round(0),
            block_hash=block.hash,
            proposal=Seal(author=proposer, signature=self._keys[proposer].sign(proposal)),
            prepares=tuple(Seal(author=key.address, signature=key.sign(prepare)) for key in voters),
        )
        seals = {key.address: key.sign(commit) for key in self._keys.values()}
        own_prepare = Prepare(**at, author=own, signature=self._signer.sign(prepare))
        own_commit = Commit(**at, author=own, signature=seals[own])

        def record(*messages: Prepare | Commit, prepared: PreparedCertificate | None = None) -> bytes:
            return ConsensusRecord(
                height=block.height, round=Round(0), prepared=prepared, messages=messages
            ).encode()

        await self._advance(Step.PREPARE, block.height, prepare)
        await self._store.save(
            record=record(own_prepare), bodies=[(block.height, block.hash, block.encode())], decided=None
        )
        await self._advance(Step.COMMIT, block.height, commit)
        await self._store.save(
            record=record(own_prepare, own_commit, prepared=prepared), bodies=[], decided=None
        )
        state = next_state(self._state, block, parameters)
        quorum = {address: seals[address] for address in sorted(seals)[: len(seals) - 1]}
        certificate, full = (
            Certificate.of(**at, seals=held, validators=self._state.validators) for held in (quorum, seals)
        )
        following = ConsensusRecord(
            height=Height(block.height + 1), round=Round(0), prepared=None, messages=()
        )
        decided = Decided(block=block, certificate=certificate, state=state)
        await self._store.save(record=following.encode(), bodies=[], decided=decided)
        self._witness.enter_height(block.height)
        self._witness.hear_prepared(block.height, prepared, self._state.validators.__contains__)
        self._witness.hear_certificate(full, self._state.validators)
        heights = [height for height in (Height(block.height - 1), block.height) if height > 0]
        await self._store.save_heard([(height, self._witness.encode(height)) for height in heights])
        self._state, self._parent, self._certificate = state, block.header, full

    async def _advance(self, step: Step, height: Height, digest: Hash32) -> None:
        signature = self._signer.sign(digest)
        mark = SignedStep(height=height, round=Round(0), step=step, digest=digest, signature=signature)
        await self._signer.advance([mark])


def usage(data: Path, height: int) -> Usage:
    """What the file system gave to each group of files."""
    found: Counter[str] = Counter()
    for file in data.rglob("*"):
        if file.is_file():
            part = file.relative_to(data).parts
            found[_group(part[1] if part[0] == "engine" else part[0], file.name)] += (
                file.stat().st_blocks * 512
            )
    payloads = _recent_payload_bytes(data / "node.db")
    found[RECENT] = payloads
    found["node.db"] -= payloads
    return Usage(height, found)


def _recent_payload_bytes(path: Path) -> int:
    """What of node.db is payloads, which it keeps of the last 1,024 heights: they come to an end before a day does."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute("SELECT total(length(block)) FROM bodies").fetchone()
    return int(found)


def _group(part: str, name: str) -> str:
    if part == "blocks":
        return "block log"
    if part == "state":
        return "journal" if name.endswith(".jnl") else "state"
    return "node.db WAL" if part in {"node.db-wal", "node.db-shm"} else part


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """A directory in memory where there is one: what is measured is what is taken, and 200,000 syncs of a disk take an hour."""
    memory = Path("/dev/shm")  # noqa: S108 - the point
    with tempfile.TemporaryDirectory(
        prefix="metanode-disk-", dir=memory if os.access(memory, os.W_OK) else None
    ) as path:
        data = Path(path) / "data"
        data.mkdir()
        yield data


def _figure(measure_name: str, value: float, target: str = "") -> Figure:
    return Figure(measure_name, "metanode", value, value, value, target)
