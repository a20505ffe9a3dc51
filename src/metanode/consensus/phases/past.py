"""Messages of heights that are over: late seals on the tip are kept, stragglers are helped."""

from metanode.consensus.core import Core
from metanode.consensus.effects import SendDecision
from metanode.consensus.messages import Commit, RoundChange, SignedMessage


def upon_message(core: Core, message: SignedMessage, peer: str) -> None:
    """Take late seals on the tip; help whoever is still busy with a decided height."""
    certificate = core.tip.certificate
    if message.height == core.height - 1 and not isinstance(message, RoundChange):
        if (
            isinstance(message, Commit)
            and certificate is not None
            and (message.round, message.block_hash) == (certificate.round, certificate.block_hash)
            and message.author in core.tip.state.last_validators
        ):
            core.tip.seals.setdefault(message.author, message.signature)
        return
    core.emit(SendDecision(peer=peer, height=message.height))
