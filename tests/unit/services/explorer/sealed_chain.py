"""An index of a chain with validators, as pages read it: sealed blocks, votes, turns that were missed, somebody who left. And nodes that tell the rest."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import insert, select, update
from tests.unit.services.told_chain import ToldChain, write_chain

from metanode.chain.signing import SigningDomain
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import Hash32, Height, Round
from metanode.rpc.errors import MethodNotFound, NodeUnreachable
from sdk.testnet.services.explorer.app import make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import (
    accounts,
    block_seals,
    blocks,
    round_skips,
    validator_set_changes,
    validators,
    votes,
)
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HEAD = 8
"""The newest block, which has no child."""
KEYS = [PrivateKey(bytes([number]) * 32) for number in range(1, 6)]
MEMBERS, LEFT = KEYS[:4], KEYS[4]
"""Four in the set, and one that left it with block 5."""
NAMES = {key.address: f"validator-{number}" for number, key in enumerate(KEYS, 1)}
CANDIDATE = bytes.fromhex("ca" * 20)
DOMAIN = SigningDomain(chain_id=1, genesis_hash=Hash32(b"\x07" * 32))


def consensus_hash(number: int) -> bytes:
    return number.to_bytes(32)


def seal(key: PrivateKey, number: int) -> bytes:
    block_hash = Hash32(consensus_hash(number))
    return key.sign(DOMAIN.commit(height=Height(number), round=Round(0), block_hash=block_hash))


class Nodes:
    """Three nodes, of which the second answers; `None` in `answers` is one that is away."""

    place = 1

    def __init__(self) -> None:
        self.is_away = False
        self.recorded = MEMBERS[1:]
        """Whose seals of the newest block it has."""
        self.wishes: list[dict[str, bool] | None] = [{}, {}, {}]

    def within(self, _: int) -> Nodes:
        return self

    async def call(self, method: str, *params: Any) -> Any:
        if self.is_away:
            raise NodeUnreachable("away")
        match method:
            case "eth_blockNumber":
                return hex(HEAD)
            case "ibft_getEpochInfo":
                return {"epochLength": "0x64", "epoch": "0x0", "firstBlock": "0x0", "blocksLeft": "0x5c"}
            case "ibft_getConsensusState":
                return self.state()
            case "ibft_getCommitCertificate":
                number = int(params[0], 16)
                return {
                    "height": params[0], "round": "0x0", "blockHash": f"0x{consensus_hash(number).hex()}", "canonical": False,
                    "seals": [
                        {"validator": f"0x{key.address.hex()}", "signature": f"0x{seal(key, number).hex()}"} for key in self.recorded
                    ],
                }  # fmt: skip
        raise MethodNotFound(method)

    async def placed_call(self, method: str, *params: Any) -> tuple[int, Any]:
        return self.place, await self.call(method, *params)

    async def batch(self, calls: Any) -> list[Any]:
        return [await self.call(method, *params) for method, params in calls]

    async def each(self, method: str, **_: Any) -> list[Any]:
        assert method == "ibft_getPendingVotes"
        return [NodeUnreachable("away") if wish is None else wish for wish in self.wishes]

    def state(self) -> dict[str, Any]:
        return {
            "chainId": "0x1", "genesisHash": f"0x{DOMAIN.genesis_hash.hex()}", "period": "0x2", "head": hex(HEAD), "height": hex(HEAD + 1),
            "secondsSinceDecision": 1.0, "round": "0x0", "phase": "awaiting_proposal", "proposer": f"0x{MEMBERS[0].address.hex()}",
            "quorumWeight": "0x3", "totalWeight": "0x4", "halted": None,
            "validators": [
                {
                    "address": f"0x{key.address.hex()}", "power": "0x1", "own": place == 0,
                    "lastMessage": None if place == 0 else {"type": "commit", "secondsAgo": 1.0 if place < 3 else 99.0},
                }
                for place, key in enumerate(MEMBERS)
            ],
        }  # fmt: skip


def write_sealed_chain(folder: Path) -> Store:
    """Block 3 came in round 2: two had their turns before, one of whom left with block 5; the newest has no child yet."""
    store = Store(f"sqlite:///{folder}/index.db")
    write_chain(store, ToldChain(head=HEAD, transactions=1))
    zero = dict.fromkeys(
        (
            "first_block", "last_block", "transaction_count", "transfer_count", "internal_count", "log_count", "proposed_count",
            "token_count", "active_hour",
        ),
        0,
    )  # fmt: skip
    with store.change() as connection:
        ids = {key.address: 10_000 + place for place, key in enumerate(KEYS)} | {CANDIDATE: 20_000}
        for address, number in ids.items():
            connection.execute(
                insert(accounts).values(
                    id=number, address=address, is_contract=False, name=NAMES.get(address), **zero
                )
            )
        for key in KEYS:
            is_member = key is not LEFT
            connection.execute(
                insert(validators).values(
                    account_id=ids[key.address], is_member=is_member, since_number=1, last_active=HEAD if is_member else 4,
                    proposed_count=2, sealed_count=6, member_blocks=8, missed_turns=int(key in (MEMBERS[1], LEFT)), vote_count=0,
                    last_proposed=HEAD if is_member else 2, last_sealed=7, last_missed=3 if key in (MEMBERS[1], LEFT) else None,
                )
            )  # fmt: skip
            connection.execute(
                insert(validator_set_changes).values(number=1, validator_id=ids[key.address], added=True)
            )
        connection.execute(
            insert(validator_set_changes).values(number=5, validator_id=ids[LEFT.address], added=False)
        )
        for round_, key in enumerate((MEMBERS[1], LEFT)):
            connection.execute(
                insert(round_skips).values(number=3, round=round_, validator_id=ids[key.address])
            )
        for number, voter, subject, add in (
            (2, MEMBERS[0], LEFT.address, False), (3, MEMBERS[1], LEFT.address, False), (4, MEMBERS[2], LEFT.address, False),
            (6, MEMBERS[0], CANDIDATE, True), (7, MEMBERS[1], CANDIDATE, True),
        ):  # fmt: skip
            connection.execute(
                insert(votes).values(
                    number=number, voter_id=ids[voter.address], subject_id=ids[subject], add=add
                )
            )
        for number in range(1, HEAD + 1):
            connection.execute(
                update(blocks).where(blocks.c.number == number).values(
                    consensus_hash=consensus_hash(number), proposer_id=ids[MEMBERS[number % 4].address], round=2 if number == 3 else 0,
                    proposal_round=2 if number == 3 else 0, validators_count=5 if number < 5 else 4, seals_count=3, is_canonical=number < HEAD,
                )
            )  # fmt: skip
            for key in MEMBERS[:3]:
                connection.execute(
                    insert(block_seals).values(
                        number=number,
                        validator_id=ids[key.address],
                        signature=seal(key, number),
                        is_valid=True,
                    )
                )
        assert connection.execute(select(blocks.c.number)).scalars().all()
    return store


@asynccontextmanager
async def browsing(store: Store, nodes: Nodes, *, monitor: Any = None) -> AsyncIterator[httpx.AsyncClient]:
    parts = ExplorerParts.of(
        site=Site(network_name="n", chain_id=1),
        store=store,
        nodes=nodes,
        node_names=("alpha", "beta"),
        monitor=monitor,
    )  # type: ignore[arg-type]
    transport = httpx.ASGITransport(make_app(parts).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://explorer") as http:
        yield http
