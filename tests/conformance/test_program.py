"""`make conformance`: its exit status, what it prints and what it writes, on a directory of the archive's layout."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.conformance import report
from tests.conformance.__main__ import main
from tests.conformance.running import Results

RLP_FILE = "ethereum-tests/RLPTests/rlptest.json"
BROKEN_FILE = "ethereum-tests/TransactionTests/ttOne/one.json"
RIGHT = {"right": {"in": "dog", "out": "0x83646f67"}}
WRONG = {"wrong": {"in": "dog", "out": "0x83646f68"}}
REASON = "encoding: found 0x83646f67, expected 0x83646f68"


def directory_of(path: Path, cases: dict[str, Any], *, promised: int | None = None) -> Path:
    """A directory as the archive is unpacked, with one file, whose cases the manifest counts as `promised`."""
    content = json.dumps(cases).encode()
    (path / RLP_FILE).parent.mkdir(parents=True)
    (path / RLP_FILE).write_bytes(content)
    entry = {
        "file": RLP_FILE,
        "cases": len(cases) if promised is None else promised,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (path / "MANIFEST.json").write_text(json.dumps([entry]))
    return path


def run(
    tmp_path: Path, directory: Path, *, cases: str = "*", processes: int = 1
) -> tuple[int, dict[str, Any]]:
    """The exit status and the JSON."""
    results = tmp_path / "results" / "conformance.json"
    status = main(
        ["--vectors", str(directory), "--cases", cases, "--json", str(results), "--processes", str(processes)]
    )
    found: dict[str, Any] = json.loads(results.read_bytes()) if results.is_file() else {}
    return status, found


def test_a_case_that_fails_makes_the_exit_status_1_and_is_told_everywhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, results = run(tmp_path, directory_of(tmp_path / "vectors", {**RIGHT, **WRONG}), processes=2)
    assert status == 1
    assert results["suites"] == {"RLP, valid": {"cases": {"passed": 1, "failed": 1}, "checks": {}}}
    assert [(case["id"], case["status"], case["reason"]) for case in results["cases"]] == [
        (f"{RLP_FILE}::right", "passed", ""),
        (f"{RLP_FILE}::wrong", "failed", REASON),
    ]
    printed, progress = capfd.readouterr()
    assert f"RLP, valid: 1 x {REASON}\n    CASES='{RLP_FILE}::wrong'" in printed
    assert [line.split() for line in printed.splitlines() if line.startswith(("RLP, valid  ", "all "))] == [
        ["RLP,", "valid", "1", "1", "0"],
        ["all", "1", "1", "0"],
    ]
    assert "1 of 1 files      2 cases  1 failed" in progress


def test_a_part_without_the_case_that_fails_makes_it_0(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = directory_of(tmp_path / "vectors", {**RIGHT, **WRONG})
    status, results = run(tmp_path, directory, cases=f"{RLP_FILE}::right")
    assert status == 0
    assert [case["id"] for case in results["cases"]] == [f"{RLP_FILE}::right"]
    assert "1 of 1 files      1 cases  0 failed" in capfd.readouterr().err


def test_a_file_of_right_cases_makes_it_0_unless_the_manifest_counts_others(tmp_path: Path) -> None:
    assert run(tmp_path, directory_of(tmp_path / "whole", RIGHT))[0] == 0
    status, results = run(tmp_path, directory_of(tmp_path / "cut", RIGHT, promised=2))
    assert status == 1
    assert [case["reason"] for case in results["cases"]] == ["1 cases were judged, the manifest counts 2", ""]


def test_nothing_to_judge_makes_it_2_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    directory = directory_of(tmp_path / "vectors", RIGHT)
    assert run(tmp_path, directory, cases="*Trie*") == (2, {})
    assert "no case matches '*Trie*'" in capfd.readouterr().err
    assert run(tmp_path, tmp_path / "absent") == (2, {})
    assert f"put vectors.tar.xz at {tmp_path / 'absent'}" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "processes", "reason"),
    [
        (b"", 2, "JSONDecodeError: Expecting value"),
        (b'{"right": {"in": "dog", "out"', 1, "JSONDecodeError: Expecting ':' delimiter"),
        (b"[1]", 1, "AttributeError: 'list' object has no attribute 'items'"),
        (b"\xff\xfe\x00", 1, "UnicodeDecodeError"),
        (None, 1, "FileNotFoundError"),
    ],
    ids=["empty", "cut", "a list", "no text", "absent"],
)
def test_a_broken_file_is_one_failure_of_its_own_and_the_others_are_judged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes | None, processes: int, reason: str
) -> None:
    directory = directory_of(tmp_path / "vectors", RIGHT)
    (directory / BROKEN_FILE).parent.mkdir(parents=True)
    if content is not None:
        (directory / BROKEN_FILE).write_bytes(content)
    manifest = json.loads((directory / "MANIFEST.json").read_bytes())
    entry = {"file": BROKEN_FILE, "cases": 7, "sha256": ""}
    (directory / "MANIFEST.json").write_text(json.dumps([entry, *manifest]))
    status, results = run(tmp_path, directory, processes=processes)
    assert status == 1
    verdicts = [(case["id"], case["status"]) for case in results["cases"]]
    assert verdicts == [(f"{RLP_FILE}::right", "passed"), (f"{BROKEN_FILE}::file", "failed")]
    told = results["cases"][1]["reason"]
    assert told.startswith(f"the file cannot be judged: {reason}"), told
    printed, progress = capfd.readouterr()
    assert f"CASES='{BROKEN_FILE}::file'" in printed
    assert "Traceback" not in printed + progress


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b'{"file": "a"}', b'[{"file": "a"}]', b"[[]]", b"\xff\xfe\x00"],
    ids=["empty", "cut", "null", "an object", "without cases", "a list of lists", "no text"],
)
def test_a_broken_manifest_makes_it_2_and_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes
) -> None:
    directory = directory_of(tmp_path / "vectors", RIGHT)
    (directory / "MANIFEST.json").write_bytes(content)
    assert run(tmp_path, directory) == (2, {})
    assert f"{directory / 'MANIFEST.json'}: expected a list of objects" in capfd.readouterr().err


@pytest.mark.parametrize("processes", [1, 2])
def test_a_file_that_no_suite_claims_is_one_failure_of_its_own_and_the_others_are_judged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], processes: int
) -> None:
    directory = directory_of(tmp_path / "vectors", RIGHT)
    manifest = json.loads((directory / "MANIFEST.json").read_bytes())
    entry = {"file": "new/one.json", "cases": 3, "sha256": ""}
    (directory / "MANIFEST.json").write_text(json.dumps([entry, *manifest]))
    status, results = run(tmp_path, directory, processes=processes)
    assert status == 1
    assert [(case["id"], case["status"], case["suite"]) for case in results["cases"]] == [
        (f"{RLP_FILE}::right", "passed", "RLP, valid"),
        ("new/one.json::file", "failed", "files of no suite"),
    ]
    assert "new/one.json: expected one suite, found none" in results["cases"][1]["reason"]
    assert "CASES='new/one.json::file'" in capfd.readouterr().out
    assert run(tmp_path, directory, cases="ethereum-tests/*")[0] == 0


@pytest.mark.parametrize(
    ("folder", "files", "broken"),
    [
        ("execution-apis/tests", ["chain.rlp", "genesis.json", "eth_blockNumber/simple.io"], "genesis.json"),
        ("devp2p-ethtest", ["chain.rlp", "genesis.json", "newpayload.json"], "genesis.json"),
    ],
)
def test_a_broken_file_that_a_whole_suite_stands_on_is_its_one_failure(
    tmp_path: Path, folder: str, files: list[str], broken: str
) -> None:
    directory = tmp_path / "vectors"
    for name in files:
        (directory / folder / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / folder / name).write_bytes(b"{")
    entries = [{"file": f"{folder}/{name}", "cases": 1, "sha256": ""} for name in files]
    (directory / "MANIFEST.json").write_text(json.dumps(entries))
    status, results = run(tmp_path, directory)
    assert status == 1
    (case,) = results["cases"]
    assert (case["id"], case["status"]) == (f"{folder}/{broken}::file", "failed")
    assert case["reason"].startswith("the file cannot be judged: "), case["reason"]


def test_the_page_names_the_day_and_the_commit_of_its_run() -> None:
    page = report.page(Results((), 0), commit="0123456789ab")
    (written,) = [
        line for line in page.splitlines() if line.startswith("Written by `make conformance REPORT=1` on ")
    ]
    assert re.fullmatch(r".* on \d{4}-\d\d-\d\d at commit 0123456789ab\.", written)
