"""What a node knows of its chain, in node.db: the implementation of node.ports.ConsensusStore and p2p's PeerStore, and reads for RPC and sync.

Kept for ever: headers, certificates, execution requests, validator sets, evidence. Kept of the last 1,024 heights: whole blocks; older
payloads are the engine's, and `old_block` puts them together again. A decision is one transaction: header, certificate, state, record.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from metanode.chain.block import Block, encode_block
from metanode.chain.certificate import Certificate
from metanode.chain.genesis import Genesis
from metanode.chain.header import ConsensusHeader
from metanode.chain.state import ConsensusState
from metanode.chain.validators import ValidatorSet
from metanode.consensus.effects import Decided
from metanode.consensus.evidence import Evidence
from metanode.consensus.fork import Fork
from metanode.consensus.stored import Stored
from metanode.consensus.witness import HEIGHTS_BEHIND_MAX, Heard, decode_heard
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidGenesis, InvalidInput, StorageDamaged
from metanode.primitives import rlp
from metanode.primitives.types import Hash32, Height
from metanode.storage.checksums import REMEDY, checksum
from metanode.storage.database import Database
from metanode.storage.packed_header import anchor_of, is_whole, pack_header, unpack_header

PAYLOADS_KEPT: Final = 1_024
"""Heights whose blocks stay here, 34 minutes at 2 s: longer than an engine may be behind after a crash."""
HEARD_KEPT: Final = 1_024
"""Heights of which all signatures stay here, as many as blocks: who was away that long and comes back with a fork finds who made it."""
EVIDENCE_KEPT: Final = 64
"""Proofs against one validator; the first one convicts."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHeight:
    """One decided height as a peer is sent it."""

    header: ConsensusHeader
    certificate: Certificate
    block: bytes | None
    """The encoded block; None when only the engine still has its payload."""


class NodeStore:
    """node.db of one node on one network. Writes are called by the driver's one task; reads by anybody."""

    def __init__(self, database: Database, genesis: Genesis) -> None:
        self._database = database
        self._genesis = genesis
        self._path = database.path

    @classmethod
    def open(cls, path: Path, genesis: Genesis) -> "NodeStore":
        """Open or begin the store of this network; raises InvalidGenesis for another network's, StorageDamaged, StorageFailed. Blocks."""
        return cls.begin(Database.open(path), genesis)

    @classmethod
    def begin(cls, database: Database, genesis: Genesis) -> Self:
        """Take an open database as the store of this network, or close it and raise as `open` does."""
        store = cls(database, genesis)
        try:
            store._begin()
        except BaseException:
            database.close()
            raise
        return store

    def close(self) -> None:
        """Finish what is queued and close the file."""
        self._database.close()

    # --- node.ports.ConsensusStore ---

    async def load(self) -> Stored:
        """Return what a life begins with."""
        return await self._database.read(self._load)

    async def save(
        self, *, record: bytes, bodies: Sequence[tuple[Height, Hash32, bytes]], decided: Decided | None
    ) -> None:
        """Save in one durable transaction: the decision if there is one, the record in place of the old one, and more bodies."""

        def action(connection: sqlite3.Connection) -> None:
            for height, block_hash, block in bodies:
                _insert_body(connection, height, block_hash, block)
            if decided is not None:
                self._save_decision(connection, decided)
            _put(connection, "record", record)

        await self._database.write(action)

    async def block(self, height: Height) -> Block | None:
        """Return a decided block whose payload is still kept."""
        found = await self._database.read(lambda connection: self._height(connection, height))
        return (
            None
            if found is None or found.block is None
            else self._decoded(Block.decode, found.block, f"block {height}")
        )

    async def header(self, height: Height) -> ConsensusHeader | None:
        """Return a decided block's header, from height 0 on."""
        return await self._database.read(lambda connection: self._header(connection, height))

    async def certificate(self, height: Height) -> Certificate | None:
        """Return a decided height's certificate."""
        return await self._database.read(lambda connection: self._certificate(connection, height))

    async def save_evidence(self, evidence: Evidence) -> None:
        """Keep a proof; a repetition changes nothing, nor does one against a validator of whom there are enough."""
        proof = evidence.encode()
        row = (keccak256(proof), evidence.height, evidence.author, proof)

        def action(connection: sqlite3.Connection) -> None:
            count = "SELECT count(*) FROM evidence WHERE author = ?"
            if connection.execute(count, (evidence.author,)).fetchone()[0] < EVIDENCE_KEPT:
                connection.execute("INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?)", row)

        await self._database.write(action)

    async def save_heard(self, rows: Sequence[tuple[Height, bytes]]) -> None:
        """Keep what everybody has signed at these heights, in place of what was kept of them."""

        def action(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO heard VALUES (?, ?)", rows)
            connection.execute(
                "DELETE FROM heard WHERE height <= ?", (max(height for height, _ in rows) - HEARD_KEPT,)
            )

        await self._database.write(action)

    async def heard(self, height: Height) -> Heard:
        """Return what everybody has signed at a height, as far as it is kept."""

        def action(connection: sqlite3.Connection) -> Heard:
            row = connection.execute("SELECT signed FROM heard WHERE height = ?", (height,)).fetchone()
            return () if row is None else self._decoded(decode_heard, row[0], f"what was signed at {height}")

        return await self._database.read(action)

    async def save_fork(self, fork: Fork) -> None:
        """Keep the proof that a height was decided twice, the first one only: `load` gives it back in every later life."""

        def action(connection: sqlite3.Connection) -> None:
            if self._get(connection, "fork") is None:
                _put(connection, "fork", fork.encode())

        await self._database.write(action)

    async def forget_fork(self) -> None:
        """Set the proof aside, by an operator's order."""
        await self._database.write(lambda c: c.execute("DELETE FROM current WHERE name = 'fork'"))

    # --- reads for peers and RPC ---

    async def heights(self, first: Height, count: int, *, bytes_max: int) -> Sequence[StoredHeight]:
        """Return consecutive decided heights from `first` on, at most `count`, none more once `bytes_max` bytes of blocks are reached."""

        def action(connection: sqlite3.Connection) -> list[StoredHeight]:
            found: list[StoredHeight] = []
            size = 0
            for height in range(max(first, 1), max(first, 1) + count):
                entry = self._height(connection, Height(height))
                if entry is None or size >= bytes_max:
                    break
                found.append(entry)
                size += len(entry.block or b"")
            return found

        return await self._database.read(action)

    async def old_block(self, height: Height, execution_rlp: bytes) -> bytes | None:
        """Return the encoded block of a height from the payload that the engine still has; None for a height not decided here."""

        def action(connection: sqlite3.Connection) -> bytes | None:
            header = self._header(connection, height)
            if header is None:
                return None
            return encode_block(
                header,
                execution_rlp,
                self._requests(connection, height),
                self._certificate(connection, Height(height - 1)),
            )

        return await self._database.read(action)

    async def body(self, block_hash: Hash32) -> bytes | None:
        """Return an encoded block that was proposed, prepared or decided here, by its consensus hash."""
        return await self._database.read(lambda connection: self._body(connection, block_hash))

    async def requests(self, height: Height) -> tuple[bytes, ...] | None:
        """Return the execution requests of a decided height, None when it is not decided here."""

        def action(connection: sqlite3.Connection) -> tuple[bytes, ...] | None:
            if self._header(connection, height) is None:
                return None
            return self._requests(connection, height)

        return await self._database.read(action)

    async def height_of(self, execution_hash: Hash32) -> Height | None:
        """Return the height of the decided block with this execution hash."""

        def action(connection: sqlite3.Connection) -> Height | None:
            rows = connection.execute(
                "SELECT height FROM headers WHERE execution_tag = ?", (_tag(execution_hash),)
            )
            for (height,) in rows.fetchall():
                header = self._header(connection, Height(height))
                if header is not None and header.execution_hash == execution_hash:
                    return Height(height)
            return None

        return await self._database.read(action)

    async def validators(self, height: Height) -> ValidatorSet | None:
        """Return the set that decides a height, up to the one after the tip."""

        def action(connection: sqlite3.Connection) -> ValidatorSet | None:
            header = self._header(connection, height)
            if header is not None:
                found = header.validators_hash
            else:
                before = self._header(connection, Height(height - 1)) if height else None
                if before is None:
                    return None
                found = before.next_validators_hash
            select = "SELECT validators, crc FROM validator_sets WHERE hash = ?"
            stored = self._checked(connection.execute(select, (found,)), f"validators {found.hex()}")
            if stored is None:
                raise StorageDamaged(f"{self._path}: the validator set of height {height} is missing")
            return self._decoded(
                lambda data: ValidatorSet.from_item(rlp.decode(data)),
                stored,
                f"validators of height {height}",
            )

        return await self._database.read(action)

    async def evidence(self, *, limit: int = 100) -> Sequence[Evidence]:
        """Return the newest proofs, by height."""

        def action(connection: sqlite3.Connection) -> list[Evidence]:
            rows = connection.execute(
                "SELECT proof FROM evidence ORDER BY height DESC, digest LIMIT ?", (limit,)
            )
            return [self._decoded(Evidence.decode, row[0], "evidence") for row in rows.fetchall()]

        return await self._database.read(action)

    # --- snapshots ---

    async def parent_state(self) -> ConsensusState | None:
        """Return the state after the block before the tip, which the tip's header commits to; None before the first block of this version."""

        def action(connection: sqlite3.Connection) -> ConsensusState | None:
            data = self._get(connection, "parent_state")
            return None if data is None else self._decoded(ConsensusState.decode, data, "parent state")

        return await self._database.read(action)

    async def headers(self, first: Height, count: int) -> list[ConsensusHeader]:
        """Return the headers from a height on, up to a missing one."""

        def action(connection: sqlite3.Connection) -> list[ConsensusHeader]:
            found: list[ConsensusHeader] = []
            for height in range(first, first + count):
                header = self._header(connection, Height(height))
                if header is None:
                    break
                found.append(header)
            return found

        return await self._database.read(action)

    async def restore_headers(
        self, headers: Sequence[ConsensusHeader], certificate: Certificate | None, validators: ValidatorSet
    ) -> None:
        """Save verified headers that follow those which are there; with the last one's certificate if there is one, and the set after it."""

        def action(connection: sqlite3.Connection) -> None:
            for header in headers:
                _insert_header(connection, header, self._packed(connection, header))
            if certificate is not None:
                _insert_certificate(connection, certificate)
            _insert_set(connection, validators)

        await self._database.write(action)

    async def restore_tip(
        self, parent: ConsensusHeader, parent_state: ConsensusState, decided: Decided
    ) -> None:
        """Save a verified decision as the tip of a store whose blocks before it are not there."""
        block = decided.block

        def action(connection: sqlite3.Connection) -> None:
            if parent.height and self._stored_header(connection, parent.height) is None:
                _insert_header(connection, parent, parent.encode())
            if block.parent_certificate is not None:
                _insert_certificate(connection, block.parent_certificate)
            for validators in (
                parent_state.last_validators,
                parent_state.validators,
                decided.state.validators,
            ):
                _insert_set(connection, validators)
            _insert_header(connection, block.header, block.header.encode())
            _insert_certificate(connection, decided.certificate)
            if block.requests:
                data = rlp.encode(list(block.requests))
                _insert_requests(connection, block.height, data)
            _insert_body(connection, block.height, block.hash, block.encode())
            _put(connection, "parent_state", parent_state.encode())
            _put(connection, "state", decided.state.encode())

        await self._database.write(action)

    # --- p2p's PeerStore ---

    async def load_pin(self, address: str) -> bytes | None:
        """Return the node id that is pinned to `host:port`."""

        def action(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute("SELECT node_id FROM pins WHERE address = ?", (address,)).fetchone()
            return None if row is None else bytes(row[0])

        return await self._database.read(action)

    async def save_pin(self, address: str, node_id: bytes) -> None:
        """Pin a node id to `host:port`."""
        await self._database.write(
            lambda c: c.execute("INSERT OR REPLACE INTO pins VALUES (?, ?)", (address, node_id))
        )

    async def forget_pin(self, address: str) -> bool:
        """Forget a pin; False when there was none."""
        return await self._database.write(
            lambda c: c.execute("DELETE FROM pins WHERE address = ?", (address,)).rowcount > 0
        )

    async def load_records(self) -> Sequence[bytes]:
        """Return the validator records, each as it was saved."""

        def action(connection: sqlite3.Connection) -> list[bytes]:
            return [
                bytes(row[0])
                for row in connection.execute("SELECT record FROM validator_records ORDER BY address")
            ]

        return await self._database.read(action)

    async def save_record(self, address: bytes, record: bytes) -> None:
        """Save the record of a validator in the place of an older one."""
        row = (address, record)
        await self._database.write(
            lambda c: c.execute("INSERT OR REPLACE INTO validator_records VALUES (?, ?)", row)
        )

    # --- inside ---

    def _begin(self) -> None:
        """Write the genesis block into a new file, or check that the file began with it. On the caller's thread, before any other call."""
        connection = self._database._writer  # noqa: SLF001 - no thread uses it yet
        genesis = self._genesis
        connection.execute("BEGIN IMMEDIATE")
        fixed = {name: bytes(value) for name, value in connection.execute("SELECT name, value FROM fixed")}
        ours = {"genesis_hash": bytes(genesis.hash), "chain_id": genesis.chain_id.to_bytes(8, "big")}
        if not fixed:
            connection.executemany("INSERT INTO fixed VALUES (?, ?)", ours.items())
            _insert_header(connection, genesis.header, genesis.header.encode())
            _insert_set(connection, genesis.state.validators)
            _put(connection, "state", genesis.state.encode())
        connection.execute("COMMIT")
        if fixed and fixed != ours:
            raise InvalidGenesis(
                f"{self._path}: belongs to the network with the genesis hash 0x{fixed['genesis_hash'].hex()} and the chain id "
                f"{int.from_bytes(fixed['chain_id'], 'big')}; the genesis file makes 0x{genesis.hash.hex()} and {genesis.chain_id}"
            )

    def _load(self, connection: sqlite3.Connection) -> Stored:
        (tip,) = connection.execute("SELECT max(height) FROM headers").fetchone()
        header = self._header(connection, Height(tip))
        data = self._get(connection, "state")
        if header is None or data is None:
            raise StorageDamaged(f"{self._path}: the state after height {tip} is missing")
        state = self._decoded(ConsensusState.decode, data, "state")
        if state.height != header.height:
            raise StorageDamaged(
                f"{self._path}: the latest header is of height {header.height}, the state of {state.height}"
            )
        certificate = self._certificate(connection, header.height) if header.height else None
        if header.height and (certificate is None or certificate.block_hash != header.hash):
            raise StorageDamaged(
                f"{self._path}: the certificate of height {header.height} is missing or of another block"
            )
        fork = self._get(connection, "fork")
        rows = connection.execute("SELECT hash FROM bodies WHERE height > ? ORDER BY id", (header.height,))
        bodies = [self._body(connection, Hash32(bytes(row[0]))) for row in rows.fetchall()]
        return Stored(
            header=header,
            state=state,
            certificate=certificate,
            record=self._get(connection, "record"),
            bodies=tuple(body for body in bodies if body is not None),
            fork=None if fork is None else self._decoded(Fork.decode, fork, "fork"),
            heard=tuple(
                (Height(height), self._decoded(decode_heard, signed, f"what was signed at {height}"))
                for height, signed in connection.execute(
                    "SELECT height, signed FROM heard WHERE height > ? ORDER BY height",
                    (header.height - HEIGHTS_BEHIND_MAX,),
                ).fetchall()
            ),
        )

    def _save_decision(self, connection: sqlite3.Connection, decided: Decided) -> None:
        header, height = decided.block.header, decided.block.height
        present = self._header(connection, height)
        if present is not None:
            if present.hash == header.hash:
                return
            raise StorageDamaged(
                f"{self._path}: height {height} was decided with 0x{present.hash.hex()} and now with 0x{header.hash.hex()}: stop and compare"
            )
        parent = self._header(connection, Height(height - 1))
        if parent is None or parent.hash != header.parent_hash:
            raise StorageDamaged(
                f"{self._path}: the decided block of height {height} does not follow the one stored before it"
            )
        assert decided.certificate.block_hash == header.hash, "a decision's certificate is its block's"
        assert decided.state.height == height, (decided.state.height, height)
        _insert_certificate(connection, decided.certificate)
        if decided.block.parent_certificate is not None:
            # What the child's proposer included is canonical; what this node saw was only enough to decide.
            _insert_certificate(connection, decided.block.parent_certificate)
        _insert_header(connection, header, self._packed(connection, header))
        if decided.block.requests:
            data = rlp.encode(list(decided.block.requests))
            _insert_requests(connection, height, data)
        _insert_set(connection, decided.state.validators)
        parent_state = self._get(connection, "state")
        if parent_state is not None:
            _put(connection, "parent_state", parent_state)
        _put(connection, "state", decided.state.encode())
        if not connection.execute("SELECT 1 FROM bodies WHERE hash = ?", (header.hash,)).fetchone():
            _insert_body(connection, height, header.hash, decided.block.encode())
        connection.execute("DELETE FROM bodies WHERE height = ? AND hash != ?", (height, header.hash))
        connection.execute("DELETE FROM bodies WHERE height <= ?", (height - PAYLOADS_KEPT,))

    def _packed(self, connection: sqlite3.Connection, header: ConsensusHeader) -> bytes:
        """Return what is stored of a header: after a snapshot without headers its anchor may be missing, and it is whole."""
        anchor = self._stored_header(connection, anchor_of(header.height))
        if anchor is None:
            return header.encode()
        parent_certificate = self._certificate(connection, Height(header.height - 1))
        return pack_header(header, anchor=anchor, parent_certificate=parent_certificate)

    def _header(self, connection: sqlite3.Connection, height: Height) -> ConsensusHeader | None:
        stored = self._stored_header(connection, height)
        if stored is None:
            self._check_outside(connection, "header", height)
            return None
        if is_whole(stored):
            return self._decoded(ConsensusHeader.decode, stored, f"header {height}")
        anchor = self._stored_header(connection, anchor_of(height))
        if anchor is None:
            raise StorageDamaged(f"{self._path}: header {anchor_of(height)} is missing")
        parent_certificate = self._certificate(connection, Height(height - 1))
        unpack = partial(unpack_header, anchor=anchor, parent_certificate=parent_certificate)
        return self._decoded(unpack, stored, f"header {height}")

    def _certificate(self, connection: sqlite3.Connection, height: Height) -> Certificate | None:
        name, select = f"certificate {height}", "SELECT certificate, crc FROM certificates WHERE height = ?"
        stored = self._checked(connection.execute(select, (height,)), name)
        if stored is None:
            self._check_outside(connection, "certificate", height)
            return None
        return self._decoded(Certificate.decode, stored, name)

    def _check_outside(self, connection: sqlite3.Connection, kind: str, height: Height) -> None:
        """Raise StorageDamaged when a row that is not found must be there: a damaged page of keys hides rows, and is no reason to call a height unknown.

        Where the first height is, all up to the last one are. A store that began with a snapshot has holes below it, and there nothing is said.
        """
        is_within = f"SELECT EXISTS (SELECT 1 FROM {kind}s WHERE height > ?) AND EXISTS (SELECT 1 FROM {kind}s WHERE height = 1)"  # noqa: S608 - one of two words
        if height > 1 and connection.execute(is_within, (height,)).fetchone()[0]:
            raise StorageDamaged(f"{self._path}: {kind} {height} is missing. {REMEDY}")

    def _height(self, connection: sqlite3.Connection, height: Height) -> StoredHeight | None:
        header, certificate = self._header(connection, height), self._certificate(connection, height)
        if header is None or certificate is None:
            return None
        return StoredHeight(header=header, certificate=certificate, block=self._body(connection, header.hash))

    def _body(self, connection: sqlite3.Connection, block_hash: Hash32) -> bytes | None:
        select = "SELECT block, crc FROM bodies WHERE hash = ?"
        return self._checked(connection.execute(select, (block_hash,)), f"body {block_hash.hex()}")

    def _requests(self, connection: sqlite3.Connection, height: Height) -> tuple[bytes, ...]:
        select = "SELECT requests, crc FROM requests WHERE height = ?"
        stored = self._checked(connection.execute(select, (height,)), f"requests {height}")
        items = rlp.decode(stored) if stored else []
        return tuple(item for item in items if isinstance(item, bytes))

    def _stored_header(self, connection: sqlite3.Connection, height: Height) -> bytes | None:
        select = "SELECT header, crc FROM headers WHERE height = ?"
        return self._checked(connection.execute(select, (height,)), f"header {height}")

    def _get(self, connection: sqlite3.Connection, name: str) -> bytes | None:
        return self._checked(
            connection.execute("SELECT value, crc FROM current WHERE name = ?", (name,)), name
        )

    def _checked(self, found: sqlite3.Cursor, name: str) -> bytes | None:
        """Return the data of a row (data, checksum), None when there is none; raises StorageDamaged when it is not what was written."""
        row = found.fetchone()
        if row is None:
            return None
        data = bytes(row[0])
        if checksum(name, data) != row[1]:
            raise StorageDamaged(f"{self._path}: {name} is damaged: it is not what was written. {REMEDY}")
        return data

    def _decoded(self, decode: Callable[[bytes], Value], data: bytes, name: str) -> Value:
        try:
            return decode(bytes(data))
        except InvalidInput as error:
            raise StorageDamaged(f"{self._path}: {name} cannot be read: {error}") from error


def _insert_header(connection: sqlite3.Connection, header: ConsensusHeader, stored: bytes) -> None:
    crc = checksum(f"header {header.height}", stored)
    row = (header.height, _tag(header.execution_hash), stored, crc)
    connection.execute("INSERT INTO headers VALUES (?, ?, ?, ?)", row)


def _insert_certificate(connection: sqlite3.Connection, certificate: Certificate) -> None:
    data = certificate.encode()
    row = (certificate.height, data, checksum(f"certificate {certificate.height}", data))
    connection.execute("INSERT OR REPLACE INTO certificates VALUES (?, ?, ?)", row)


def _insert_body(connection: sqlite3.Connection, height: Height, block_hash: Hash32, block: bytes) -> None:
    row = (height, block_hash, block, checksum(f"body {block_hash.hex()}", block))
    connection.execute("INSERT OR IGNORE INTO bodies (height, hash, block, crc) VALUES (?, ?, ?, ?)", row)


def _insert_requests(connection: sqlite3.Connection, height: Height, data: bytes) -> None:
    row = (height, data, checksum(f"requests {height}", data))
    connection.execute("INSERT INTO requests VALUES (?, ?, ?)", row)


def _insert_set(connection: sqlite3.Connection, validators: ValidatorSet) -> None:
    data = rlp.encode(validators.to_item())
    row = (validators.hash, data, checksum(f"validators {validators.hash.hex()}", data))
    connection.execute("INSERT OR IGNORE INTO validator_sets VALUES (?, ?, ?)", row)


def _put(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO current VALUES (?, ?, ?)", (name, value, checksum(name, value))
    )


def _tag(execution_hash: Hash32) -> int:
    """Return the hash's first 8 bytes as SQLite's signed integer: enough to find it, a quarter of the index."""
    return int.from_bytes(execution_hash[:8], "big", signed=True)
