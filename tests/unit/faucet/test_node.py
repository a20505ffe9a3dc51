"""What a node answers: a refusal of the recipient is one thing, everything that can't be used is a node that is away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from metanode.errors import Unavailable
from metanode.primitives.types import Address
from metanode.rpc.errors import ExecutionReverted, JSONRPCError, MethodNotFound
from sdk.testnet.faucet.node import RETRY_FIRST_S, NodeOrder, PayingNode, RecipientRefuses

if TYPE_CHECKING:
    from collections.abc import Callable

PAYER, RECIPIENT = Address(b"\1" * 20), Address(b"\2" * 20)
HASH = b"\3" * 32


class Told:
    """A node that answers everything with the same."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def call(self, *_: Any) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def batch(self, calls: Any) -> list[Any]:
        return [self._answer for _ in calls]


def node(answer: Any) -> Any:
    told: Any = Told(answer)
    return PayingNode(told)


async def test_only_a_recipient_s_own_refusal_takes_its_coins_back() -> None:
    with pytest.raises(RecipientRefuses, match="does not take coins"):
        await node(ExecutionReverted("execution reverted")).gas_of_transfer(PAYER, RECIPIENT, 1)
    with pytest.raises(RecipientRefuses, match="wants 90,000 gas"):
        await node(hex(90_000)).gas_of_transfer(PAYER, RECIPIENT, 1)
    assert await node(hex(21_000)).gas_of_transfer(PAYER, RECIPIENT, 1) == 21_000


@pytest.mark.parametrize(
    ("estimate", "limit"), [(21_000, 21_000), (21_001, 26_251), (40_000, 50_000), (48_000, 51_000), (51_000, 51_000)]
)  # fmt: skip
async def test_a_transfer_has_a_quarter_more_gas_than_it_takes_and_never_over_the_bound(
    estimate: int, limit: int
) -> None:
    """What one transfer takes to the unit needs no more; a recipient's code may take more in its block than it did when it was asked."""
    assert await node(hex(estimate)).gas_of_transfer(PAYER, RECIPIENT, 1) == limit


class Script:
    """A node that refuses what goes to the recipient so often, in these words, and estimates everything else."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    async def call(self, _: str, call: dict[str, str]) -> str:
        if call["to"] == "0x" + RECIPIENT.hex() and self.refusals:
            self.refusals -= 1
            raise JSONRPCError("precompile error")
        return hex(21_000)


async def test_code_that_fails_without_a_revert_refuses_where_the_node_estimates_others() -> None:
    failing: Any = Script(refusals=2)
    with pytest.raises(RecipientRefuses, match="does not take coins: precompile error"):
        await PayingNode(failing).gas_of_transfer(PAYER, RECIPIENT, 1)
    unwell: Any = Script(refusals=1)
    assert await PayingNode(unwell).gas_of_transfer(PAYER, RECIPIENT, 1) == 21_000


@pytest.mark.parametrize("error", [JSONRPCError("header not found"), MethodNotFound("eth_estimateGas")])
async def test_a_node_that_does_not_estimate_is_away(error: Exception) -> None:
    with pytest.raises(Unavailable):
        await node(error).gas_of_transfer(PAYER, RECIPIENT, 1)


@pytest.mark.parametrize("answer", [{}, [], "nonsense", "0xzz", 7, {"number": "0x1"}, {"status": None}])
@pytest.mark.parametrize(
    "ask",
    [
        lambda found: found.identity(),
        lambda found: found.standing(PAYER),
        lambda found: found.recipient(RECIPIENT),
        lambda found: found.codes([RECIPIENT]),
        lambda found: found.gas_of_transfer(PAYER, RECIPIENT, 1),
        lambda found: found.receipts([HASH]),
    ],
    ids=["identity", "standing", "recipient", "codes", "gas", "receipts"],
)
async def test_nonsense_is_a_node_that_is_away(answer: Any, ask: Callable[[PayingNode], Any]) -> None:
    with pytest.raises(Unavailable, match="can't be read"):
        await ask(node(answer))


async def test_a_receipt_that_is_not_there_is_no_nonsense() -> None:
    assert await node(None).receipts([HASH]) == {}


def test_a_node_that_did_not_answer_is_asked_last_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [1_000.0]
    monkeypatch.setattr("sdk.testnet.faucet.node.time.monotonic", lambda: now_s[0])
    order = NodeOrder()
    assert order.of(3) == [0, 1, 2]
    order.did_not_answer(0)
    assert order.of(3) == [1, 2, 0]
    now_s[0] += RETRY_FIRST_S
    assert order.of(3) == [0, 1, 2]
