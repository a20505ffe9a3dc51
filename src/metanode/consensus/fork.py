"""Two blocks decided at one height: what must never happen, proven by two certificates that verify.

Two quorums share more power than may lie. So a fork is never an accident of the network: validators of a third or more of the power have
broken the rules, and no node can know by itself which of the two blocks stands. It keeps both certificates, signs nothing more, and people
decide.
"""

from dataclasses import dataclass
from typing import Final

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate, verify_certificate
from metanode.chain.parameters import ChainRules
from metanode.chain.validators import ValidatorSet
from metanode.errors import InvalidEncoding, InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import Address, Hash32, Height

WHAT_TO_DO: Final = (
    "What to do: agree with the other operators on the block that stands. Stop every node that holds the other one, and remove node.db and "
    "engine/ of its data directory, never signer.log, so that it fetches the chain that stands. Stop each node that keeps its chain, run "
    "`metanode node recover DIRECTORY`, which sets this proof aside, and start it. Vote out who signed twice."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """The proof. Made by `prove_fork`, or read from our own disk."""

    validators: ValidatorSet
    """Who decided this height."""
    ours: Certificate
    """Of the block that this node had decided, or knew to be decided, first."""
    other: Certificate
    """Of the block that came to light later."""

    @property
    def height(self) -> Height:
        """The height that has two blocks."""
        return self.ours.height

    @property
    def certificates(self) -> tuple[Certificate, Certificate]:
        """Both, in the order in which they were seen."""
        return self.ours, self.other

    @property
    def sealed_both(self) -> tuple[Address, ...]:
        """The validators whose seals stand in both certificates."""
        other = set(self.other.addresses(self.validators))
        return tuple(address for address in self.ours.addresses(self.validators) if address in other)

    def describe(self) -> str:
        """What happened, what an operator does about it, and who signed what: the longest part last."""
        ours, other = self.ours, self.other
        weight, total = self.validators.weight(self.sealed_both), self.validators.total_power
        proof = (
            "in the same round, which proves it of each of them"
            if ours.round == other.round
            else "in different rounds: the liars are among them, or changed rounds with a lie"
        )
        return (
            f"two blocks are decided at height {self.height}: 0x{ours.block_hash.hex()} in round {ours.round}, and "
            f"0x{other.block_hash.hex()} in round {other.round}. A third or more of the voting power signed twice: {weight} of {total} sealed "
            f"both, {proof}. This node has stopped consensus and signs nothing. {WHAT_TO_DO} "
            f"Sealed both: {_names(self.sealed_both)}. Sealed the first: {_names(ours.addresses(self.validators))}. "
            f"Sealed the second: {_names(other.addresses(self.validators))}."
        )

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return rlp.encode([self.validators.to_item(), self.ours.to_item(), self.other.to_item()])

    @classmethod
    def decode(cls, data: bytes) -> "Fork":
        """Return the proof of its bytes, which were verified when it was made; raises InvalidInput."""
        items = rlp.decode(data)
        if not isinstance(items, list) or len(items) != 3:
            raise InvalidEncoding("fork: expected validators and two certificates")
        validators, ours, other = items
        return cls(
            validators=ValidatorSet.from_item(validators),
            ours=Certificate.from_item(ours),
            other=Certificate.from_item(other),
        )


def prove_fork(
    ours: Certificate, other: Certificate, *, validators: ValidatorSet, rules: ChainRules
) -> Fork | None:
    """Return the fork that another certificate of our certificate's height proves, None when both are for one block.

    `ours` was verified before. Raises InvalidCertificate when the other one proves nothing: then its sender is to blame, and nobody else.
    """
    if other.block_hash == ours.block_hash:
        return None
    verify_certificate(
        other,
        height=ours.height,
        block_hash=other.block_hash,
        validators=validators,
        rule=rules.quorum_rule,
        domain=rules.domain,
    )
    return Fork(validators=validators, ours=ours, other=other)


def find_fork_below(
    block: Block, tip: Certificate | None, tip_hash: Hash32, *, validators: ValidatorSet, rules: ChainRules
) -> Fork | None:
    """Return the fork that a block after ours shows: it follows another block of our tip's height, and carries that one's certificate."""
    below = block.parent_certificate
    if tip is None or below is None or block.header.parent_hash == tip_hash:
        return None
    try:
        return prove_fork(tip, below, validators=validators, rules=rules)
    except InvalidInput:
        return None


def _names(addresses: tuple[Address, ...]) -> str:
    return ", ".join("0x" + address.hex() for address in addresses)
