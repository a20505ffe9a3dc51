"""`python -m tests.fuzz.decoding --seconds N`: libFuzzer on everything that decodes the bytes of strangers and of the disk.

The targets are in `rust/fuzz`, what they call in `rust/engine/src/decoders.rs` and, of `rust/encoding`, beside them. First a target with a
planted fault shows that faults are found; then each target runs so long, two side by side, from seeds that are drawn anew and what earlier runs found worth keeping. An input that
panics, hangs or eats memory is made small and saved. Ends with 0 when there is none, 1 else.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.seeds import write_seeds

ROOT: Final = Path(__file__).resolve().parents[2]
MANIFEST: Final = ROOT / "rust" / "fuzz" / "Cargo.toml"
DIRECTORY: Final = ROOT / "build" / "fuzz-decode"
TARGETS: Final = ("transaction", "block", "rlp", "trie")
PLANTED: Final = "planted"
PLANTED_S: Final = 60
"""It is found in a second or two."""
INPUT_BYTES_MAX: Final = 4_096
INPUT_S_MAX: Final = 25
"""A decoder that takes longer over so few bytes hangs; most take microseconds, but the machine may be busy."""
MEMORY_MB_MAX: Final = 1_024
SMALLER_S: Final = 20
"""To make a crash small."""
COVERAGE: Final = (
    "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters "
    "-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
)
"""What makes a stable compiler count branches and comparisons. `--cfg fuzzing` is left out: libraries weaken themselves under it."""


class BuildFailed(Exception):
    """The targets do not compile; the compiler has said why."""


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What came of a target."""

    target: str
    inputs: int
    """That were run."""
    covered: int
    """Edges of the program that some input reached."""
    crash: Path | None
    words: str
    """What the panic said, or the last that was printed."""


def build() -> Path:
    """Compile the targets; returns the directory of their programs. Minutes the first time."""
    host = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    triple = next(line.removeprefix("host: ") for line in host.splitlines() if line.startswith("host: "))
    directory = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "fuzz-decode"
    # With a target named, build scripts and macros are left without counters: they have nobody to count for.
    command = [
        "cargo",
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--manifest-path",
        str(MANIFEST),
        "--target",
        triple,
    ]
    environment = {**os.environ, "RUSTFLAGS": COVERAGE, "CARGO_TARGET_DIR": str(directory)}
    if subprocess.run(command, env=environment, check=False).returncode:
        raise BuildFailed
    return directory / triple / "release"


def fuzz(programs: Path, target: str, seconds: int) -> Fuzzed:
    """Run a target for so long, or until an input makes it fail."""
    corpus, crashes = DIRECTORY / "corpus" / target, DIRECTORY / "crashes"
    for each in (corpus, crashes):
        each.mkdir(parents=True, exist_ok=True)
    seeds = [str(path) for path in [DIRECTORY / "seeds" / target] if path.is_dir()]
    limits = [f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_S_MAX}", f"-rss_limit_mb={MEMORY_MB_MAX}"]
    # A place of its own: what an earlier run found may have the same name.
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as fresh:
        command = [
            *(str(programs / target), *limits, f"-max_total_time={seconds}", "-print_final_stats=1"),
            *(f"-artifact_prefix={fresh}/{target}-", str(corpus), *seeds),
        ]
        finished = subprocess.run(command, capture_output=True, check=False, timeout=seconds + 300)
        said = finished.stderr.decode(errors="replace")
        broken = [path for path in sorted(Path(fresh).iterdir()) if "-slow-unit-" not in path.name]
        found = [path.replace(crashes / path.name) for path in broken]
    crash = found[0] if found else None
    if crash is not None and target != PLANTED:
        crash = _smaller(programs, target, crash)
    if finished.returncode and crash is None:
        raise RuntimeError(f"{target} ended with {finished.returncode} and left no input: {said[-2_000:]}")
    return Fuzzed(
        target=target,
        inputs=_last(r"stat::number_of_executed_units:\s+(\d+)|^#(\d+)", said),
        covered=_last(r"cov: (\d+)", said),
        crash=crash,
        words=_words(said),
    )


def replay(programs: Path, target: str, path: Path) -> tuple[int, str]:
    """Run one input; returns the exit code and what was said."""
    command = [str(programs / target), f"-timeout={INPUT_S_MAX}", f"-rss_limit_mb={MEMORY_MB_MAX}", str(path)]
    finished = subprocess.run(command, capture_output=True, check=False, timeout=300)
    return finished.returncode, finished.stderr.decode(errors="replace")


def _smaller(programs: Path, target: str, crash: Path) -> Path:
    small = crash.with_name(f"{crash.name}.small")
    command = [
        *(str(programs / target), "-minimize_crash=1", f"-max_total_time={SMALLER_S}"),
        *(f"-timeout={INPUT_S_MAX}", f"-exact_artifact_path={small}", str(crash)),
    ]
    subprocess.run(command, capture_output=True, check=False, timeout=SMALLER_S + 300)
    return small if small.is_file() else crash


def _last(pattern: str, said: str) -> int:
    found = re.findall(pattern, said, re.MULTILINE)
    last = found[-1] if found else "0"
    return int(last if isinstance(last, str) else last[0] or last[1])


def _words(said: str) -> str:
    panic = re.search(r"panicked at .*\n.*", said)
    return panic.group() if panic else said.strip().splitlines()[-1] if said.strip() else ""


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.decoding", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--replay", type=Path, help="run a saved input again; its name says the target")
    options = parser.parse_args(arguments)
    print("building the targets (minutes the first time)", flush=True)
    try:
        programs = build()
    except BuildFailed:
        return 2
    if options.replay:
        code, said = replay(programs, options.replay.name.split("-")[0], options.replay)
        print(said)
        return 1 if code else 0
    return _campaign(programs, options)


def _campaign(programs: Path, options: argparse.Namespace) -> int:
    targets = options.targets.split(",")
    shutil.rmtree(DIRECTORY / "seeds", ignore_errors=True)
    seeds = write_seeds(DIRECTORY / "seeds")
    print(
        f"targets={options.targets} seconds={options.seconds} jobs={options.jobs} seeds={seeds}", flush=True
    )
    started = time.monotonic()
    planted = fuzz(programs, PLANTED, PLANTED_S)
    if planted.crash is None:
        print(f"the planted fault was not found in {PLANTED_S} s: this fuzzer finds nothing")
        return 1
    print(f"{PLANTED:12} its fault was found after {planted.inputs} inputs", flush=True)
    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        waiting = [pool.submit(fuzz, programs, target, options.seconds) for target in targets]
        results = [each.result() for each in waiting]
    for result in results:
        print(
            f"{result.target:12} {result.inputs:>10} inputs, {result.covered:>6} edges"
            + (", A CRASH" if result.crash else "")
        )
    print(f"{time.monotonic() - started:.0f} s")
    for result in results:
        if result.crash:
            print(
                f"\n{result.target}: {result.words}\n  again: python -m tests.fuzz.decoding --replay {result.crash}"
            )
    return 1 if any(result.crash for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
