"""Messages of heights that are over: late seals on the tip are kept, stragglers are helped, late lies are proven."""

from metanode.consensus.core import Core
from metanode.consensus.effects import SendDecision
from metanode.consensus.equivocations import compare_seal, prove
from metanode.consensus.messages import Commit, Proposal, RoundChange, SignedMessage


def upon_message(core: Core, message: SignedMessage, peer: str) -> None:
    """Take late seals on the tip; help whoever is still busy with a decided height."""
    certificate = core.tip.certificate
    if message.height == core.height - 1 and not isinstance(message, RoundChange):
        if isinstance(message, Proposal):
            seen = core.seen_before.get(message.round)
            if seen is not None and seen.block_hash != message.block_hash:
                core.emit(prove(seen, message, core.current))
        if (
            isinstance(message, Commit)
            and certificate is not None
            and (message.round, message.block_hash) == (certificate.round, certificate.block_hash)
            and message.author in core.tip.state.last_validators
        ):
            core.tip.seals.setdefault(message.author, message.signature)
        elif isinstance(message, Commit) and certificate is not None and message.author in core.tip.seals:
            core.emit(compare_seal(message, core.tip.seals[message.author], certificate, core.current))
        return
    core.emit(SendDecision(peer=peer, height=message.height))
