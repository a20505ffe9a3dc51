"""A JSON-RPC method of ours: who answers it, and what is said of it in the OpenRPC document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    Handler = Callable[[Sequence[Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """One method, declared where it is answered."""

    signature: str
    """What it takes and gives: `(block: BlockNumber, full?: Boolean) -> Address[] | null`. The types are those of
    rust/openrpc/src/schemas.json."""
    summary: str
    """What the result says, as a sentence."""
    handler: Handler


def declarations(methods: Mapping[str, Method]) -> list[tuple[str, str, str]]:
    """Name, signature and summary of each, as the compiled server takes them."""
    return [(name, method.signature, method.summary) for name, method in methods.items()]
