"""`ibft_*` with hostile parameters: each is answered or refused in words, and no store is asked for what cannot be there."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.rpc.errors import InvalidParams
from metanode.rpc.ibft import ibft_methods

if TYPE_CHECKING:
    from metanode.rpc.ibft import ChainReader

HEAD = 7
STORE_NUMBER_MAX = 2**63 - 1
"""SQLite's integers; Python raises OverflowError beyond."""


class Chain:
    """A chain of seven blocks whose store takes the numbers that SQLite takes."""

    head = HEAD

    async def header(self, height: int) -> None:
        self._check(height)

    async def validators(self, height: int) -> None:
        self._check(height)

    async def certificate(self, height: int) -> None:
        self._check(height)

    @staticmethod
    def _check(height: int) -> None:
        if height > STORE_NUMBER_MAX:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")


METHODS = ibft_methods(cast("ChainReader", Chain()))
BY_HEIGHT = ("ibft_getValidatorsByBlockNumber", "ibft_getCommitCertificate", "ibft_getSignerMetrics")
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.integers(min_value=0).map(hex)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@pytest.mark.parametrize("method", ["ibft_getValidatorsByBlockNumber", "ibft_getCommitCertificate"])
@pytest.mark.parametrize("number", ["0x9", "0x7fffffffffffffff", "0x8000000000000000", "0xffffffffffffffff"])
def test_a_block_beyond_the_next_is_null(method: str, number: str) -> None:
    assert asyncio.run(METHODS[method].handler([number])) is None  # type: ignore[arg-type] # handlers are coroutines


@pytest.mark.parametrize("method", BY_HEIGHT)
@pytest.mark.parametrize("value", [[], {}, ["latest"], {"blockNumber": "0x1"}, 1, True, 1.5])
def test_a_block_that_is_no_text_is_an_invalid_argument(method: str, value: Any) -> None:
    with pytest.raises(InvalidParams, match="invalid argument 0: expected text"):
        asyncio.run(METHODS[method].handler([value]))  # type: ignore[arg-type] # handlers are coroutines


@given(method=st.sampled_from(BY_HEIGHT), params=st.lists(JSON, max_size=3))
def test_whatever_is_asked_is_answered_or_refused_in_words(method: str, params: list[Any]) -> None:
    with contextlib.suppress(InvalidParams):
        asyncio.run(METHODS[method].handler(params))  # type: ignore[arg-type] # handlers are coroutines
