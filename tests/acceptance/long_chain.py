"""A chain of any length in seconds: blocks built by the real engine at past times and put on disk as the nodes themselves would."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING

from metanode import _engine
from metanode.chain.attributes import calculate_attributes
from metanode.chain.certificate import Certificate
from metanode.chain.genesis import make_genesis, parse_genesis
from metanode.chain.proposal import make_block
from metanode.chain.state import next_state
from metanode.chain.timing import calculate_due
from metanode.chain.validators import ValidatorSet
from metanode.consensus.effects import Decided
from metanode.consensus.messages import Step
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.watermark import SignedStep
from metanode.primitives.types import Hash32, Height, Round
from metanode.storage.node_store import NodeStore
from metanode.storage.signer import FileSigner
from metanode.storage.signer_log import make_signer_log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from metanode.chain.voting import Vote
    from metanode.crypto.secp256k1 import PrivateKey

SYNC_EVERY_BLOCKS = 64


def write_chain(
    home: Path,
    key: PrivateKey,
    *,
    blocks: int,
    genesis_time: int,
    period_s: int = 2,
    others: Sequence[PrivateKey] = (),
    votes: Mapping[int, Vote] | None = None,
    transactions: Callable[[int], Sequence[bytes]] = lambda _: (),
) -> bytes:
    """Write genesis.json and data/ of a validator that has decided `blocks` heights; return the genesis file's bytes.

    The genesis set has this validator alone. Keys in `others` propose and seal where `votes` (by the proposer of a height) have let them in.
    `transactions` are those that come in before a height.
    """
    document = json.dumps(
        make_genesis(
            network_name="long-chain",
            chain_id=1337,
            genesis_time=genesis_time,
            validators=ValidatorSet.of_addresses([key.address]),
            balances={key.address: 10**24},
            period_s=period_s,
        )
    ).encode()
    (home / "genesis.json").write_bytes(document)
    data = home / "data"
    data.mkdir()
    asyncio.run(_decide(data, document, [key, *others], blocks, votes or {}, transactions))
    return document


def write_network_chain(
    homes: Sequence[Path], keys: Sequence[PrivateKey], document: bytes, *, blocks: int
) -> None:
    """Write data/ of all validators of a genesis file, as if they had decided `blocks` heights together."""
    first, *others = [home / "data" for home in homes]
    first.mkdir(parents=True, exist_ok=True)
    genesis_hash = parse_genesis(document).hash
    digest = asyncio.run(_decide(first, document, keys, blocks, {}, lambda _: ()))
    for data, key in zip(others, keys[1:], strict=True):
        shutil.copytree(first, data, dirs_exist_ok=True, ignore=shutil.ignore_patterns("signer.log"))
        make_signer_log(data / "signer.log", address=key.address, genesis_hash=genesis_hash)
        signer = FileSigner.open(data / "signer.log", key, genesis_hash=genesis_hash)
        try:
            asyncio.run(_mark(signer, key, blocks, digest))
        finally:
            signer.close()


async def _mark(signer: FileSigner, key: PrivateKey, blocks: int, digest: Hash32) -> None:
    """A key that has signed the chain knows it: without its watermark it would stay silent."""
    mark = SignedStep(
        height=Height(blocks), round=Round(0), step=Step.COMMIT, digest=digest, signature=key.sign(digest)
    )
    await signer.advance([mark])


async def _decide(
    data: Path,
    document: bytes,
    signers: Sequence[PrivateKey],
    blocks: int,
    votes: Mapping[int, Vote],
    transactions: Callable[[int], Sequence[bytes]],
) -> Hash32:
    """What the last commit has signed."""
    key, keys = signers[0], {key.address: key for key in signers}
    genesis = parse_genesis(document)
    rules, parameters = genesis.rules, genesis.parameters
    engine = _engine.Engine.open(document, path=str(data / "engine"), sync_every_blocks=SYNC_EVERY_BLOCKS)
    store = NodeStore.open(data / "node.db", genesis)
    make_signer_log(data / "signer.log", address=key.address, genesis_hash=genesis.hash)
    signer = FileSigner.open(data / "signer.log", key, genesis_hash=genesis.hash)
    parent, state = genesis.header, genesis.state
    certificate: Certificate | None = None
    try:
        for height in range(1, blocks + 1):
            if raws := transactions(height):
                assert all(isinstance(answer, bytes) for answer in engine.submit(list(raws)))
            proposer = keys[state.proposer(Round(0), rules.quorum_rule)]
            due = calculate_due(
                parent_timestamp=parent.timestamp,
                genesis_time=parameters.genesis_time,
                period_s=parameters.period_s,
            )
            wanted = calculate_attributes(state, parent, rules, timestamp=due, fee_recipient=proposer.address)
            built = engine.build(
                parent.execution_hash,
                timestamp=wanted.timestamp,
                fee_recipient=wanted.fee_recipient,
                prev_randao=wanted.prev_randao,
                withdrawals=[
                    (w.index, w.validator_index, w.address, w.amount_gwei) for w in wanted.withdrawals
                ],
                parent_beacon_block_root=wanted.parent_beacon_block_root,
                gas_limit=wanted.gas_limit,
                extra_data=b"",
                deadline_s=5.0,
            )
            block = make_block(
                state=state,
                parent=parent,
                rules=rules,
                execution_rlp=built.rlp,
                requests=tuple(built.requests),
                parent_certificate=certificate,
                proposer=proposer.address,
                proposal_round=Round(0),
                vote=votes.get(height),
            )
            engine.validate(block.execution_rlp, list(block.requests))
            engine.finalize(block.header.execution_hash)
            digest = rules.domain.commit(height=block.height, round=Round(0), block_hash=block.hash)
            certificate = Certificate.of(
                height=block.height,
                round=Round(0),
                block_hash=block.hash,
                seals={address: keys[address].sign(digest) for address in state.validators.addresses},
                validators=state.validators,
            )
            state, parent = next_state(state, block, parameters), block.header
            record = ConsensusRecord(height=Height(height + 1), round=Round(0), prepared=None, messages=())
            await store.save(
                record=record.encode(),
                bodies=[],
                decided=Decided(block=block, certificate=certificate, state=state),
            )
        await _mark(signer, key, blocks, digest)
    finally:
        signer.close()
        store.close()
        engine.close()
    return digest
