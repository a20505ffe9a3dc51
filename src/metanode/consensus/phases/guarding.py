"""One key, one signer: whoever hears a message of its own key that it did not make shares the key with somebody, and signs no more.

A signature is durable before it leaves, so a message of our key above our watermark was made elsewhere: nobody can forge it, and no
former life of ours has sent it. Where the watermark was lost, the same is known of heights that began after we came to see them begin.
"""

from typing import Final

from metanode.chain.certificate import Certificate
from metanode.consensus.core import Core
from metanode.consensus.effects import KeyInUse
from metanode.consensus.messages import SignedMessage, Step, step_of
from metanode.primitives.types import Height

NEVER: Final = Height(2**63)
"""A height from which nobody signs."""


def look_for_other_signer(core: Core, message: SignedMessage) -> None:
    """Sign nothing more in this life, and say so, once another process is seen to sign with our key."""
    if message.author != core.own or core.is_key_shared or not _is_of_another(core, message):
        return
    core.is_key_shared = True
    core.silent_until = NEVER
    core.emit(KeyInUse(height=message.height, round=message.round, step=step_of(message)))


def look_for_forgotten_seal(core: Core, certificate: Certificate) -> None:
    """Sign nothing for a height and one more when a certificate holds a seal of ours above our watermark.

    Either the watermark is an old copy, and we may have signed at the next height too, or somebody else has the key: who is heard then.
    """
    mark = core.watermark
    if mark is None or core.own is None or core.own not in core.current.electorate.validators:
        return
    sealed = (certificate.height, certificate.round, Step.COMMIT)
    if sealed > mark.position and core.own in certificate.addresses(core.current.electorate.validators):
        core.silent_until = max(core.silent_until, Height(certificate.height + 3))


def _is_of_another(core: Core, message: SignedMessage) -> bool:
    mark = core.watermark
    if mark is not None:
        return (message.height, message.round, step_of(message)) > mark.position
    return core.silent_until != NEVER and message.height >= core.silent_until - 1
