"""Consensus headers from genesis on, verified as a light client does: by their hashes, and by certificates where the validators change.

Each header names the one before it, so a certificate of a height proves all headers below it. Who may sign that certificate is known from
the headers below, too, which is why every change of the set needs a certificate of its own, of the height that announces it, by the set
that was known by then. What this rests on is that no quorum of any set of the past signs a second chain, as for a node that syncs from genesis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metanode.chain.certificate import verify_certificate
from metanode.errors import InvalidBlock, InvalidInput

if TYPE_CHECKING:
    from metanode.chain.certificate import Certificate
    from metanode.chain.genesis import Genesis
    from metanode.chain.header import ConsensusHeader
    from metanode.chain.validators import ValidatorSet


class HeaderChain:
    """The headers so far. Every method raises InvalidInput and then has changed nothing."""

    def __init__(self, genesis: Genesis) -> None:
        self._rules = genesis.rules
        self._tip = genesis.header
        self._validators = genesis.state.validators
        self._next_hash = genesis.header.next_validators_hash

    @property
    def tip(self) -> ConsensusHeader:
        """The last header."""
        return self._tip

    @property
    def validators(self) -> ValidatorSet:
        """The set that decided the tip; after a change, the one that decides the height after it."""
        return self._validators

    @property
    def awaits_validators(self) -> bool:
        """Whether the tip announces another set, which has to come, with the tip's certificate, before the next header."""
        return self._next_hash != self._validators.hash

    def extend(self, header: ConsensusHeader) -> None:
        """Add the next header."""
        if self.awaits_validators:
            raise InvalidInput(
                f"headers: height {self._tip.height} announces other validators, who must come before the next header"
            )
        for name, found, wanted in (
            ("height", header.height, self._tip.height + 1),
            ("parent_hash", header.parent_hash, self._tip.hash),
            ("chain_tag", header.chain_tag, self._rules.chain_tag),
            ("validators_hash", header.validators_hash, self._validators.hash),
        ):
            if found != wanted:
                raise InvalidBlock(
                    f"header {self._tip.height + 1}.{name}: expected {_shown(wanted)}, found {_shown(found)}"
                )
        self._tip = header
        self._next_hash = header.next_validators_hash

    def certify(self, certificate: Certificate) -> None:
        """Check the certificate of the tip: the set that was in force at its height has decided it, and so all headers below."""
        assert not self._tip.height or self._tip.validators_hash == self._validators.hash
        verify_certificate(
            certificate,
            height=self._tip.height,
            block_hash=self._tip.hash,
            validators=self._validators,
            rule=self._rules.quorum_rule,
            domain=self._rules.domain,
        )

    def change_validators(self, validators: ValidatorSet, certificate: Certificate) -> None:
        """Take the set that the tip announces, proven by the tip's certificate."""
        if not self.awaits_validators:
            raise InvalidInput(f"headers: height {self._tip.height} does not announce other validators")
        if validators.hash != self._next_hash:
            raise InvalidBlock(
                f"header {self._tip.height}.next_validators_hash: it is {_shown(self._next_hash)}, the set that came has {_shown(validators.hash)}"
            )
        self.certify(certificate)
        self._validators = validators


def _shown(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
