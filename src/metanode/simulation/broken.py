"""How an invariant or a claim says that it does not hold."""


class InvariantBroken(AssertionError):  # noqa: N818 - says what happened
    """The protocol, or this program, is wrong."""


def find_broken(error: BaseException) -> InvariantBroken | None:
    """Return the first broken invariant in an exception or in groups of them."""
    if isinstance(error, InvariantBroken):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := find_broken(inner))), None)
    return None
