"""Seals of certificates as the index checks them: a wrong one is kept, counted and told, and the index goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from structlog.testing import capture_logs
from tests.unit.services.told_chain import FIRST_TIMESTAMP, ToldChain, block_hash, opening

from metanode.chain.certificate import Certificate
from metanode.chain.header import EMPTY_EVIDENCE_ROOT, ConsensusHeader
from metanode.chain.signing import SigningDomain
from metanode.chain.validators import ValidatorSet
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.hexadecimal import encode_data
from metanode.primitives.types import ZERO_ADDRESS, ZERO_HASH, Hash32, Height, Round
from sdk.testnet.services.indexer import indexer as following
from sdk.testnet.services.indexer.configuration import IndexerConfig
from sdk.testnet.services.indexer.indexer import Indexer
from sdk.testnet.services.queries import statistics
from sdk.testnet.services.store.store import Store
from sdk.testnet.services.store.tables import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

URL = "http://127.0.0.1:1"
"""Nobody listens there; the chain below stands for what would."""
HEAD = 5
FORGED = 2
MEMBER, STRANGER = (PrivateKey(bytes([number]) * 32) for number in (1, 2))
DEADLINE_S = 30.0


class SealedChain(ToldChain):
    """A chain of one validator; the certificate of block FORGED bears its name and another's signature."""

    def __init__(self) -> None:
        super().__init__(head=HEAD, transactions=0)
        self._headers: list[ConsensusHeader] = []
        self._certificates: dict[int, Certificate] = {}
        members = ValidatorSet.of_addresses([MEMBER.address])
        for number in range(HEAD + 1):
            header = ConsensusHeader(
                version=1,
                chain_tag=ZERO_HASH,
                height=Height(number),
                parent_hash=self._headers[-1].hash if number else ZERO_HASH,
                execution_hash=Hash32(bytes.fromhex(block_hash(number)[2:])),
                requests_hash=ZERO_HASH,
                timestamp=FIRST_TIMESTAMP + 2 * number,
                proposer=MEMBER.address if number else ZERO_ADDRESS,
                proposal_round=Round(0),
                validators_hash=members.hash,
                next_validators_hash=members.hash,
                consensus_state_root=ZERO_HASH,
                parent_certificate_hash=self._certificates[number - 1].hash if number > 1 else ZERO_HASH,
                vote=None,
                evidence_root=EMPTY_EVIDENCE_ROOT,
            )
            self._headers.append(header)
            if number:
                self._certificates[number] = self._seal(number, header.hash, members)

    def _seal(self, number: int, of: Hash32, members: ValidatorSet) -> Certificate:
        domain = SigningDomain(chain_id=self.chain_id, genesis_hash=self._headers[0].hash)
        digest = domain.commit(height=Height(number), round=Round(0), block_hash=of)
        seal = (STRANGER if number == FORGED else MEMBER).sign(digest)
        return Certificate.of(
            height=Height(number),
            round=Round(0),
            block_hash=of,
            seals={MEMBER.address: seal},
            validators=members,
        )

    def _answer(self, method: str, params: Sequence[Any]) -> Any:
        match method:
            case "ibft_getRawHeader":
                return encode_data(self._headers[int(params[0], 16)].encode())
            case "ibft_getCommitCertificate":
                return {"encoded": encode_data(self._certificates[int(params[0], 16)].encode())}
            case "ibft_getValidatorsByBlockNumber":
                return [encode_data(MEMBER.address)]
            case _:
                return super()._answer(method, params)


async def test_a_wrong_seal_of_the_chain_is_counted_once_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "open_client", opening({URL: SealedChain()}))
    store = Store(f"sqlite:///{tmp_path}/index.db")

    async def index() -> Indexer:
        indexer = Indexer(store, IndexerConfig(rpc_urls=(URL,), poll_interval_s=0.01))
        running = asyncio.create_task(indexer.run())
        async with asyncio.timeout(DEADLINE_S):
            while indexer.status.state != "live":
                await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.wait([running])
        return indexer

    with capture_logs() as logged:
        first = await index()
    again = await index()

    assert first.work.invalid_seals == 1
    assert [one["blocks"] for one in logged if one["event"] == "indexer_invalid_seals"] == [[FORGED]]
    # What is there already is told by who has found it: a service that is started again wakes nobody.
    assert again.work.invalid_seals == 0
    with store.look() as connection:
        wrong = connection.execute(select(blocks.c.number).where(blocks.c.seals_invalid > 0)).scalars().all()
        assert (list(wrong), statistics.totals(connection).invalid_seals) == ([FORGED], 1)
    store.close()
