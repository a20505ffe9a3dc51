"""`ibft_*`: the six methods of Besu, and ours that explain what consensus is doing.

Reading methods answer on every listener; the two that change this node's votes only on the private one. Besu's
behaviour is described in its reference for the IBFT API; ours in docs/reference/json-rpc.md and json-rpc-server.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from metanode.primitives.hexadecimal import encode_data, encode_quantity
from metanode.rpc import parameters
from metanode.rpc.errors import InvalidParams
from metanode.rpc.method import Method

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from metanode.chain.certificate import Certificate
    from metanode.chain.header import ConsensusHeader
    from metanode.chain.validators import ValidatorSet
    from metanode.primitives.types import Address, Hash32

SIGNER_METRICS_BLOCKS = 100
"""Besu's default range."""
SIGNER_METRICS_BLOCKS_MAX = 10_000
"""Headers that one call reads at most; about a second."""

PUBLIC_STATE = (
    "network", "chainId", "genesisHash", "chainTag", "head", "headTimestamp", "secondsSinceDecision", "period", "height", "round", "phase",
    "mode", "halted", "proposer", "acceptedBlock", "preparedRound", "prepareWeight", "commitWeight", "roundChangeWeight", "quorumWeight",
    "totalWeight",
)  # fmt: skip
"""Of `ibft_getConsensusState`, what `ibft_getNetworkState` has: a new field is private until it stands here."""
PUBLIC_OF_VALIDATORS = (
    "address", "power", "roundWanted", "signed", "lastMessage", "lastSeal", "lastActive", "skipped",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochInfo:
    """Where the chain stands in its epoch."""

    length: int
    """Blocks of an epoch."""
    number: int
    """Epochs since genesis."""
    first_height: int
    blocks_left: int


class ChainReader(Protocol):
    """What these methods read and change."""

    @property
    def head(self) -> int:
        """The finalized height."""

    async def header(self, height: int) -> ConsensusHeader | None:
        """A decided block's header."""

    async def height_of(self, execution_hash: Hash32) -> int | None:
        """The height of the block with this execution hash."""

    async def validators(self, height: int) -> ValidatorSet | None:
        """The set that decides a height, up to the one after the head."""

    async def certificate(self, height: int) -> Certificate | None:
        """The certificate of a decided height."""

    def is_canonical(self, height: int) -> bool:
        """Whether the height's certificate stands in a decided block already."""

    def wishes(self) -> Mapping[Address, bool]:
        """This node's open wishes on membership."""

    def propose_vote(self, subject: Address, *, add: bool, force: bool) -> None:
        """Vote for this from the next own block on. Raises InvalidInput when that would be wrong, UnsupportedInMode under proof of stake."""

    def discard_vote(self, subject: Address) -> None:
        """Drop a wish; nothing when there is none."""

    def consensus_state(self) -> Mapping[str, Any]:
        """What the core is doing, ready for JSON."""

    async def evidence(self) -> Sequence[Mapping[str, Any]]:
        """Proofs of lies that this node keeps, ready for JSON."""

    def epoch(self) -> EpochInfo:
        """Where the head stands in its epoch."""


def ibft_methods(chain: ChainReader) -> dict[str, Method]:
    """Every method by its name."""
    methods = _IbftMethods(chain)
    return {
        "ibft_proposeValidatorVote": Method(
            "(validator: Address, add: Boolean, options?: VoteOptions) -> Boolean",
            "Votes in the blocks that this node proposes. To add somebody is refused unless it is connected, has proved "
            "its key and is at the head, or the vote is forced. Under proof of stake there are no votes: -32604.",
            methods.propose_validator_vote,
        ),
        "ibft_discardValidatorVote": Method(
            "(validator: Address) -> Boolean",
            "Votes no longer. Under proof of stake there are no votes: -32604.",
            methods.discard_validator_vote,
        ),
        "ibft_getPendingVotes": Method(
            "() -> Votes", "This node's own wishes only; `true` adds.", methods.get_pending_votes
        ),
        "ibft_getValidatorsByBlockNumber": Method(
            "(block: BlockNumber) -> Address[] | null",
            "The validators that decide a block.",
            methods.get_validators_by_block_number,
        ),
        "ibft_getValidatorsByBlockHash": Method(
            "(hash: Hash) -> Address[] | null",
            "The validators that decided a block.",
            methods.get_validators_by_block_hash,
        ),
        "ibft_getSignerMetrics": Method(
            "(from?: BlockNumber, to?: BlockNumber) -> SignerMetric[]",
            "Who proposed how many blocks, `to` exclusive; by default of the last 100 blocks, at most of 10,000. Validators "
            "that proposed nothing have `0x0`.",
            methods.get_signer_metrics,
        ),
        "ibft_getCommitCertificate": Method(
            "(block: BlockNumber) -> CommitCertificate | null",
            "The commit seals that decided a block.",
            methods.get_commit_certificate,
        ),
        "ibft_getRawHeader": Method(
            "(block: BlockNumber) -> Data | null",
            "A block's consensus header as RLP, whose keccak256 is the consensus hash; it names proposer and vote.",
            methods.get_raw_header,
        ),
        "ibft_getConsensusState": Method(
            "() -> ConsensusState",
            "Where the open height stands here, and what was heard of each validator. `metanode doctor` reads it.",
            methods.get_consensus_state,
        ),
        "ibft_getNetworkState": Method(
            "() -> ConsensusState",
            "What of `ibft_getConsensusState` is for everybody: the network's name, where the open height stands, and what was heard of each "
            "validator. It says nothing of which node answers, whom it is connected to, how far away, and with which clock.",
            methods.get_network_state,
        ),
        "ibft_getEvidence": Method(
            "() -> Evidence[]", "The newest 100 proofs that a validator lied.", methods.get_evidence
        ),
        "ibft_getEpochInfo": Method(
            "() -> EpochInfo", "Where the head stands in its epoch.", methods.get_epoch_info
        ),
    }


class _IbftMethods:
    def __init__(self, chain: ChainReader) -> None:
        self._chain = chain

    async def propose_validator_vote(self, params: Sequence[Any]) -> bool:
        parameters.check_count(params, 3)
        options = params[2] if len(params) > 2 else {}
        if (
            not isinstance(options, dict)
            or set(options) - {"force"}
            or not isinstance(options.get("force", False), bool)
        ):
            raise InvalidParams('invalid argument 2: expected {"force": true}')
        subject, add = parameters.address(params, 0), parameters.boolean(params, 1)
        self._chain.propose_vote(subject, add=add, force=options.get("force", False))
        return True

    async def discard_validator_vote(self, params: Sequence[Any]) -> bool:
        parameters.check_count(params, 1)
        self._chain.discard_vote(parameters.address(params, 0))
        return True

    async def get_pending_votes(self, params: Sequence[Any]) -> dict[str, bool]:
        parameters.check_count(params, 0)
        return {encode_data(subject): add for subject, add in sorted(self._chain.wishes().items())}

    async def get_validators_by_block_number(self, params: Sequence[Any]) -> list[str] | None:
        parameters.check_count(params, 1)
        return await self._validators(parameters.height(params, 0, head=self._chain.head))

    async def get_validators_by_block_hash(self, params: Sequence[Any]) -> list[str] | None:
        parameters.check_count(params, 1)
        height = await self._chain.height_of(parameters.block_hash(params, 0))
        return None if height is None else await self._validators(height)

    async def get_signer_metrics(self, params: Sequence[Any]) -> list[dict[str, str]]:
        """From inclusive, by default 100 blocks before the head; to exclusive, by default the head."""
        parameters.check_count(params, 2)
        head = self._chain.head
        first = parameters.height(params, 0, head=head, default=max(0, head - SIGNER_METRICS_BLOCKS))
        end = parameters.height(params, 1, head=head, default=head)
        if first > end or (first == end and params):
            raise InvalidParams(f"invalid argument 0: the range starts at {first} and ends before {end}")
        if end > head + 1:
            raise InvalidParams(f"invalid argument 1: block {end - 1} is not known; the head is {head}")
        if end - first > SIGNER_METRICS_BLOCKS_MAX:
            raise InvalidParams(
                f"the range has {end - first} blocks; at most {SIGNER_METRICS_BLOCKS_MAX} are read at once"
            )
        counts: dict[Address, int] = {}
        last: dict[Address, int] = {}
        for number in range(max(1, first), end):
            header = await self._chain.header(number)
            if header is not None:
                counts[header.proposer] = counts.get(header.proposer, 0) + 1
                last[header.proposer] = number
        current = await self._chain.validators(max(1, end - 1))
        for validator in current.addresses if current else ():
            counts.setdefault(validator, 0)
        return [
            {
                "address": encode_data(proposer),
                "proposedBlockCount": encode_quantity(counts[proposer]),
                "lastProposedBlockNumber": encode_quantity(last.get(proposer, 0)),
            }
            for proposer in sorted(counts)
        ]

    async def get_commit_certificate(self, params: Sequence[Any]) -> dict[str, Any] | None:
        parameters.check_count(params, 1)
        height = parameters.height(params, 0, head=self._chain.head)
        if height > self._chain.head:
            return None
        certificate, validators = await self._chain.certificate(height), await self._chain.validators(height)
        if certificate is None or validators is None:
            return None
        return {
            "height": encode_quantity(certificate.height),
            "round": encode_quantity(certificate.round),
            "blockHash": encode_data(certificate.block_hash),
            "canonical": self._chain.is_canonical(height),
            "seals": [
                {"validator": encode_data(signer), "signature": encode_data(seal)}
                for signer, seal in zip(certificate.addresses(validators), certificate.seals, strict=True)
            ],
            "encoded": encode_data(certificate.encode()),
        }

    async def get_raw_header(self, params: Sequence[Any]) -> str | None:
        parameters.check_count(params, 1)
        height = parameters.height(params, 0, head=self._chain.head)
        header = None if height > self._chain.head else await self._chain.header(height)
        return None if header is None else encode_data(header.encode())

    async def get_consensus_state(self, params: Sequence[Any]) -> dict[str, Any]:
        parameters.check_count(params, 0)
        return dict(self._chain.consensus_state())

    async def get_network_state(self, params: Sequence[Any]) -> dict[str, Any]:
        parameters.check_count(params, 0)
        state = self._chain.consensus_state()
        validators = [
            {name: one[name] for name in PUBLIC_OF_VALIDATORS if name in one} for one in state["validators"]
        ]
        return {name: state[name] for name in PUBLIC_STATE if name in state} | {"validators": validators}

    async def get_evidence(self, params: Sequence[Any]) -> list[dict[str, Any]]:
        parameters.check_count(params, 0)
        return [dict(entry) for entry in await self._chain.evidence()]

    async def get_epoch_info(self, params: Sequence[Any]) -> dict[str, str]:
        parameters.check_count(params, 0)
        epoch = self._chain.epoch()
        return {
            "epochLength": encode_quantity(epoch.length),
            "epoch": encode_quantity(epoch.number),
            "firstBlock": encode_quantity(epoch.first_height),
            "blocksLeft": encode_quantity(epoch.blocks_left),
        }

    async def _validators(self, height: int) -> list[str] | None:
        # Numbers go up to 2^64 - 1 here, and no store is asked for what cannot be there.
        if height > self._chain.head + 1:
            return None
        validators = await self._chain.validators(height)
        return None if validators is None else [encode_data(address) for address in validators.addresses]
