"""RLP: one encoding for each value, and a decoder that accepts only that one.

Source: Ethereum Yellow Paper, appendix B. `decode` is made for the bytes of strangers: lengths are checked before anything is copied,
nesting and the number of items are bounded, and a non-canonical form (a long length that could be short, a single byte with a prefix,
leading zeros) is refused, so that two different byte strings never decode to one value.

`Reader` takes a decoded list apart field by field with errors that name the field. `item_span` walks over large items without
decoding what is in them. The work is done by rust/encoding, since every message of every layer passes here (ADR 22).
"""

from typing import TYPE_CHECKING, Final, TypeAlias

from metanode._engine import RLP_DEPTH_MAX, RLP_ITEMS_MAX
from metanode._engine import RlpReader as Reader
from metanode._engine import rlp_decode as decode
from metanode._engine import rlp_encode as encode
from metanode._engine import rlp_integer as integer
from metanode._engine import rlp_item_span as item_span
from metanode._engine import rlp_list_of_encoded as list_of_encoded
from metanode._engine import rlp_parse_integer as parse_integer

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DEPTH_MAX",
    "ITEMS_MAX",
    "Decoded",
    "Item",
    "Reader",
    "decode",
    "encode",
    "integer",
    "item_span",
    "list_of_encoded",
    "parse_integer",
]

Item: TypeAlias = "bytes | Sequence[Item]"
Decoded: TypeAlias = "bytes | list[Decoded]"

DEPTH_MAX: Final = RLP_DEPTH_MAX
"""Nesting of lists; the deepest of our messages has 6."""
ITEMS_MAX: Final = RLP_ITEMS_MAX
"""Strings and lists in one decoded value; the largest of our messages, a certificate of 1,000 validators, has about 2,000."""
