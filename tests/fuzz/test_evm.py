"""A short campaign against the specification, and that the fuzzer finds, makes small and saves what is wrong."""

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fuzz.assembly import NAMES, instructions
from tests.fuzz.campaign import lines, run_campaign
from tests.fuzz.curves import BLS_G1, BLS_G2, BN_G1, BN_G2, P256, Curve
from tests.fuzz.drawing import draw_scenario
from tests.fuzz.playing import play
from tests.fuzz.reference import Reference, ReferenceAbsent, ReferenceFailed, install
from tests.fuzz.scenario import Scenario, Way, load, save
from tests.fuzz.shrink import shrink, size

SEED = 5
RUNS = 45
TRANSITIONS_MIN = 200


@pytest.fixture(scope="session")
def python() -> Path:
    try:
        return install()
    except ReferenceAbsent as absent:
        pytest.skip(str(absent))


@pytest.fixture
def specification(python: Path) -> Iterator[Reference]:
    with Reference(python) as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_we_and_the_specification_agree_on_random_chains(python: Path, tmp_path: Path) -> None:
    scenarios = (draw_scenario(SEED, run) for run in range(RUNS))

    tally = run_campaign(scenarios, python, jobs=1, directory=tmp_path)

    table = "\n".join(lines(tally))
    assert [str(found.finding) for found in tally.found] == [], table
    assert tally.undecided == [], table
    assert tally.transitions >= TRANSITIONS_MIN, table
    assert len(NAMES) - len(tally.missed_operations) >= 135, table


def test_a_seed_gives_the_same_scenario_again() -> None:
    assert draw_scenario(3, 4) == draw_scenario(3, 4)
    assert draw_scenario(3, 4) != draw_scenario(3, 5)


@pytest.mark.parametrize("run", range(5))
def test_a_scenario_survives_its_file(run: int, tmp_path: Path) -> None:
    scenario = draw_scenario(1, run)

    save(scenario, tmp_path / "deep" / "scenario.json", finding="nothing")

    assert load(tmp_path / "deep" / "scenario.json") == scenario


@pytest.mark.slow
def test_another_fork_s_rules_are_found_and_made_small(
    python: Path, specification: Reference, tmp_path: Path
) -> None:
    """Our engine runs Prague where the specification runs Osaka: the fuzzer has to notice, and to show little."""
    scenarios = (s for s in map(draw_scenario, itertools.repeat(SEED), range(200)) if s.fork == "Osaka")

    tally = run_campaign(
        itertools.islice(_until_found(scenarios, specification), 1),
        python,
        jobs=1,
        directory=tmp_path,
        our_fork=lambda _: "Prague",
    )

    (found,) = tally.found
    assert size(found.scenario) < found.size_before / 2
    again = load(found.path)
    assert play(again, specification, our_fork="Prague").finding == found.finding
    assert play(again, specification).finding is None


def _until_found(scenarios: Iterator[Scenario], specification: Reference) -> Iterator[Scenario]:
    return (s for s in scenarios if play(s, specification, our_fork="Prague").finding is not None)


class _Perturbed:
    """The specification with one thing changed in its answers."""

    def __init__(self, specification: Reference, *, what: str) -> None:
        self._specification = specification
        self._what = what

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = copy.deepcopy(self._specification.ask(request))
        if "transition" in request:
            return answer | self._changed(answer)
        for block in answer["blocks"]:
            match self._what:
                case "state root":
                    block["block"] = _flipped(block["block"], 3 * 33 + 21)
                case "receipts root":
                    block["block"] = _flipped(block["block"], 5 * 33 + 21)
                case "verdict":
                    block["verdicts"] = ["Refused" for _ in block["verdicts"]]
                case _:
                    answer["genesis"] = "00" * 32
        return answer

    def _changed(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Of an answer about transactions without a chain."""
        match self._what:
            case "verdict":
                return {"verdicts": ["Refused" for _ in answer["verdicts"]]}
            case "genesis":
                return {"gas_used": answer["gas_used"] + 1}
            case root:
                return {root.replace(" ", "_"): "00" * 32}


def _flipped(block: str, after_prefix: int) -> str:
    raw = bytearray.fromhex(block)
    # The prefixes of the block and of its header have one to three bytes each, so this is somewhere inside the root.
    raw[after_prefix] ^= 1
    return raw.hex()


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize(
    "what", ["state root", "receipts root", "verdict", "genesis"]
)  # or the gas, without a chain
def test_every_kind_of_difference_is_found(way: Way, what: str, specification: Reference) -> None:
    candidates = (draw_scenario(SEED, run) for run in range(100))
    scenario = next(s for s in candidates if s.way is way and s.fork == "Osaka" and s.blocks[0].transactions)

    assert play(scenario, specification).finding is None
    assert play(scenario, _Perturbed(specification, what=what)).finding is not None


def test_shrinking_keeps_what_shows_and_nothing_else() -> None:
    scenario = next(s for s in map(draw_scenario, itertools.repeat(1), range(50)) if len(s.blocks) == 3)
    wanted = scenario.blocks[1].prev_randao

    small = shrink(scenario, lambda smaller: any(block.prev_randao == wanted for block in smaller.blocks))

    assert [block.prev_randao for block in small.blocks] == [wanted]
    assert small.accounts == ()
    assert small.blocks[0].transactions == ()


def test_the_specification_s_process_is_replaced_when_it_fails(specification: Reference) -> None:
    with pytest.raises(ReferenceFailed, match="KeyError"):
        specification.ask({"nothing": "of use"})

    scenario = draw_scenario(SEED, 0)
    assert play(scenario, specification).finding is None


@pytest.mark.parametrize("curve", [BN_G1, BN_G2, BLS_G1, BLS_G2, P256])
def test_a_curve_s_generator_has_the_order_that_is_said(curve: Curve) -> None:
    assert curve.multiply(curve.generator, curve.order) is None
    assert curve.multiply(curve.generator, curve.order + 1) == curve.generator


def test_code_is_cut_into_instructions_with_their_operands() -> None:
    assert instructions(bytes.fromhex("6001015f61ff")) == [b"\x60\x01", b"\x01", b"\x5f", b"\x61\xff"]
