"""The decoders' fuzzer without its programs: its seeds, its lock, and what it reads out of libFuzzer. `make fuzz-decode` runs it."""

import tomllib
from pathlib import Path
from typing import Any

from tests.fuzz.decoding import PLANTED, ROOT, TARGETS, _last, _words
from tests.fuzz.seeds import write_seeds


def packages(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["name"], each["version"]): each for each in tomllib.loads(path.read_text())["package"]}


def test_every_target_has_seeds(tmp_path: Path) -> None:
    count = write_seeds(tmp_path)

    found = {path.name: len(list(path.iterdir())) for path in tmp_path.iterdir()}
    assert set(found) == set(TARGETS)
    assert min(found.values()) >= 10
    assert sum(found.values()) <= count


def test_every_target_is_a_program() -> None:
    manifest = tomllib.loads((ROOT / "rust" / "fuzz" / "Cargo.toml").read_text())

    assert {program["name"] for program in manifest["bin"]} == {*TARGETS, PLANTED}


def test_the_targets_fuzz_what_the_engine_is_built_from() -> None:
    """After a change of the engine's dependencies: `cp Cargo.lock rust/fuzz/` and `cargo metadata --manifest-path rust/fuzz/Cargo.toml`."""
    engine, fuzz = packages(ROOT / "Cargo.lock"), packages(ROOT / "rust" / "fuzz" / "Cargo.lock")
    only_there = {name for name, version in fuzz.keys() - engine.keys()}

    assert only_there == {"arbitrary", "fuzz", "jobserver", "libfuzzer-sys"}
    (locked,) = (each for (name, _), each in fuzz.items() if name == "engine")
    wanted = tomllib.loads((ROOT / "rust" / "engine" / "Cargo.toml").read_text())["dependencies"]
    assert {each.split()[0] for each in locked["dependencies"]} == set(wanted)


def test_what_libfuzzer_says_is_understood() -> None:
    said = (
        "#2\tINITED cov: 700 ft: 801 corp: 1/1b exec/s: 0 rss: 40Mb\n"
        "#900\tNEW    cov: 742 ft: 990 corp: 7/80b lim: 4 exec/s: 9 rss: 50Mb L: 9/20 MS: 1 CopyPart-\n"
        "thread '<unnamed>' panicked at targets/planted.rs:7:9:\nassertion failed: the planted fault\n"
        "stat::number_of_executed_units: 1234\n"
    )

    assert _last(r"stat::number_of_executed_units:\s+(\d+)", said) == 1234
    assert _last(r"cov: (\d+)", said) == 742
    assert _words(said) == "panicked at targets/planted.rs:7:9:\nassertion failed: the planted fault"
    assert _last(r"cov: (\d+)", "nothing") == 0
