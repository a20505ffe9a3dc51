"""A certificate decides, whatever the local verdict; `decide` is the only way from one height to the next."""

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate, verify_certificate
from metanode.chain.proposal import validate_block
from metanode.chain.state import next_state
from metanode.consensus.core import Core, begin_height
from metanode.consensus.effects import ChargePeer, Decided, FallBehind
from metanode.consensus.fork import Fork
from metanode.consensus.inputs import Mode
from metanode.consensus.phases import forking, guarding, proposing, signing, timers, witnessing
from metanode.consensus.tip import Tip
from metanode.errors import InvalidInput
from metanode.primitives.types import Hash32


def upon_decision(core: Core, certificate: Certificate, peer: str) -> None:
    """Take a certificate that a peer has sent: it decides, or says how far we are behind, or is compared with what we decided."""
    if certificate.height < core.height:
        forking.compare(core, certificate, peer)
        return
    if certificate.height == core.current.told_behind:
        return
    try:
        verify(core, certificate, certificate.block_hash, ahead=True)
    except InvalidInput as error:
        if certificate.height == core.height:
            core.emit(ChargePeer(peer=peer, reason=str(error)))
        return
    if certificate.height == core.height:
        upon_certificate(core, certificate)
    else:
        # Verified with our set: a hint that only costs a request if the set has changed since.
        core.current.told_behind = certificate.height
        core.emit(FallBehind(height=certificate.height))


def upon_certificate(core: Core, certificate: Certificate) -> None:
    """Decide what a verified certificate of this height says, as soon as the body is here."""
    awaited = core.current.awaited
    if awaited is not None and awaited.block_hash != certificate.block_hash:
        validators = core.current.electorate.validators
        fork = Fork(validators=validators, ours=awaited, other=certificate)
        core.halt(fork.describe(), fork)
        return
    block = core.current.bodies.get(certificate.block_hash)
    if block is not None:
        decide(core, certificate, block)
    elif awaited is None:
        core.current.awaited = certificate
        core.request_body(certificate.block_hash, certificate.addresses(core.current.electorate.validators))


def upon_block_imported(core: Core, block: Block, certificate: Certificate) -> None:
    """Decide what sync has brought, after checking it here once more."""
    if block.height != core.height:
        return
    try:
        verify(core, certificate, block.hash)
    except InvalidInput as error:
        core.refuse(certificate.round, block.hash, str(error))
        return
    decide(core, certificate, block, is_old=True)


def verify(core: Core, certificate: Certificate, block_hash: Hash32, *, ahead: bool = False) -> None:
    """Raise InvalidCertificate unless a quorum of the current set sealed this block; `ahead` takes the certificate's own height."""
    verify_certificate(
        certificate,
        height=certificate.height if ahead else core.height,
        block_hash=block_hash,
        validators=core.current.electorate.validators,
        rule=core.rules.quorum_rule,
        domain=core.rules.domain,
    )


def decide(core: Core, certificate: Certificate, block: Block, *, is_old: bool = False) -> None:
    """Make a block the tip, whatever the local verdict, and begin the next height. The only way from one height to the next."""
    assert block.hash == certificate.block_hash, (block.hash, certificate.block_hash)
    try:
        validate_block(block, state=core.tip.state, parent=core.tip.header, rules=core.rules)
    except InvalidInput as error:
        forking.look_below(core, block)
        core.halt(f"the decided block 0x{block.hash.hex()} breaks a rule: {error}")
        return
    guarding.look_for_forgotten_seal(core, certificate)
    round_ = certificate.round
    seals = core.current.commits.seals(round_, block.hash)
    signers = certificate.addresses(core.current.electorate.validators)
    seals.update(zip(signers, certificate.seals, strict=True))
    if core.own is not None and core.own not in seals and not is_old and core.may_seal:
        # The decision is durable before the seal leaves: both are in the one Persist below.
        signing.sign_commit(core, round_, block.hash)
    if not is_old:
        if block.parent_certificate is not None:
            witnessing.upon_certificate(core, block.parent_certificate, core.tip.state.last_validators)
        witnessing.upon_certificate(core, certificate, core.current.electorate.validators)
    state = next_state(core.tip.state, block, core.rules.parameters)
    core.tip = Tip(header=block.header, state=state, certificate=certificate, seals=seals)
    is_announced = core.mode is Mode.LIVE and core.own == core.current.electorate.proposer(round_)
    core.current = begin_height(core.tip, core.rules)
    core.witness.enter_height(core.height)
    signing.flush(
        core,
        Decided(block=block, certificate=certificate, state=state),
        is_announced=is_announced and not is_old,
    )
    timers.arm_height(core)
    proposing.prepare_payload(core)
    core.due.extend(core.early.take(core.height))
