"""What is left when several tasks of a group ended together."""

from __future__ import annotations

from metanode.errors import MetanodeError


def leaves_of(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Return the exceptions in a group and in its groups, in their order."""
    found: list[BaseException] = []
    for one in group.exceptions:
        found += leaves_of(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found


class raise_first:  # noqa: N801 - reads as a sentence: with raise_first()
    """Of several tasks that ended together in this block the first reason is raised, what nobody expected before all others."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BaseExceptionGroup):
            reasons = leaves_of(error)
            for reason in reasons:
                if not isinstance(reason, MetanodeError):
                    raise reason
            raise reasons[0]
