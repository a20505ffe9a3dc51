"""Rows 9 to 11: questions whose answers would take for ever, or all memory."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import slowness, wait_until
from tests.integration.hostile import wire
from tests.integration.hostile.bar import holding
from tests.integration.hostile.gauges import gauge
from tests.integration.hostile.logs import write_logs
from tests.integration.hostile.target import LOGGER

if TYPE_CHECKING:
    from tests.integration.hostile.target import Target

pytestmark = pytest.mark.timeout(180)

SEARCH_S_MAX = 0.2
CALL_S_MAX = 5.0
"""Of one call that runs, and so of a good one of another caller, whose turn is next."""
LOOPS = 16
STAYS_BYTES_MAX = 8 * 10**6
"""Of what traces took, after a while."""
DEEP_MEMORY_BYTES_MAX = 40 * 10**6
"""Of the process for 22 MiB of memory in calls; twice that is what it must not be."""
GAS_MAX = hex(2**64 - 1)
SOMEWHERE = "0x" + "77" * 20

LOOP = "5b5f56"
RECURSION = "5f5f5f5f5f305af1" + "00"
"""Calls itself with all its gas, until the depth of 1,024 or the gas ends."""
WIDE_RECURSION = "5b" + "5f5f5f5f5f305af150" + "5f56"
"""The same in a loop: a tree of calls."""
MEMORY = "5f" + "65010000000000" + "52"
"""Writes at 2^40."""
HASHING = "5b" + "6207a120" + "5f20" + "50" + "5f56"
"""Hashes 500,000 bytes again and again."""
PRECOMPILE = "5b" + "5f5f" + "6103005f" + "60085afa50" + "5f56"
"""A pairing of zeros in a loop."""
TRANSIENT = "5f" + "5b" + "600101" + "8080" + "5d" + "6001" + "56"
"""Writes one transient slot after the other."""
CHANGES = "5f" + "5b" + "600101" + "80" + "5f" + "55" + "6001" + "56"
"""Writes one slot again and again."""
DEEP_MEMORY = "5f" + "620493e0" + "53" + "5f5f5f5f5f305af1" + "00"
"""Takes 300,000 bytes and calls itself."""
STRAIGHT_SLOTS = "58585d" * 150_000
"""Transient slots without a jump."""
RETURNS_5_MB = "624c0000" + "5ff3"
RETURNS_4_MB = "623fffff" + "5ff3"
REVERTS_4_MB = "623fffff" + "5ffd"
OUT_OF_GAS = ("loop", "wide recursion", "memory", "hashing", "precompile")


def call_of(code: str, **more: Any) -> list[Any]:
    """Parameters of a call of this code, with all the gas there is."""
    return [{"to": SOMEWHERE, "gas": GAS_MAX, **more}, "latest", {SOMEWHERE: {"code": "0x" + code}}]


def overrides(count: int) -> dict[str, Any]:
    """So many accounts with another balance."""
    return {f"0x{number:040x}": {"balance": "0x1"} for number in range(0x1000, 0x1000 + count)}


def test_row_09_searches_without_bounds_are_refused_at_once(target: Target, record_property: Any) -> None:
    block = write_logs(target, 10_001)
    addresses = [f"0x{number:040x}" for number in range(10_000)]
    topics = [f"0x{number:064x}" for number in range(10_000)]
    cases: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
        ("more logs than an answer holds", {"fromBlock": "0x0", "toBlock": "latest"}, (-32005,)),
        ("the same block alone", {"fromBlock": hex(block), "toBlock": hex(block)}, (-32005,)),
        ("backwards", {"fromBlock": "0x2", "toBlock": "0x1"}, (-32602,)),
        ("far beyond the head", {"fromBlock": "0x0", "toBlock": "0xffffff"}, (-32602,)),
        ("to the last number", {"fromBlock": "0x0", "toBlock": GAS_MAX}, (-32602,)),
        ("from the last number", {"fromBlock": GAS_MAX, "toBlock": GAS_MAX}, (-32602,)),
        ("2^256", {"fromBlock": hex(2**256), "toBlock": "latest"}, (-32602,)),
        ("10,000 addresses", {"address": addresses}, (-32602,)),
        ("10,000 topics at one place", {"topics": [topics]}, (-32602,)),
        ("five places", {"topics": [None] * 5}, (-32602,)),
        ("100,000 places", {"topics": [None] * 100_000}, (-32602,)),
        ("a hash and a range", {"blockHash": "0x" + "00" * 32, "toBlock": "latest"}, (-32602,)),
        ("an unknown block", {"blockHash": "0x" + "00" * 32}, (-32000,)),
    ]
    with holding(target, record=record_property) as bar, wire.open_websocket(target.port) as websocket:
        for desc, criteria, codes in cases:
            for _ in range(3):
                reply = bar.saw(wire.ask(target.port, "eth_getLogs", [criteria]))
                assert reply.code in codes, (desc, reply.body[:300])
                assert reply.took_s < SEARCH_S_MAX * slowness(), f"{desc} took {reply.took_s:.3f} s"
        for desc, criteria, codes in cases:
            if codes != (-32602,) or "beyond" in desc or "number" in desc:
                continue
            assert bar.saw(wire.ask(target.port, "eth_newFilter", [criteria])).code == -32602, desc
            assert bar.saw(websocket.ask("eth_subscribe", ["logs", criteria]))["error"]["code"] == -32602, (
                desc
            )


def test_row_10_code_without_an_end_runs_out_of_gas_or_time_and_others_are_served(
    target: Target, record_property: Any
) -> None:
    """Each by itself; then sixteen at once, while another caller runs code too."""
    codes = {
        "loop": LOOP, "recursion": RECURSION, "wide recursion": WIDE_RECURSION, "memory": MEMORY, "hashing": HASHING, "precompile": PRECOMPILE,
    }  # fmt: skip
    with holding(target, record=record_property) as bar:
        for desc, code in codes.items():
            for method in ("eth_call", "eth_estimateGas", "eth_createAccessList"):
                reply = bar.saw(wire.ask(target.port, method, call_of(code)))
                assert reply.took_s < CALL_S_MAX * slowness(), f"{method} of {desc} took {reply.took_s:.1f} s"
                if desc in OUT_OF_GAS and method == "eth_call":
                    assert reply.code == -32000, (desc, reply.body[:200])
                    assert "out of gas" in reply.message or "timeout" in reply.message, (desc, reply.message)
                else:
                    assert reply.code in (None, -32000), (desc, method, reply.body[:200])
    # Callers take turns: who sends sixteen on one connection is one of them. What runs no code waits for none of it, which is the bar.
    with holding(target, record=record_property) as bar, wire.open_websocket(target.port) as websocket:
        for number in range(LOOPS):
            websocket.say(wire.request("eth_call", call_of(LOOP), number))
        wait_until(
            lambda: gauge(target, "metanode_rpc_in_flight") >= 2,
            within_s=CALL_S_MAX,
            what="loops run on both threads for costly calls",
        )
        good = wire.ask(target.port, "eth_call", [{"to": SOMEWHERE}])
        assert good.code is None, good.body[:200]
        record_property("a good call beside sixteen loops, s", round(good.took_s, 2))
        assert good.took_s < CALL_S_MAX * slowness(), f"a good call beside loops took {good.took_s:.1f} s"
        answers = [bar.saw(websocket.read()) for _ in range(LOOPS)]
        assert {answer["id"] for answer in answers} == set(range(LOOPS))
        assert {answer["error"]["code"] for answer in answers} == {-32000}


def test_row_10_answers_of_megabytes_are_bounded_in_sum(target: Target, record_property: Any) -> None:
    """A hundred calls in one batch, each of which returns, or reverts with, four megabytes.

    All that calls hold together has one bound: the memory of the code that runs, what it returns, its text, and answers that wait. 30 MB were
    measured; nothing of it stays.
    """
    with holding(target, record=record_property) as bar:
        for code in (RETURNS_4_MB, REVERTS_4_MB):
            batch = "[" + ",".join([wire.request("eth_call", call_of(code))] * 100) + "]"
            reply = wire.post(target.port, batch)
            assert len(reply.body) <= 11 * 2**20, f"a batch is answered with {len(reply.body) / 1e6:.0f} MB"
            answers = reply.json()
            # Too large together, or no room for them. Two are computed at once, so the one that is given need not be the first.
            codes = [answer.get("error", {}).get("code") for answer in answers]
            assert len([code for code in codes if code not in {-32003, -32005}]) <= 1, codes
            bar.saw([answer.get("error", {}).get("message") for answer in answers])


def much_memory() -> dict[str, tuple[str, list[Any]]]:
    """Calls of which each takes what it can get."""
    call = {"to": SOMEWHERE, "gas": GAS_MAX}
    logging = {"to": LOGGER, "gas": GAS_MAX, "data": f"0x{60_000:064x}"}
    deep = {"stateOverrides": {SOMEWHERE: {"code": "0x" + WIDE_RECURSION}}, "tracer": "callTracer"}
    changing = {"stateOverrides": {SOMEWHERE: {"code": "0x" + CHANGES}}, "tracer": "prestateTracer"}
    returning = [
        {
            "stateOverrides": {SOMEWHERE: {"code": "0x62030000" + "5ff3"}},
            "calls": [{"to": SOMEWHERE, "gas": hex(200_000)}] * 150,
        }
    ]
    writing = [{"calls": [{"to": LOGGER, "input": f"0x{40_000:064x}"}] * 2}]
    return {
        "transient slots": ("eth_call", call_of(TRANSIENT)),
        "changes": ("eth_call", call_of(CHANGES)),
        "deep memory": ("eth_call", call_of(DEEP_MEMORY)),
        "transient slots without a jump": ("eth_call", call_of(STRAIGHT_SLOTS)),
        "five megabytes returned": ("eth_call", call_of(RETURNS_5_MB)),
        "transient slots, estimated": ("eth_estimateGas", call_of(TRANSIENT)),
        "a tree of calls": ("debug_traceCall", [call, "latest", deep]),
        "changes, traced": ("debug_traceCall", [call, "latest", changing]),
        "opcodes": ("debug_traceCall", [logging, "latest", {"enableMemory": True}]),
        "opcodes, Parity's": ("trace_call", [logging, ["trace", "vmTrace", "stateDiff"], "latest"]),
        "outputs of a simulation": ("eth_simulateV1", [{"blockStateCalls": returning}, "latest"]),
        "logs of a simulation": ("eth_simulateV1", [{"blockStateCalls": writing}, "latest"]),
    }  # fmt: skip


@pytest.mark.parametrize("kind", much_memory())
def test_row_10_calls_that_take_much_memory_are_bounded_in_sum(
    target: Target, record_property: Any, kind: str
) -> None:
    """Sixteen of a kind, eight at once; what finds no room is told so, and a call of ordinary size is always answered."""
    method, params = much_memory()[kind]
    text = wire.request(method, params)
    with holding(target, record=record_property, heavy_too=True) as bar, ThreadPoolExecutor(8) as pool:
        for reply in pool.map(lambda _: wire.post(target.port, text), range(16)):
            # 503: no room for a large request.
            assert reply.status == 503 or reply.code in (None, 3, -32000, -32003, -32005), reply.body[:300]
            bar.saw(reply)
    if kind == "five megabytes returned":
        wait_until(
            lambda: wire.post(target.port, text).code is None, within_s=5.0, what="alone it has its room"
        )


def test_row_10_deep_memory_takes_no_more_where_traces_have_been(
    target: Target, record_property: Any
) -> None:
    """Traces leave room in the heaps. Memory of code that grew into it left the pages of every place that it grew out of: 52 MB, now 26."""
    traces, deep = (wire.request(*much_memory()[kind]) for kind in ("a tree of calls", "deep memory"))
    quiet_bytes = target.memory_bytes()
    with ThreadPoolExecutor(8) as pool:
        for reply in pool.map(lambda _: wire.post(target.port, traces), range(16)):
            assert reply.code in (None, -32003, -32005), reply.body[:300]
        wait_until(
            lambda: target.memory_bytes() < quiet_bytes + STAYS_BYTES_MAX,
            within_s=20.0,
            what="what the traces took has gone back to the system",
        )
        with holding(target, record=record_property, heavy_too=True) as bar:
            for reply in pool.map(lambda _: wire.post(target.port, deep), range(16)):
                assert reply.code == -32005, reply.body[:300]
                bar.saw(reply)
    grown = target.memory_peak_bytes() - bar.memory_before_bytes
    assert grown <= DEEP_MEMORY_BYTES_MAX, f"deep memory took {grown / 1e6:.0f} MB"


def test_row_11_ten_thousand_overrides_are_refused(target: Target, record_property: Any) -> None:
    many = overrides(10_000)
    slots = {SOMEWHERE: {"stateDiff": {f"0x{number:064x}": "0x" + "11" * 32 for number in range(6_000)}}}
    call = {"to": SOMEWHERE}
    with holding(target, record=record_property) as bar:
        for method in ("eth_call", "eth_estimateGas", "eth_createAccessList"):
            for given in (many, slots):
                assert len(json.dumps(given)) < 2**20
                reply = bar.saw(wire.ask(target.port, method, [call, "latest", given]))
                assert reply.code == -32005, (method, reply.body[:200])
                assert reply.took_s < 0.5 * slowness(), f"{method} took {reply.took_s:.2f} s"
            assert wire.ask(target.port, method, [call, "latest", overrides(4_000)]).code is None
        half = {key: many[key] for key in list(many)[:3_000]}
        for given in ([many], [slots], [half, half]):
            blocks = [{"stateOverrides": each, "calls": [call]} for each in given]
            reply = bar.saw(wire.ask(target.port, "eth_simulateV1", [{"blockStateCalls": blocks}, "latest"]))
            assert reply.code == -32005, reply.body[:200]
            assert reply.took_s < 0.5 * slowness(), f"eth_simulateV1 took {reply.took_s:.2f} s"
        allowed = [{"stateOverrides": overrides(4_000), "calls": [call]}]
        assert wire.ask(target.port, "eth_simulateV1", [{"blockStateCalls": allowed}, "latest"]).code is None
        keys = [f"0x{number:x}" for number in range(10_000)]
        assert bar.saw(wire.ask(target.port, "eth_getProof", [SOMEWHERE, keys, "latest"])).code == -32602
        values = {SOMEWHERE: [f"0x{number:064x}" for number in range(10_000)]}
        assert bar.saw(wire.ask(target.port, "eth_getStorageValues", [values, "latest"])).code == -38026
        listed = [{"address": LOGGER, "storageKeys": [f"0x{number:064x}" for number in range(10_000)]}]
        reply = bar.saw(wire.ask(target.port, "eth_call", [{**call, "accessList": listed}]))
        assert reply.code in (None, -32000), reply.body[:200]
