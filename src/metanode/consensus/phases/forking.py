"""Two decided blocks at one height: certificates of the past are compared, and a block that does not follow our tip is looked into."""

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.consensus.core import Core
from metanode.consensus.effects import ChargePeer, CompareDecided
from metanode.consensus.fork import find_fork_below, prove_fork
from metanode.errors import InvalidInput


def compare(core: Core, certificate: Certificate, peer: str) -> None:
    """Compare a certificate of a decided height with ours: the tip's here, an older one's where it is kept."""
    tip = core.tip
    if tip.certificate is None or certificate.height < 1:
        return
    if certificate.height < tip.certificate.height:
        core.emit(CompareDecided(certificate=certificate, peer=peer))
        return
    try:
        fork = prove_fork(
            tip.certificate, certificate, validators=tip.state.last_validators, rules=core.rules
        )
    except InvalidInput as error:
        core.emit(ChargePeer(peer=peer, reason=str(error)))
        return
    if fork is not None:
        core.halt(fork.describe(), fork)


def look_below(core: Core, block: Block) -> None:
    """Halt if a block of this height follows another decided block than our tip, and proves it."""
    tip = core.tip
    fork = find_fork_below(
        block, tip.certificate, tip.header.hash, validators=tip.state.last_validators, rules=core.rules
    )
    if fork is not None:
        core.halt(fork.describe(), fork)
