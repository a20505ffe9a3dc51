"""Making a block from a built execution block, and judging one: the two sides of one set of rules.

`validate_block` is everything about a block that does not depend on the round in which it is proposed, on the clock, or on what its
transactions do. It is used for proposals, and for blocks that come with a certificate.
"""

from metanode.chain.attributes import calculate_attributes, validate_attributes
from metanode.chain.block import Block
from metanode.chain.certificate import Certificate, verify_certificate
from metanode.chain.execution_header import decode_execution_block, requests_hash
from metanode.chain.header import EMPTY_EVIDENCE_ROOT, ConsensusHeader
from metanode.chain.parameters import ChainRules
from metanode.chain.quorum import QuorumRule
from metanode.chain.state import ConsensusState, calculate_validators
from metanode.chain.timing import calculate_due
from metanode.chain.voting import Vote, validate_vote
from metanode.errors import InvalidBlock
from metanode.primitives.types import ZERO_HASH, Address, Height, Round


def make_block(
    *,
    state: ConsensusState,
    parent: ConsensusHeader,
    rules: ChainRules,
    execution_rlp: bytes,
    requests: tuple[bytes, ...],
    parent_certificate: Certificate | None,
    proposer: Address,
    proposal_round: Round,
    vote: Vote | None = None,
) -> Block:
    """Return the block of the height after `parent` around an execution block that the own client built for it."""
    built = decode_execution_block(execution_rlp, check_roots=False)
    execution = built.header
    after, _, _ = calculate_validators(state, rules.parameters, vote=vote, voter=proposer)
    header = ConsensusHeader(
        version=rules.parameters.fork(execution.timestamp).consensus_version,
        chain_tag=rules.chain_tag,
        height=Height(parent.height + 1),
        parent_hash=parent.hash,
        execution_hash=execution.hash,
        requests_hash=requests_hash(requests),
        timestamp=execution.timestamp,
        proposer=proposer,
        proposal_round=proposal_round,
        validators_hash=state.validators.hash,
        next_validators_hash=after.hash,
        consensus_state_root=state.root,
        parent_certificate_hash=parent_certificate.hash if parent_certificate else ZERO_HASH,
        vote=vote,
        evidence_root=EMPTY_EVIDENCE_ROOT,
    )
    return Block(
        header=header,
        execution_rlp=execution_rlp,
        requests=requests,
        parent_certificate=parent_certificate,
        built=built,
    )


def validate_block(
    block: Block, *, state: ConsensusState, parent: ConsensusHeader, rules: ChainRules
) -> None:
    """Raise InvalidBlock or InvalidCertificate that names the first rule that the block breaks.

    `state` is the state after `parent`. The timestamp is judged against the parent only; how far ahead of the clock a fresh proposal may be
    is the caller's question, since a block that is proposed again keeps its time.
    """
    header, parameters = block.header, rules.parameters
    for name, found, wanted in (
        ("chain_tag", header.chain_tag, rules.chain_tag),
        ("height", header.height, parent.height + 1),
        ("parent_hash", header.parent_hash, parent.hash),
        ("version", header.version, parameters.fork(header.timestamp).consensus_version),
        ("validators_hash", header.validators_hash, state.validators.hash),
        ("consensus_state_root", header.consensus_state_root, state.root),
        ("evidence_root", header.evidence_root, EMPTY_EVIDENCE_ROOT),
        ("proposer", header.proposer, state.proposer(header.proposal_round, rules.quorum_rule)),
    ):
        if found != wanted:
            raise InvalidBlock(f"header.{name}: expected {_shown(wanted)}, found {_shown(found)}")
    _validate_timestamp(header, parent, rules)
    _validate_vote(header, state, rules)
    after, _, _ = calculate_validators(state, parameters, vote=header.vote, voter=header.proposer)
    if header.next_validators_hash != after.hash:
        raise InvalidBlock(
            f"header.next_validators_hash: expected 0x{after.hash.hex()}, found 0x{header.next_validators_hash.hex()}"
        )
    attributes = calculate_attributes(
        state, parent, rules, timestamp=header.timestamp, fee_recipient=block.execution.header.beneficiary
    )
    validate_attributes(block.execution, parent, attributes)
    _validate_parent_certificate(block, state, parent, rules)


def _validate_timestamp(header: ConsensusHeader, parent: ConsensusHeader, rules: ChainRules) -> None:
    if header.timestamp <= parent.timestamp:
        raise InvalidBlock(
            f"header.timestamp: expected more than the parent's {parent.timestamp}, found {header.timestamp}"
        )
    parameters = rules.parameters
    due = calculate_due(
        parent_timestamp=parent.timestamp, genesis_time=parameters.genesis_time, period_s=parameters.period_s
    )
    # Nobody honest makes a block of round 0 with an earlier time, and without this rule a proposer could hurry the chain.
    if header.proposal_round == 0 and header.timestamp < due:
        raise InvalidBlock(
            f"header.timestamp: expected the slot {due} or later in round 0, found {header.timestamp}"
        )


def _validate_vote(header: ConsensusHeader, state: ConsensusState, rules: ChainRules) -> None:
    if header.vote is None:
        return
    if rules.quorum_rule is not QuorumRule.AUTHORITY:
        raise InvalidBlock("vote: with proof of stake the set changes by stake, not by vote")
    validate_vote(
        header.vote,
        voter=header.proposer,
        validators=state.validators,
        open_votes=state.open_votes,
        epoch_block=rules.parameters.is_epoch_start(header.height),
        validators_max=rules.parameters.validators_max,
    )


def _validate_parent_certificate(
    block: Block, state: ConsensusState, parent: ConsensusHeader, rules: ChainRules
) -> None:
    certificate = block.parent_certificate
    if parent.height == 0:
        if certificate is not None:
            raise InvalidBlock("parent_certificate: the genesis block has none, found one")
        return
    if certificate is None:
        raise InvalidBlock("parent_certificate: missing")
    verify_certificate(
        certificate,
        height=parent.height,
        block_hash=parent.hash,
        validators=state.last_validators,
        rule=rules.quorum_rule,
        domain=rules.domain,
    )


def _shown(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
