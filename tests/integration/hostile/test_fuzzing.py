"""A short round of the fuzzer of the whole JSON-RPC surface, and that it finds what it looks for; the long one is `make fuzz-rpc`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.acceptance.processes import slowness
from tests.integration.hostile.bar import holding
from tests.integration.hostile.fuzzing import program
from tests.integration.hostile.fuzzing.mutation import encode, is_json
from tests.integration.hostile.fuzzing.surface import EVERYTHING, discover, read_document
from tests.integration.hostile.target import running_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.hostile.fuzzing.surface import Method, Surface
    from tests.integration.hostile.target import Target

pytestmark = pytest.mark.timeout(300)

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "openrpc.json"
SEED = int(os.environ.get("SEED", "1"))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A node of its own: its pool and filters are used by no other test."""
    with running_target(tmp_path_factory.mktemp("fuzzed"), server=EVERYTHING) as running:
        yield running


@pytest.fixture(scope="module")
def surface(fuzzed: Target) -> Surface:
    """What this node says that it answers."""
    return discover(fuzzed)


def test_every_method_stands_what_fits_its_schema_and_what_almost_does(
    fuzzed: Target, surface: Surface, record_property: Any
) -> None:
    print(f"SEED={SEED}")  # noqa: T201 - shown in failures
    with holding(fuzzed, record=record_property, heavy_too=True) as bar:
        findings = program.fuzz(fuzzed, surface, first_seed=SEED, examples=program.EXAMPLES_CI)
    record_property("calls", findings.calls)
    record_property("transactions accepted", findings.accepted)
    record_property("p99 of good requests, ms", round(bar.p99_s() * 1e3, 1))
    assert not findings.faults, "\n".join(findings.faults)
    assert findings.calls > len(surface.methods) * program.EXAMPLES_CI
    # Of what fits, half; three are among the values that every method draws.
    assert findings.accepted > 3
    assert bar.p99_s() < program.P99_S_MAX * slowness()


def test_the_node_describes_what_the_committed_document_does(surface: Surface) -> None:
    assert {each.name for each in surface.methods} == {each.name for each in COMMITTED.methods}


COMMITTED = read_document(json.loads(DOCUMENT.read_text()), ("0x0", "0x" + "11" * 20, "0x" + "22" * 32))


@settings(max_examples=200, database=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(COMMITTED.methods))
def test_what_is_made_from_a_schema_fits_it_and_what_is_mutated_can_be_sent(
    data: st.DataObject, method: Method
) -> None:
    valid = data.draw(COMMITTED.valid(method))
    for value, (schema, _) in zip(valid, method.params, strict=False):
        assert COMMITTED.schemas.why_not(value, schema) is None
    assert is_json(encode(valid))
    encode(data.draw(COMMITTED.mutated(method))).encode()


@given(st.sampled_from([None, 5, [], {}, "0x", "0x01 ", "0xg", {"type": 1}]))
def test_what_does_not_fit_is_told(value: Any) -> None:
    assert COMMITTED.schemas.why_not(value, {"$ref": "#/components/schemas/Hash"}) is not None


def test_a_report_says_what_was_answered_and_which_methods_gave_no_result() -> None:
    names = sorted(each.name for each in COMMITTED.methods)
    found = program.Findings(calls=3, codes={"ok": 1, "-32602": 2}, answered=set(names[1:]), accepted=1)
    shown = program.lines(found, COMMITTED, {"p99 of good requests, ms": 7.5})
    assert shown[0] == f"methods    {len(names)}, {len(names) - 1} of them with a result; without: {names[0]}"
    assert [line.split() for line in shown[1:6]] == [
        ["calls", "3"], ["-32602", "2"], ["ok", "1"], ["accepted", "1", "transactions"], ["faults", "0"],
    ]  # fmt: skip
    assert shown[6].endswith("p99 of good requests, ms 7.5")
