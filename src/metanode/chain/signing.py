"""What validators sign: EIP-712 digests, so that contracts can check them and no transaction can be mistaken for one.

digest = keccak256(0x1901 || domain separator || struct hash). The domain holds the chain id and, as its salt, the consensus genesis
hash: two networks share no signature, even with one allocation and one chain id. Each message type has its own type hash. The COMMIT
signature is the seal that goes into the certificate.
"""

import functools
from dataclasses import dataclass, field
from typing import Final

from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import recover_address
from metanode.primitives.types import ZERO_HASH, Address, Hash32, Height, Round

DOMAIN_NAME: Final = "Metanode IBFT"
DOMAIN_VERSION: Final = "1"

_DOMAIN_TYPE: Final = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)")
_PROPOSAL_TYPE: Final = keccak256(b"Proposal(uint64 height,uint64 round,bytes32 blockHash)")
_PREPARE_TYPE: Final = keccak256(b"Prepare(uint64 height,uint64 round,bytes32 blockHash)")
_COMMIT_TYPE: Final = keccak256(b"Commit(uint64 height,uint64 round,bytes32 blockHash)")
_ROUND_CHANGE_TYPE: Final = keccak256(
    b"RoundChange(uint64 height,uint64 round,uint64 preparedRound,bytes32 preparedHash)"
)

_SIGNERS_REMEMBERED: Final = 8192
"""A height of 1,000 validators has 2,000 votes; most networks have under 100."""

_DIGESTS_REMEMBERED: Final = 256
"""A round that goes well has three, and who lies with more pays 10 us for each as before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningDomain:
    """The network to which a signature belongs."""

    chain_id: int
    genesis_hash: Hash32
    """Consensus hash of the genesis header."""
    separator: Hash32 = field(init=False, repr=False, compare=False)
    """The EIP-712 domain separator."""

    def __post_init__(self) -> None:
        name, version = keccak256(DOMAIN_NAME.encode()), keccak256(DOMAIN_VERSION.encode())
        words = _DOMAIN_TYPE + name + version + self.chain_id.to_bytes(32, "big") + self.genesis_hash
        object.__setattr__(self, "separator", keccak256(words))

    def proposal(self, *, height: Height, round: Round, block_hash: Hash32) -> Hash32:
        """Return the digest of a PROPOSAL."""
        return self.digest(_PROPOSAL_TYPE, height, round, block_hash)

    def prepare(self, *, height: Height, round: Round, block_hash: Hash32) -> Hash32:
        """Return the digest of a PREPARE."""
        return self.digest(_PREPARE_TYPE, height, round, block_hash)

    def commit(self, *, height: Height, round: Round, block_hash: Hash32) -> Hash32:
        """Return the digest of a COMMIT: its signature is the commit seal."""
        return self.digest(_COMMIT_TYPE, height, round, block_hash)

    def round_change(self, *, height: Height, round: Round, prepared: tuple[Round, Hash32] | None) -> Hash32:
        """Return the digest of a ROUND_CHANGE to `round`; `prepared` is the round and the hash of the sender's prepared block.

        None is signed as round 0 with the zero hash, which no block has.
        """
        prepared_round, prepared_hash = prepared or (0, ZERO_HASH)
        return self.digest(_ROUND_CHANGE_TYPE, height, round, prepared_round, prepared_hash)

    def digest(self, type_hash: Hash32, *words: int | bytes) -> Hash32:
        """Return the EIP-712 digest of a struct of numbers and 32-byte words; other layers define their own types with it."""
        return _digest(self.separator, type_hash, *words)


@functools.lru_cache(maxsize=_DIGESTS_REMEMBERED)
def _digest(separator: Hash32, type_hash: Hash32, *words: int | bytes) -> Hash32:
    """Return the digest. Remembers, for all validators sign the same of a block."""
    encoded: list[bytes] = [type_hash]
    for word in words:
        encoded.append(word.to_bytes(32, "big") if isinstance(word, int) else word)
        assert len(encoded[-1]) == 32, len(encoded[-1])
    return keccak256(b"\x19\x01" + separator + keccak256(b"".join(encoded)))


@functools.lru_cache(maxsize=_SIGNERS_REMEMBERED)
def recover_signer(digest: Hash32, signature: bytes) -> Address:
    """Return who signed the digest; raises InvalidSignature. Remembers, for a seal is seen as a COMMIT and again in certificates."""
    return recover_address(digest, signature)
