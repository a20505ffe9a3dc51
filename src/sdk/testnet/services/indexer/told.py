"""What a node says is read here: what can't be is the node's fault, and is asked for again."""

from __future__ import annotations

from typing import Any, Final

from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import JSONRPCError

TOO_LARGE: Final = -32003
"""The code of a node's refusal to say so much in one answer."""


class told:  # noqa: N801 - reads as a sentence: with told("its head")
    """What a node tells of something is read in this block; raises Unavailable where it can't be."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(
            error,
            KeyError | TypeError | ValueError | IndexError | OverflowError | AttributeError | InvalidInput,
        ):
            raise Unavailable(
                f"the node tells {self._what} in a way that is not understood: {type(error).__name__}: {error!s:.200}"
            ) from error


def is_too_large(answer: Any) -> bool:
    """Tell whether the node could not say it in one answer."""
    return isinstance(answer, JSONRPCError) and answer.code == TOO_LARGE


def require(*answers: Any) -> None:
    """Raise Unavailable where a node refused what an indexer has to know, or knows nothing of it."""
    for answer in answers:
        if isinstance(answer, JSONRPCError):
            raise Unavailable(f"the node refuses what an indexer has to know: {answer.message}")
        if answer is None:
            raise Unavailable(
                "the node does not have what it is asked for: its chain is shorter than it said"
            )
