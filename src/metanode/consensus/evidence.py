"""Two signatures that no honest validator makes: proof against one signer, for anyone who knows the chain's domain and the height's validators.

Two rules, those of docs/spec/consensus.md, Accountability:

    equivocation       two different contents of one class in one height and round; a proposal is a prepare, so these two are one class
    forgotten commit   COMMIT in round r, and ROUND_CHANGE to a round after r that claims to have prepared nothing, or only before r

An honest validator signs a COMMIT only with the proof of that round's prepares, and carries its highest one in every later ROUND_CHANGE.
`verify_evidence` needs the two statements, the domain and the set of the height, nothing else, and is the only judge: who finds a pair may
be wrong about it, and who verifies it is not. A contract can do the same: the digests are EIP-712's.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from metanode.chain.signing import SigningDomain, recover_signer
from metanode.chain.validators import ValidatorSet
from metanode.consensus.messages import Step
from metanode.errors import InvalidInput, InvalidSignature
from metanode.primitives import rlp
from metanode.primitives.types import SIGNATURE_BYTES, ZERO_HASH, Address, Hash32, Height, Round

_ROUND_BITS: Final = 63
"""As on the wire."""
_NOTHING_PREPARED: Final = -1
"""Below every round: what a round change claims that claims nothing."""


class InvalidEvidence(InvalidInput):
    """Two statements prove nothing against a validator."""


class Rule(Enum):
    """What the signer has done."""

    EQUIVOCATION = "equivocation"
    FORGOTTEN_COMMIT = "forgotten commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One signature and the fields that were signed; height and author stand beside it."""

    step: Step
    round: Round
    """Of a ROUND_CHANGE the round it wants."""
    block_hash: Hash32
    """Of a ROUND_CHANGE the prepared hash; the zero hash when it claims nothing, as it is signed."""
    prepared_round: Round = Round(0)  # noqa: RUF009 - an int
    """Of a ROUND_CHANGE only."""
    signature: bytes

    @property
    def vote_class(self) -> Step:
        """Which statements of a round exclude each other: a proposal counts as its author's prepare."""
        return Step.PREPARE if self.step is Step.PROPOSAL else self.step

    @property
    def content(self) -> tuple[int, Hash32]:
        """What differs in two statements of one class that are not the same one."""
        return (self.prepared_round if self.step is Step.ROUND_CHANGE else 0, self.block_hash)

    @property
    def claimed_round(self) -> int:
        """Of a ROUND_CHANGE the round that it claims to have prepared last, -1 for none."""
        return _NOTHING_PREPARED if self.block_hash == ZERO_HASH else self.prepared_round

    def digest(self, domain: SigningDomain, height: Height) -> Hash32:
        """Return what was signed."""
        match self.step:
            case Step.ROUND_CHANGE:
                prepared = (self.prepared_round, self.block_hash)
                return domain.round_change(height=height, round=self.round, prepared=prepared)
            case Step.PROPOSAL:
                return domain.proposal(height=height, round=self.round, block_hash=self.block_hash)
            case Step.PREPARE:
                return domain.prepare(height=height, round=self.round, block_hash=self.block_hash)
            case Step.COMMIT:
                return domain.commit(height=height, round=self.round, block_hash=self.block_hash)

    def to_item(self) -> rlp.Item:
        """Return the fields as RLP."""
        return [
            rlp.integer(self.step),
            rlp.integer(self.round),
            self.block_hash,
            rlp.integer(self.prepared_round),
            self.signature,
        ]

    @classmethod
    def from_item(cls, item: rlp.Decoded) -> "Statement":
        """Return the statement of decoded RLP; raises InvalidEncoding that names the field."""
        fields = rlp.Reader(item, "statement")
        found = cls(
            step=Step(fields.integer("step", bits=2)),
            round=Round(fields.integer("round", bits=_ROUND_BITS)),
            block_hash=fields.hash32("block_hash"),
            prepared_round=Round(fields.integer("prepared_round", bits=_ROUND_BITS)),
            signature=fields.bytes("signature", length=SIGNATURE_BYTES),
        )
        fields.end()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A pair by one signer at one height; what it proves, `verify_evidence` says."""

    height: Height
    author: Address
    first: Statement
    second: Statement

    @property
    def round(self) -> Round:
        """Where it began: the earlier round of the two."""
        return min(self.first.round, self.second.round)

    @property
    def rule(self) -> Rule | None:
        """The rule that the pair breaks if its signatures are what they seem; None when it breaks none."""
        return find_rule(self.first, self.second)

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return rlp.encode(
            [rlp.integer(self.height), self.author, self.first.to_item(), self.second.to_item()]
        )

    @classmethod
    def decode(cls, data: bytes) -> "Evidence":
        """Return the evidence of its bytes; raises InvalidEncoding."""
        fields = rlp.Reader(rlp.decode(data, items_max=16), "evidence")
        found = cls(
            height=Height(fields.integer("height")),
            author=fields.address("author"),
            first=Statement.from_item(fields.item("first")),
            second=Statement.from_item(fields.item("second")),
        )
        fields.end()
        return found


def find_rule(first: Statement, second: Statement) -> Rule | None:
    """Return the rule that two statements of one author and height break together, in either order."""
    if first.vote_class is second.vote_class:
        is_pair = first.round == second.round and first.content != second.content
        return Rule.EQUIVOCATION if is_pair else None
    commit, change = (first, second) if first.step is Step.COMMIT else (second, first)
    if commit.step is not Step.COMMIT or change.step is not Step.ROUND_CHANGE:
        return None
    return Rule.FORGOTTEN_COMMIT if change.claimed_round < commit.round < change.round else None


def verify_evidence(evidence: Evidence, *, domain: SigningDomain, validators: ValidatorSet) -> Rule:
    """Return the rule that the author has broken. `validators` are those of the evidence's height.

    Raises:
        InvalidEvidence: when a signature is not the author's, the author no validator of the height, or the pair breaks no rule.
    """
    if evidence.author not in validators:
        raise InvalidEvidence(
            f"evidence: 0x{evidence.author.hex()} is no validator of height {evidence.height}"
        )
    for name, statement in (("first", evidence.first), ("second", evidence.second)):
        verify_statement(statement, name, height=evidence.height, author=evidence.author, domain=domain)
    rule = evidence.rule
    if rule is None:
        raise InvalidEvidence("evidence: an honest validator may sign both statements")
    return rule


def verify_statement(
    statement: Statement, name: str, *, height: Height, author: Address, domain: SigningDomain
) -> None:
    """Raise InvalidEvidence unless the author has signed exactly these fields for this height of this chain."""
    if not (0 <= statement.round < 1 << _ROUND_BITS and 0 <= statement.prepared_round < 1 << _ROUND_BITS):
        raise InvalidEvidence(f"evidence.{name}: a round is from 0 to 2^{_ROUND_BITS} - 1")
    try:
        found = recover_signer(statement.digest(domain, height), statement.signature)
    except InvalidSignature as error:
        raise InvalidEvidence(f"evidence.{name}.signature: {error}") from error
    if found != author:
        raise InvalidEvidence(f"evidence.{name}: signed by 0x{found.hex()}, not by 0x{author.hex()}")
