"""Remembers what each validator has signed at the latest heights, and finds pairs that no honest validator signs.

It is given every message whose signatures hold, also those that consensus has no use for: late ones, early ones, those of other rounds, and
the signatures inside certificates and justifications, whatever these are worth as a whole. It decides nothing; nothing depends on it.

Memory is bounded for each validator by its own statements only: so many heights, of each the newest rounds.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from metanode.chain.certificate import Certificate
from metanode.chain.validators import VALIDATORS_MAX, ValidatorSet
from metanode.consensus.evidence import Evidence, Statement, find_rule
from metanode.consensus.messages import (
    Commit,
    Prepare,
    PreparedCertificate,
    Proposal,
    RoundChange,
    RoundChangeClaim,
    SignedMessage,
    Step,
)
from metanode.errors import InvalidEncoding
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_HASH, Address, Height, Round

HEIGHTS_BEHIND_MAX: Final = 16
"""Decided heights in memory: half a minute of stragglers. The disk has more (storage.node_store.HEARD_KEPT), for when a fork comes to light."""
HEIGHTS_AHEAD_MAX: Final = 10
"""As many as early.HEIGHTS_AHEAD_MAX: a message that comes early does not come again."""
ROUNDS_MAX: Final = 64
"""Rounds of each class, of each validator: half an hour without a quorum. The newest stay."""
PROVEN_MAX: Final = 64
"""Pairs handed out against one validator at one height: whoever lies more is guilty all the same, and hides nobody else's lie."""

_STATEMENTS_MAX: Final = 3 * ROUNDS_MAX
IsMember = Callable[[Address], bool]
Heard = tuple[tuple[Address, Statement], ...]
"""What was signed at one height, by author."""


class _Book:
    """One height: of each author the first statement of each class and round."""

    __slots__ = ("_encoded", "_proven", "statements")

    def __init__(self) -> None:
        self.statements: dict[Address, dict[tuple[Step, Round], Statement]] = {}
        self._proven: dict[Address, set[tuple[Step, Round]]] = {}
        self._encoded: dict[Address, bytes] = {}

    def encode(self) -> bytes:
        """Return the statements as bytes; those of an author are encoded again only when there are more."""
        for author, own in self.statements.items():
            if author not in self._encoded:
                self._encoded[author] = rlp.encode(
                    [author, [statement.to_item() for statement in own.values()]]
                )
        return rlp.list_of_encoded(b"".join(self._encoded[author] for author in sorted(self._encoded)))

    def hear(self, height: Height, author: Address, statement: Statement) -> Evidence | None:
        """Keep a statement; return the first pair that it completes, once for each place."""
        own = self.statements.setdefault(author, {})
        place = (statement.vote_class, statement.round)
        known = own.get(place)
        if known is not None and known.content == statement.content:
            return None
        if known is None:
            own[place] = statement
            self._encoded.pop(author, None)
            _make_room(own, statement.vote_class)
        proven = self._proven.get(author, ())
        if place in proven or len(proven) >= PROVEN_MAX:
            return None
        for other in own.values():
            if find_rule(other, statement) is not None:
                self._proven.setdefault(author, set()).add(place)
                return Evidence(height=height, author=author, first=other, second=statement)
        return None


class Witness:
    """One node's memory of signatures. Owner: the core."""

    def __init__(self) -> None:
        self._books: dict[Height, _Book] = {}
        self._height = Height(0)

    def __len__(self) -> int:
        return sum(len(own) for book in self._books.values() for own in book.statements.values())

    def enter_height(self, height: Height) -> None:
        """Forget what is too old beside a height that begins."""
        self._height = height
        for old in [known for known in self._books if known < height - HEIGHTS_BEHIND_MAX]:
            del self._books[old]

    def hear(self, message: SignedMessage, is_member: IsMember) -> list[Evidence]:
        """Keep all that is signed in a message by anybody who may validate; return the pairs that this completes."""
        return self._take(message.height, _statements(message), is_member)

    def hear_prepared(
        self, height: Height, prepared: PreparedCertificate, is_member: IsMember
    ) -> list[Evidence]:
        """Keep the signatures of a prepared certificate."""
        return self._take(height, _of_prepared(prepared), is_member)

    def hear_certificate(self, certificate: Certificate, validators: ValidatorSet) -> list[Evidence]:
        """Keep the seals of a certificate that was verified with the height's set."""
        signers = certificate.addresses(validators)
        seals = (
            (
                signer,
                Statement(
                    step=Step.COMMIT,
                    round=certificate.round,
                    block_hash=certificate.block_hash,
                    signature=seal,
                ),
            )
            for signer, seal in zip(signers, certificate.seals, strict=True)
        )
        return self._take(certificate.height, seals, validators.__contains__)

    def statements(self, height: Height) -> Iterator[tuple[Address, Statement]]:
        """Return what is kept of a height, by author."""
        book = self._books.get(height)
        for author, own in sorted(book.statements.items()) if book is not None else ():
            for statement in own.values():
                yield author, statement

    def encode(self, height: Height) -> bytes:
        """Return a height as bytes, for the disk."""
        book = self._books.get(height)
        return rlp.encode([]) if book is None else book.encode()

    def restore(self, height: Height, heard: Heard) -> list[Evidence]:
        """Take back a height that a former life, or an earlier time, has given to the disk."""
        return self._take(height, heard, lambda _: True, is_old=True)

    def _take(
        self,
        height: Height,
        statements: Iterable[tuple[Address, Statement]],
        is_member: IsMember,
        *,
        is_old: bool = False,
    ) -> list[Evidence]:
        if height > self._height + HEIGHTS_AHEAD_MAX or (
            height < self._height - HEIGHTS_BEHIND_MAX and not is_old
        ):
            return []
        book = self._books.get(height)
        if book is None:
            book = self._books[height] = _Book()
        found = []
        for author, statement in statements:
            if is_member(author):
                evidence = book.hear(height, author, statement)
                if evidence is not None:
                    found.append(evidence)
        return found


def decode_heard(data: bytes) -> Heard:
    """Return the statements of `Witness.encode`; raises InvalidEncoding."""
    items = rlp.decode(data, items_max=VALIDATORS_MAX * 8 * _STATEMENTS_MAX)
    if not isinstance(items, list):
        raise InvalidEncoding("heard: expected a list")
    found = []
    for item in items:
        fields = rlp.Reader(item, "heard")
        author = fields.address("author")
        found += [
            (author, Statement.from_item(statement))
            for statement in fields.list("statements", length_max=_STATEMENTS_MAX)
        ]
        fields.end()
    return tuple(found)


def _statements(message: SignedMessage) -> Iterator[tuple[Address, Statement]]:
    """Yield everything that is signed in a message; `wire.decode` has recovered each author."""
    match message:
        case Prepare():
            yield message.author, _vote(Step.PREPARE, message)
        case Commit():
            yield message.author, _vote(Step.COMMIT, message)
        case RoundChange():
            yield _of_claim(message.round, message.claim)
            if message.prepared is not None:
                yield from _of_prepared(message.prepared)
        case Proposal():
            yield message.author, _vote(Step.PROPOSAL, message)
            justification = message.justification
            if justification is not None:
                for claim in justification.claims:
                    yield _of_claim(message.round, claim)
                if justification.prepared is not None:
                    yield from _of_prepared(justification.prepared)


def _vote(step: Step, message: Proposal | Prepare | Commit) -> Statement:
    return Statement(
        step=step, round=message.round, block_hash=message.block_hash, signature=message.signature
    )


def _of_claim(round_: Round, claim: RoundChangeClaim) -> tuple[Address, Statement]:
    prepared_round, prepared_hash = claim.prepared or (Round(0), ZERO_HASH)
    statement = Statement(
        step=Step.ROUND_CHANGE,
        round=round_,
        block_hash=prepared_hash,
        prepared_round=prepared_round,
        signature=claim.signature,
    )
    return claim.author, statement


def _of_prepared(prepared: PreparedCertificate) -> Iterator[tuple[Address, Statement]]:
    for step, seal in (
        (Step.PROPOSAL, prepared.proposal),
        *((Step.PREPARE, seal) for seal in prepared.prepares),
    ):
        statement = Statement(
            step=step, round=prepared.round, block_hash=prepared.block_hash, signature=seal.signature
        )
        yield seal.author, statement


def _make_room(own: dict[tuple[Step, Round], Statement], kind: Step) -> None:
    """Drop the oldest round of a class that has too many."""
    if len(own) <= ROUNDS_MAX:
        return
    rounds = [round_ for step, round_ in own if step is kind]
    if len(rounds) > ROUNDS_MAX:
        del own[kind, min(rounds)]
