"""What others sign is remembered, whatever becomes of it, and pairs that no honest validator signs are handed out as proofs."""

from metanode.chain.certificate import Certificate
from metanode.chain.validators import ValidatorSet
from metanode.consensus.core import Core
from metanode.consensus.messages import PreparedCertificate, SignedMessage
from metanode.consensus.witness import IsMember
from metanode.primitives.types import Height


def upon_message(core: Core, message: SignedMessage) -> None:
    """Remember a message of anybody, also our own: another process with our key would contradict it."""
    core.accuse(core.witness.hear(message, _members(core, message.height)))


def upon_restored(core: Core, prepared: PreparedCertificate) -> None:
    """Remember what the last life had prepared at this height."""
    core.accuse(core.witness.hear_prepared(core.height, prepared, _members(core, core.height)))


def upon_certificate(core: Core, certificate: Certificate, validators: ValidatorSet) -> None:
    """Remember the seals of a certificate that was verified with this set."""
    core.accuse(core.witness.hear_certificate(certificate, validators))


def _members(core: Core, height: Height) -> IsMember:
    """Return who is heard at a height: its validators where they are known, else all that we know."""
    state = core.tip.state
    if height == core.height:
        return state.validators.__contains__
    if height == core.height - 1:
        return state.last_validators.__contains__
    return lambda author: (
        author in state.validators or author in state.next_validators or author in state.last_validators
    )
