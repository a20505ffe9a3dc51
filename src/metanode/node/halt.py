"""How a node stops taking part for good: it says why, and stays up so that people can read it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metanode.errors import MetanodeError
from metanode.primitives.hexadecimal import encode_data, encode_quantity

if TYPE_CHECKING:
    from metanode.chain.certificate import Certificate
    from metanode.consensus.fork import Fork


class ConsensusHalted(MetanodeError):  # noqa: N818 - says what happened
    """Going on could contradict what is decided: an operator must look."""

    def __init__(self, reason: str, fork: Fork | None = None) -> None:
        super().__init__(reason)
        self.fork = fork
        """The proof, when two blocks are decided at one height."""

    @classmethod
    def by(cls, fork: Fork) -> ConsensusHalted:
        """The halt that a fork causes."""
        return cls(fork.describe(), fork)

    def to_json(self) -> dict[str, Any]:
        """The reason, and both certificates of a fork, as `ibft_getConsensusState` shows them."""
        return {"reason": str(self), "fork": None if self.fork is None else _fork_to_json(self.fork)}


def first_halt(group: BaseExceptionGroup[ConsensusHalted]) -> ConsensusHalted:
    """The halt in a group; two at once have one cause, or two that are as grave."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, ConsensusHalted)
    return found


def _fork_to_json(fork: Fork) -> dict[str, Any]:
    validators = fork.validators

    def half(certificate: Certificate) -> dict[str, Any]:
        signers = certificate.addresses(validators)
        return {
            "round": encode_quantity(certificate.round),
            "blockHash": encode_data(certificate.block_hash),
            "signers": [encode_data(signer) for signer in signers],
            "weight": encode_quantity(validators.weight(signers)),
            "encoded": encode_data(certificate.encode()),
        }

    return {
        "height": encode_quantity(fork.height),
        "ours": half(fork.ours),
        "other": half(fork.other),
        "sealedBoth": [encode_data(address) for address in fork.sealed_both],
        "sealedBothWeight": encode_quantity(validators.weight(fork.sealed_both)),
        "totalWeight": encode_quantity(validators.total_power),
    }
