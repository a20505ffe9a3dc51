"""A validator that lies as fast as it can, as a peer of one node and a process of its own.

    python -m tests.integration.floods.liar GENESIS ENODE KEY

It speaks RLPx and `mtn` properly, proves that it holds the validator key, and then says whatever it is told to, one JSON object a line on
standard input: `{"flood": "rounds", "count": 100000}` or `{"row": 30}`. When the node has read all of it, it answers with a line of figures.
Whoever throttles it is waited for; whoever ends the connection is called again until it is taken back.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.integration.floods.lies import Lies

from metanode.chain.genesis import Genesis, parse_genesis
from metanode.consensus import wire
from metanode.consensus.messages import SignedMessage
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput
from metanode.p2p import protocol, snappy
from metanode.p2p.enode import Enode, parse_enode
from metanode.p2p.ports import ForkId, Priority, Tip
from metanode.p2p.proofs import proof_digest
from metanode.p2p.protocol import Consensus, GetBlocks, Heartbeat, Response, Status
from metanode.p2p.rlpx.connection import MessageReceived, Ready, RLPxConnection, Terminated
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.primitives.types import ZERO_HASH, Height

if TYPE_CHECKING:
    from collections.abc import Iterable

READY_WITHIN_S: Final = 10.0
CALL_AGAIN_S: Final = 0.5
"""A validator's node is kept out for five seconds."""
SEND_BUFFER_BYTES: Final = 65_536
WRITTEN_AT_ONCE: Final = 32
"""Messages between two looks at whether the other end still takes them."""


class Line:
    """The connection with the node, made anew whenever it ends."""

    def __init__(self, genesis: Genesis, enode: Enode, key: PrivateKey) -> None:
        self._genesis, self._enode, self._key = genesis, enode, key
        self._node_key = NodeKey(os.urandom(32))
        self._connection: RLPxConnection | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._known = asyncio.Event()
        self._answered = asyncio.Event()
        self.height = Height(0)
        """What is being decided now, as the node's own messages say."""
        self.ends: list[str] = []
        """Why connections ended."""
        self.said = 0

    @property
    def is_open(self) -> bool:
        """Whether the node still takes what is said."""
        return self._connection is not None and not self._connection.is_closed

    async def say(self, raws: Iterable[bytes]) -> None:
        """Hand messages to the node as fast as it takes them; what was on its way when it hung up is lost, as on any line."""
        for number, raw in enumerate(raws):
            if number % WRITTEN_AT_ONCE == 0 or not self.is_open:
                await self.call()
                await self._flush()
                # What the node says is heard in between: the height, or the end.
                await asyncio.sleep(0)
            if self.is_open and self._connection is not None:
                code, payload = protocol.encode(Consensus(priority=Priority.VOTE, raw=raw))
                self._connection.send(code, snappy.compress(payload))
                self.said += 1
        if self.is_open:
            await self._flush()

    async def wait_read(self) -> None:
        """Wait until the node has read all of it: until it answers a question that stands behind."""
        self._answered.clear()
        while not self._answered.is_set():
            await self.call()
            assert self._connection is not None
            code, payload = protocol.encode(GetBlocks(request_id=1, first=Height(2**40), count=1))
            self._connection.send(code, snappy.compress(payload))
            await self._flush()
            assert self._listening is not None
            answered = asyncio.get_running_loop().create_task(self._answered.wait())
            await asyncio.wait({answered, self._listening}, return_when=asyncio.FIRST_COMPLETED)
            answered.cancel()

    async def _flush(self) -> None:
        assert self._writer is not None
        self._writer.write(self._taken())
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def call(self) -> None:
        """Be connected, and know the height."""
        while not self.is_open:
            with contextlib.suppress(OSError, TimeoutError, ConnectionError):
                async with asyncio.timeout(READY_WITHIN_S):
                    await self._open()
                return
            await asyncio.sleep(CALL_AGAIN_S)

    async def _open(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        assert self._enode.host is not None
        self._connection = connection = RLPxConnection(
            key=self._node_key, client="liar", capability=protocol.CAPABILITY, now=time.monotonic(), remote_id=self._enode.node_id
        )  # fmt: skip
        self._known.clear()
        reader, self._writer = await asyncio.open_connection(self._enode.host, self._enode.tcp_port)
        # What the system keeps for us grows old on its way: a flood is about the height of now.
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES
        )
        self._writer.write(connection.data_to_send())
        self._listening = asyncio.get_running_loop().create_task(self._listen(connection, reader))
        await self._known.wait()
        if connection.is_closed:
            raise ConnectionError(self.ends[-1])

    async def _listen(self, connection: RLPxConnection, reader: asyncio.StreamReader) -> None:
        try:
            while not connection.is_closed:
                data = await reader.read(2**16)
                if data:
                    connection.receive_data(data, time.monotonic())
                else:
                    connection.receive_end()
                while (event := connection.next_event()) is not None:
                    self._hear(connection, event)
        finally:
            self._known.set()

    def _hear(self, connection: RLPxConnection, event: object) -> None:
        match event:
            case Ready():
                self._introduce(connection, event)
            case Terminated():
                self.ends.append(f"{event.reason} by {'it' if event.by_peer else 'us'}")
            case MessageReceived():
                message = protocol.decode(event.code, event.payload)
                if isinstance(message, Response):
                    self._answered.set()
                elif isinstance(message, Status | Heartbeat):
                    self._learn(message.tip.height + 1)
                elif isinstance(message, Consensus):
                    with contextlib.suppress(InvalidInput):
                        heard = wire.decode(message.raw, self._genesis.rules.domain)
                        if isinstance(heard, SignedMessage) and heard.author != self._key.address:
                            self._learn(heard.height)
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(connection.data_to_send())

    def _introduce(self, connection: RLPxConnection, ready: Ready) -> None:
        ours = self._genesis.rules.fork_id(height=Height(0), timestamp=self._genesis.header.timestamp)
        digest = proof_digest(
            self._genesis.hash, self._genesis.chain_id, self._node_key.node_id, self._enode.node_id, ready.session
        )  # fmt: skip
        status = Status(
            genesis_hash=self._genesis.hash, network_id=self._genesis.chain_id, chain_id=self._genesis.chain_id,
            fork_id=ForkId(hash=ours.hash, next=ours.next), tip=Tip(height=Height(0), certificate_hash=ZERO_HASH),
            time_ms=int(time.time() * 1000), proof=self._key.sign(digest),
        )  # fmt: skip
        code, payload = protocol.encode(status)
        connection.send(code, snappy.compress(payload))

    def _learn(self, height: int) -> None:
        self.height = Height(max(self.height, height))
        self._known.set()

    def _taken(self) -> bytes:
        assert self._connection is not None
        return self._connection.data_to_send()


async def obey(line: Line, lies: Lies) -> None:
    """Do what standard input says until it ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while words := await reader.readline():
        asked = json.loads(words)
        await line.call()
        began, ends, before = time.monotonic(), len(line.ends), line.said
        if "flood" in asked:
            made = lies.flood(asked["flood"], lambda: line.height)
            while (left := before + asked["count"] - line.said) > 0:
                await line.say(itertools.islice(made, left))
        else:
            await line.say(lies.row(asked["row"], line.height))
        await line.wait_read()
        took_s = time.monotonic() - began
        answer = {"said": line.said - before, "took_s": took_s, "ends": line.ends[ends:]}
        print(json.dumps(answer), flush=True)  # noqa: T201 - it is a program


def main() -> None:
    """Read whom to lie to, and as whom."""
    genesis_file, enode, key = sys.argv[1:]
    genesis = parse_genesis(Path(genesis_file).read_bytes())
    secret = PrivateKey(bytes.fromhex(Path(key).read_text()))
    asyncio.run(obey(Line(genesis, parse_enode(enode), secret), Lies(genesis, secret)))


if __name__ == "__main__":
    main()
