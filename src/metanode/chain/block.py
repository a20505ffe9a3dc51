"""A block: the consensus header, and the body that the header commits to. One encoding.

RLP [header, execution block as a string, [request, ...], parent certificate or an empty list]. Building or decoding a Block checks that
the body is the header's: execution hash and requests hash, the roots of transactions and withdrawals, the hash of the certificate. So
two blocks with one hash are one block, and an object that exists can be executed, stored and forwarded as it is.
"""

from dataclasses import InitVar, dataclass, field
from typing import Final

from metanode.chain.certificate import Certificate
from metanode.chain.execution_header import (
    EXECUTION_BYTES_MAX,
    REQUESTS_BYTES_MAX,
    ExecutionBlock,
    decode_execution_block,
    requests_hash,
    validate_requests,
)
from metanode.chain.header import ConsensusHeader
from metanode.errors import InvalidBlock, InvalidEncoding
from metanode.primitives import rlp
from metanode.primitives.types import ZERO_HASH, Hash32, Height

BLOCK_BYTES_MAX: Final = EXECUTION_BYTES_MAX + REQUESTS_BYTES_MAX + 128 * 1024
"""The longest encoding; the rest is header and certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A proposal's content, byte for byte the same in every round and on every node."""

    header: ConsensusHeader
    execution_rlp: bytes
    """The execution block as Ethereum encodes it."""
    requests: tuple[bytes, ...] = ()
    """EIP-7685 execution requests, each with its type byte."""
    parent_certificate: Certificate | None
    """Proof of the parent, as canonical as the block; None at height 1 only."""

    built: InitVar[ExecutionBlock | None] = None
    """What the own execution client has just made of these bytes: spares the check of the roots."""
    execution: ExecutionBlock = field(init=False, compare=False, repr=False)
    """What consensus reads of `execution_rlp`."""

    def __post_init__(self, built: ExecutionBlock | None) -> None:
        validate_requests(self.requests)
        execution = built or decode_execution_block(self.execution_rlp)
        header = self.header
        _same("execution_hash", header.execution_hash, execution.header.hash)
        _same("requests_hash", header.requests_hash, requests_hash(self.requests))
        _same("requests_hash of the execution header", execution.header.requests_hash, header.requests_hash)
        certificate = self.parent_certificate
        _same(
            "parent_certificate_hash",
            header.parent_certificate_hash,
            certificate.hash if certificate else ZERO_HASH,
        )
        object.__setattr__(self, "execution", execution)

    @property
    def hash(self) -> Hash32:
        """The consensus hash."""
        return self.header.hash

    @property
    def height(self) -> Height:
        """The header's height."""
        return self.header.height

    def encode(self) -> bytes:
        """Return the canonical bytes; one copy of the body."""
        return encode_block(self.header, self.execution_rlp, self.requests, self.parent_certificate)

    @classmethod
    def decode(cls, data: bytes, *, expected: Hash32 | None = None) -> "Block":
        """Return the block of its canonical bytes; raises InvalidEncoding or InvalidBlock that names what is wrong.

        With an `expected` hash a foreign header is refused before its body costs anything.
        """
        if len(data) > BLOCK_BYTES_MAX:
            raise InvalidEncoding(f"block: expected at most {BLOCK_BYTES_MAX} bytes, found {len(data)}")
        fields = rlp.Reader(rlp.decode(data, items_max=512), "block")
        header = ConsensusHeader.from_item(fields.item("header"))
        if expected is not None and header.hash != expected:
            raise InvalidBlock(f"block: expected the hash 0x{expected.hex()}, found 0x{header.hash.hex()}")
        execution_rlp = fields.bytes("execution_rlp", length_max=EXECUTION_BYTES_MAX)
        requests = rlp.Reader(fields.list("requests", length_max=256), "block.requests")
        found = tuple(requests.bytes(str(index)) for index in range(len(requests)))
        certificate = fields.list("parent_certificate", length_max=5)
        fields.end()
        return cls(
            header=header,
            execution_rlp=execution_rlp,
            requests=found,
            parent_certificate=Certificate.from_item(certificate) if certificate else None,
        )


def encode_block(
    header: ConsensusHeader,
    execution_rlp: bytes,
    requests: tuple[bytes, ...],
    parent_certificate: Certificate | None,
) -> bytes:
    """Return a block's canonical bytes from its parts, unchecked: for parts that are known to belong together."""
    certificate = parent_certificate.to_item() if parent_certificate else []
    return rlp.encode([header.to_item(), execution_rlp, list(requests), certificate])


def _same(name: str, said: bytes, found: bytes) -> None:
    if said != found:
        raise InvalidBlock(f"{name}: the header says 0x{said.hex()}, the body has 0x{found.hex()}")
