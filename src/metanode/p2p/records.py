"""The validator records we know: one for each validator, the one with the highest `seq`.

Pure. A record is kept only for a validator of the current or next set, so there are never more of them than validators.
"""

from collections.abc import Iterable

from metanode.errors import InvalidInput
from metanode.p2p.errors import PeerFault
from metanode.p2p.proofs import ValidatorRecord, validate_record
from metanode.primitives.types import Address, Hash32


class RecordBook:
    """See the module."""

    def __init__(self, genesis_hash: Hash32, chain_id: int) -> None:
        self._genesis_hash = genesis_hash
        self._chain_id = chain_id
        self._records: dict[Address, ValidatorRecord] = {}

    def __len__(self) -> int:
        return len(self._records)

    def get(self, address: Address) -> ValidatorRecord | None:
        """Return the record of a validator."""
        return self._records.get(address)

    def all(self) -> list[ValidatorRecord]:
        """Return every record."""
        return list(self._records.values())

    def add(self, record: ValidatorRecord, validators: frozenset[Address]) -> bool:
        """Keep a record when it is newer; return whether it was. Raises PeerFault unless the validator has signed it."""
        if record.address not in validators:
            return False
        known = self._records.get(record.address)
        if known is not None and known.seq >= record.seq:
            return False
        try:
            validate_record(record, self._genesis_hash, self._chain_id)
        except InvalidInput as error:
            raise PeerFault(str(error)) from error
        self._records[record.address] = record
        return True

    def retain(self, validators: Iterable[Address]) -> None:
        """Forget validators that left the set."""
        kept = set(validators)
        self._records = {address: record for address, record in self._records.items() if address in kept}
