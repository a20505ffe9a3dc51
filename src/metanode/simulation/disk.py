"""Disks in memory that survive the crash of their node, and lose what was not yet durable.

On them runs the storage code of a real node: `NodeStore` on a database whose open transactions are lost in a crash, `FileSigner` on a file
that loses what was not synced. A write takes time, and counts only when that is over.
"""

import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, TypeVar, overload

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.genesis import Genesis
from metanode.chain.header import ConsensusHeader
from metanode.chain.state import ConsensusState, next_state
from metanode.consensus.evidence import Evidence
from metanode.consensus.fork import Fork
from metanode.consensus.watermark import SignedStep
from metanode.consensus.witness import Heard
from metanode.crypto.secp256k1 import PrivateKey
from metanode.execution.client import ExecutionPayload
from metanode.primitives.types import Address, Hash32, Height
from metanode.simulation.files import SimulatedFiles
from metanode.simulation.life import Life
from metanode.simulation.medium import DatabaseMedium
from metanode.simulation.stores import AtOnce, SignerInLife, StoreInLife, ThreadInLife
from metanode.storage.checksums import checksum
from metanode.storage.database import Database
from metanode.storage.node_store import NodeStore
from metanode.storage.signer_log import SLOT_BYTES, SignerLog, make_signer_log, read_watermark
from metanode.storage.threads import StorageThread

Result = TypeVar("Result")
Entry = TypeVar("Entry")

SIGNER_LOG: Final = Path("/simulated/signer.log")
NODE_DB: Final = Path("/simulated/node.db")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A copy of a whole disk."""

    database: sqlite3.Connection
    signer_log: bytes | None
    payloads: tuple[ExecutionPayload, ...]


class Disk:
    """What one node finds again after a crash. What is read here is what is durable now; what is set, an operator does while it is down."""

    def __init__(self, genesis: Genesis, address: Address) -> None:
        """The disk of a node that has never run; `address` is that of its validator's key."""
        self._genesis = genesis
        self._address = address
        self._medium = DatabaseMedium()
        self._looking = NodeStore.begin(
            Database.open(NODE_DB, connect=self._medium.look, make_thread=lambda _: AtOnce()), genesis
        )
        self.files = SimulatedFiles()
        self.forgets = False
        """Loses record and watermark in every crash: to show that the network then forks."""
        self.evidence: list[Evidence] = []
        """What the node has kept of liars, in all its lives."""
        self.payloads: list[ExecutionPayload] = []
        """The execution client's own chain, as the last life left it."""
        self.read_payload: Callable[[int], ExecutionPayload] | None = None
        """The same while the client runs, by number."""
        make_signer_log(SIGNER_LOG, address=address, genesis_hash=genesis.hash, files=self.files)

    # --- a life ------------------------------------------------------------------------------------------------------------------------

    def open_store(self, life: Life) -> NodeStore:
        """Open node.db for a life."""

        def make_thread(name: str) -> StorageThread:
            return ThreadInLife(life, takes_a_turn=name == "storage-read")

        database = Database.open(NODE_DB, connect=self._medium.connect, make_thread=make_thread)
        return StoreInLife(database, self._genesis, life, self._medium, self.evidence)

    def open_signer(self, life: Life, key: PrivateKey) -> SignerInLife:
        """Open signer.log for a life; raises StorageDamaged."""
        self.files.before_write = self.files.before_sync = None
        log = SignerLog.open(
            SIGNER_LOG, address=key.address, genesis_hash=self._genesis.hash, files=self.files
        )
        self.files.before_write = life.go_on
        self.files.before_sync = lambda: life.pass_by("unsynced watermark")
        return SignerInLife(key, log, life)

    def cut_power(self, seed: Random) -> None:
        """End a life: what was not durable is lost."""
        self.read_payload = None
        self._medium.cut_power()
        self.files.cut_power(seed)
        if self.forgets:
            self.record = None
            self.watermark = None

    # --- node.db -----------------------------------------------------------------------------------------------------------------------

    @property
    def genesis(self) -> ConsensusHeader:
        """The genesis header."""
        return self._genesis.header

    @property
    def tip(self) -> Height:
        """The highest decided height."""
        (tip,) = self._medium.outside.execute("SELECT max(height) FROM headers").fetchone()
        return Height(tip)

    @property
    def blocks(self) -> Sequence[Block]:
        """The decided blocks, from height 1 on."""
        return _Heights(self.tip, self._block)

    @property
    def certificates(self) -> Sequence[Certificate]:
        """The certificates of the decided heights, from height 1 on."""
        return _Heights(self.tip, lambda height: _present(_now(self._looking.certificate(height))))

    @property
    def fork(self) -> Fork | None:
        """Why the node halted."""
        return _now(self._looking.load()).fork

    @property
    def proofs(self) -> Sequence[Evidence]:
        """The proofs against liars in the database."""
        return _now(self._looking.evidence())

    def heard(self, height: Height) -> Heard:
        """Return what everybody has signed at a height, as far as the database has it."""
        return _now(self._looking.heard(height))

    @property
    def record(self) -> bytes | None:
        """The consensus record, encoded."""
        row = self._medium.outside.execute("SELECT value FROM current WHERE name = 'record'").fetchone()
        return None if row is None else row[0]

    @record.setter
    def record(self, record: bytes | None) -> None:
        if record is None:
            self._medium.outside.execute("DELETE FROM current WHERE name = 'record'")
        else:
            self._medium.outside.execute(
                "INSERT OR REPLACE INTO current VALUES ('record', ?, ?)", (record, checksum("record", record))
            )

    def body(self, block_hash: Hash32) -> bytes | None:
        """Return a block that is kept whole, encoded."""
        return _now(self._looking.body(block_hash))

    def has_body(self, block_hash: Hash32) -> bool:
        """Tell whether a block is kept whole."""
        found = self._medium.outside.execute("SELECT 1 FROM bodies WHERE hash = ?", (block_hash,))
        return found.fetchone() is not None

    def state_after(self, height: int) -> ConsensusState:
        """Return the state after a decided height, derived again."""
        state = self._genesis.state
        for block in self.blocks[:height]:
            state = next_state(state, block, self._genesis.parameters)
        return state

    def forget_database(self, *, keep: int) -> None:
        """Become an old backup of the database, with this many blocks; the signer's file and the execution client stay as they are."""
        state = self.state_after(keep)
        outside = self._medium.outside
        for table in ("headers", "certificates", "requests", "bodies"):
            outside.execute(f"DELETE FROM {table} WHERE height > ?", (keep,))  # noqa: S608 - names of tables
        data = state.encode()
        outside.execute(
            "INSERT OR REPLACE INTO current VALUES ('state', ?, ?)", (data, checksum("state", data))
        )
        self.record = None

    # --- signer.log --------------------------------------------------------------------------------------------------------------------

    @property
    def watermark(self) -> SignedStep | None:
        """The last signature in the signer's file. None may be set: then it is the file of a key that has signed nothing."""
        data = self.files.durable(SIGNER_LOG)
        return None if data is None else read_watermark(data, SIGNER_LOG)

    @watermark.setter
    def watermark(self, watermark: None) -> None:
        del watermark
        self.files.put(SIGNER_LOG, None)
        make_signer_log(SIGNER_LOG, address=self._address, genesis_hash=self._genesis.hash, files=self.files)

    @property
    def last_slot(self) -> bytes:
        """The last bytes of the signer's file, of the length of one signature there."""
        return self.files.durable_tail(SIGNER_LOG, SLOT_BYTES)

    @property
    def has_watermark_file(self) -> bool:
        """Whether the signer's file is there. False may be set."""
        return self.files.durable(SIGNER_LOG) is not None

    @has_watermark_file.setter
    def has_watermark_file(self, has_file: bool) -> None:
        assert not has_file, "a file that is lost is not made by wishing"
        self.files.put(SIGNER_LOG, None)

    # --- backups -----------------------------------------------------------------------------------------------------------------------

    def copy(self) -> Backup:
        """Copy everything that is durable."""
        return Backup(
            database=self._medium.copy(),
            signer_log=self.files.durable(SIGNER_LOG),
            payloads=tuple(self.payloads),
        )

    def restore(
        self, backup: Backup, *, database: bool = True, signer_log: bool = True, payloads: bool = True
    ) -> None:
        """Put a copy, or parts of it, in the place of what is there."""
        if database:
            self._medium.restore(backup.database)
        if signer_log:
            self.files.put(SIGNER_LOG, backup.signer_log)
        if payloads:
            self.payloads = list(backup.payloads)

    def _block(self, height: Height) -> Block:
        block = _now(self._looking.block(height))
        if block is None:
            # The payloads of old heights are the execution client's only.
            payload = self.read_payload(height) if self.read_payload else self.payloads[height - 1]
            raw = _now(self._looking.old_block(height, payload.execution_rlp))
            block = Block.decode(_present(raw))
        return block


class _Heights(Sequence[Entry]):
    """Entries from height 1 on, each read when it is asked for."""

    def __init__(self, count: int, read: Callable[[Height], Entry]) -> None:
        self._count = count
        self._read = read

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self._read(Height(i + 1)) for i in range(*index.indices(self._count))]
        return self._read(Height(range(self._count)[index] + 1))


def _now(coroutine: Coroutine[object, object, Result]) -> Result:
    """Return what a coroutine gives that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    raise AssertionError("it waits")


def _present(found: Result | None) -> Result:
    assert found is not None
    return found
