"""Prepares and commits of the current height: a valid proposal gets ours, quorums make the next step."""

from metanode.chain.certificate import Certificate
from metanode.consensus.core import Core
from metanode.consensus.height import Phase
from metanode.consensus.messages import Commit, Prepare, PreparedCertificate, Seal, Step
from metanode.consensus.phases import deciding, signing
from metanode.primitives.types import Hash32, Round


def upon_valid_proposal(core: Core) -> None:
    """Vote for the accepted proposal, whose body is here and valid."""
    accepted = core.current.accepted
    assert accepted is not None
    assert accepted.block_hash in core.current.valid
    if accepted.author != core.own and core.takes_part:
        digest = core.rules.domain.prepare(
            height=core.height, round=core.current.round, block_hash=accepted.block_hash
        )
        signature = signing.sign(core, Step.PREPARE, core.current.round, digest)
        if signature is not None:
            signing.send(
                core, signing.vote(core, Prepare, core.current.round, accepted.block_hash, signature)
            )
    _check_prepared(core)


def upon_prepare(core: Core, prepare: Prepare) -> None:
    """Count a prepare of the current height; the round's proposer has none, its proposal counts."""
    if (
        prepare.author not in core.current.electorate.validators
        or prepare.author == core.current.electorate.proposer(prepare.round)
    ):
        return
    other = core.current.prepares.add(prepare, current=core.current.round)
    if other is None and prepare.round == core.current.round:
        _check_prepared(core)


def _check_prepared(core: Core) -> None:
    accepted = core.current.accepted
    if (
        accepted is None
        or core.current.phase is not Phase.PREPARE
        or accepted.block_hash not in core.current.valid
    ):
        return
    prepares = core.current.prepares.seals(core.current.round, accepted.block_hash)
    if not core.current.electorate.is_quorum([accepted.author, *prepares]):
        return
    core.current.phase = Phase.COMMIT
    core.current.prepared = PreparedCertificate(
        round=core.current.round,
        block_hash=accepted.block_hash,
        proposal=Seal(author=accepted.author, signature=accepted.signature),
        prepares=tuple(Seal(author=author, signature=prepares[author]) for author in sorted(prepares)),
    )
    core.is_dirty = True
    if core.takes_part:
        signing.sign_commit(core, core.current.round, accepted.block_hash)
    _check_decided(core, core.current.round, accepted.block_hash)


def upon_commit(core: Core, commit: Commit) -> None:
    """Count a commit of the current height, also of a round that was left."""
    if commit.author not in core.current.electorate.validators:
        return
    other = core.current.commits.add(commit, current=core.current.round)
    if other is None:
        _check_decided(core, commit.round, commit.block_hash)


def _check_decided(core: Core, round_: Round, block_hash: Hash32) -> None:
    seals = core.current.commits.seals(round_, block_hash)
    if not core.current.electorate.is_quorum(seals):
        return
    certificate = Certificate.of(
        height=core.height,
        round=round_,
        block_hash=block_hash,
        seals=seals,
        validators=core.current.electorate.validators,
    )
    deciding.upon_certificate(core, certificate)
