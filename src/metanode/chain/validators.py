"""The validators of a height, in the one order that bitmaps and rotations use: ascending by address."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from metanode.chain.quorum import QuorumRule, Tolerance
from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_ADDRESS, Address, Hash32

VALIDATORS_MAX: Final = 1000
"""A certificate of 1,000 has 65 KB and verifies in 50 ms; published networks of this kind have at most 200."""
TOTAL_POWER_BOUND: Final = 2**60
"""Total power stays below this, so that contracts and clients with 64-bit arithmetic can multiply it by three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """One validator and its voting power."""

    address: Address
    power: int = 1
    """At least 1; always 1 with proof of authority."""


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """Who decides a height. Built only through `of` and `decode`, so it is ordered, distinct and within bounds."""

    validators: tuple[Validator, ...]
    total_power: int = field(init=False, repr=False, compare=False)
    """Sum of the powers, below 2^60."""
    hash: Hash32 = field(init=False, repr=False, compare=False)
    """keccak256 of the set's RLP: the header's `validators_hash`."""
    encoded: bytes = field(init=False, repr=False, compare=False)
    """The set's RLP, kept because every state holds three sets that seldom change."""
    _positions: dict[Address, int] = field(init=False, repr=False, compare=False)
    _powers: dict[Address, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _validate(self.validators)
        object.__setattr__(self, "total_power", sum(validator.power for validator in self.validators))
        object.__setattr__(self, "encoded", rlp.encode(self.to_item()))
        object.__setattr__(self, "hash", keccak256(self.encoded))
        object.__setattr__(self, "_positions", {v.address: i for i, v in enumerate(self.validators)})
        object.__setattr__(self, "_powers", {v.address: v.power for v in self.validators})

    @classmethod
    def of(cls, validators: Iterable[Validator]) -> "ValidatorSet":
        """Return the set of these validators in any order; raises InvalidInput that says what is wrong."""
        return cls(tuple(sorted(validators, key=lambda validator: validator.address)))

    @classmethod
    def of_addresses(cls, addresses: Iterable[Address]) -> "ValidatorSet":
        """Return a set of equal validators."""
        return cls.of(Validator(address=address) for address in addresses)

    @classmethod
    def from_item(cls, item: rlp.Decoded, name: str = "validators") -> "ValidatorSet":
        """Return the set of decoded RLP; raises InvalidInput unless it is in order."""
        if isinstance(item, bytes):
            raise InvalidInput(f"{name}: expected a list, found a string")
        if len(item) > VALIDATORS_MAX:
            raise InvalidInput(f"{name}: expected at most {VALIDATORS_MAX} validators, found {len(item)}")
        found = []
        for index, entry in enumerate(item):
            fields = rlp.Reader(entry, f"{name}[{index}]")
            found.append(Validator(address=fields.address("address"), power=fields.integer("power")))
            fields.end()
        return cls(tuple(found))

    def to_item(self) -> rlp.Item:
        """Return the set as RLP: [[address, power], ...]."""
        return [[validator.address, rlp.integer(validator.power)] for validator in self.validators]

    def __hash__(self) -> int:
        return hash(self.hash)

    def __len__(self) -> int:
        return len(self.validators)

    def __iter__(self) -> Iterator[Validator]:
        return iter(self.validators)

    def __contains__(self, address: object) -> bool:
        return address in self._positions

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses, ascending."""
        return tuple(self._positions)

    def position(self, address: Address) -> int:
        """Return the validator's place in the order; raises KeyError for a stranger."""
        return self._positions[address]

    def power(self, address: Address) -> int:
        """Return the validator's power, 0 for a stranger."""
        return self._powers.get(address, 0)

    def weight(self, addresses: Iterable[Address]) -> int:
        """Return the power of the distinct addresses together; strangers count nothing."""
        powers = self._powers
        return sum(map(powers.__getitem__, powers.keys() & addresses))

    def is_quorum(self, addresses: Iterable[Address], rule: QuorumRule) -> bool:
        """Tell whether these signers decide."""
        return rule.is_quorum(self.weight(addresses), self.total_power)

    def has_honest(self, addresses: Iterable[Address], rule: QuorumRule) -> bool:
        """Tell whether at least one of these signers must be honest."""
        return rule.has_honest(self.weight(addresses), self.total_power)

    def tolerance(self, rule: QuorumRule) -> Tolerance:
        """Return what the set survives."""
        return rule.tolerance(validator.power for validator in self.validators)

    def adding(self, address: Address) -> "ValidatorSet":
        """Return the set with one more validator of power 1."""
        return ValidatorSet.of((*self.validators, Validator(address=address)))

    def dropping(self, address: Address) -> "ValidatorSet":
        """Return the set without one validator."""
        return ValidatorSet(tuple(v for v in self.validators if v.address != address))


def _validate(validators: tuple[Validator, ...]) -> None:
    if not 1 <= len(validators) <= VALIDATORS_MAX:
        raise InvalidInput(f"validators: expected 1 to {VALIDATORS_MAX}, found {len(validators)}")
    total = 0
    previous: Address | None = None
    for index, validator in enumerate(validators):
        if len(validator.address) != 20 or validator.address == ZERO_ADDRESS:
            raise InvalidInput(
                f"validators[{index}].address: expected 20 bytes other than zero, found 0x{validator.address.hex()}"
            )
        if previous is not None and validator.address == previous:
            raise InvalidInput(f"validators[{index}].address: 0x{validator.address.hex()} stands here twice")
        if previous is not None and validator.address < previous:
            raise InvalidInput(f"validators[{index}].address: expected ascending order")
        if validator.power < 1:
            raise InvalidInput(f"validators[{index}].power: expected at least 1, found {validator.power}")
        previous = validator.address
        total += validator.power
    if total >= TOTAL_POWER_BOUND:
        raise InvalidInput(f"validators: expected a total power below 2^60, found {total}")
