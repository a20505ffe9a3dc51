"""Every file has one suite, and every case is counted from its file."""

import json
from pathlib import Path

import pytest
from tests.conformance.archive import Archive, ManifestFile
from tests.conformance.catalogue import SUITES, UNCLAIMED, Suite, Unclaimed, Work, judge, plan, suite_of
from tests.conformance.verdicts import Mismatch, NotApplicable, Status, each, expect_equal


def test_every_file_of_the_archive_has_one_suite_and_every_case_is_planned(archive: Archive) -> None:
    work = plan(archive)
    planned = [file for one in work for file in one.files]
    assert sorted(file.path for file in planned) == sorted(file.path for file in archive.files)
    assert sum(file.cases for file in planned) == sum(file.cases for file in archive.files) > 0
    assert [one.files for one in work if one.suite is UNCLAIMED] == []


def test_every_suite_has_files(archive: Archive) -> None:
    used = {suite_of(file.path).name for file in archive.files}
    assert [suite.name for suite in SUITES if suite.name not in used] == []


def test_material_has_no_cases(archive: Archive) -> None:
    assert [file for file in archive.files if suite_of(file.path).is_material and file.cases] == []


def test_a_suite_says_how_it_is_judged_in_one_way_and_has_a_name_of_its_own() -> None:
    for suite in SUITES:
        ways = (suite.judge_file, suite.judge_files, suite.is_material)
        assert sum(map(bool, ways)) == 1, suite.name
    assert len({suite.name for suite in SUITES}) == len(SUITES)


def test_a_file_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(Unclaimed, match=r"new/one\.json: expected one suite, found none"):
        suite_of("new/one.json")


def test_a_file_with_more_or_fewer_cases_than_the_manifest_says_fails(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"one": 1, "two": 2}))
    suite = Suite(
        name="numbers",
        files="*",
        judge_file=lambda file: each(json.loads(file.read_text()).items(), lambda _: None),
    )

    def failed(cases: int) -> list[str]:
        file = ManifestFile("a.json", cases, "")
        found = judge(Archive(tmp_path, (file,)), Work(suite, (file,)))
        return [verdict.reason for _, verdict in found if verdict.status is Status.FAILED]

    assert failed(2) == []
    assert failed(3) == ["2 cases were judged, the manifest counts 3"]
    assert failed(1) == ["2 cases were judged, the manifest counts 1"]


@pytest.mark.parametrize(
    ("path", "content", "cases"),
    [
        ("vectors/discv5/a.txt", "# nonce = 0x01\n\n0011\n2233\n", 1),
        ("vectors/discv5/a.txt", "# one\n\n0011\n\n# two\n2233\n", 2),
        ("vectors/discv5/a.txt", "# nothing was captured\n", 0),
        ("vectors/eip3076/a.json", '{"name": "a", "steps": [{}, {}]}', 1),
    ],
)
def test_cases_that_nobody_judges_are_counted_from_their_file(
    tmp_path: Path, path: str, content: str, cases: int
) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(content)
    for promised in (0, 1, 2):
        file = ManifestFile(path, promised, "")
        found = [verdict for _, verdict in judge(Archive(tmp_path, (file,)), Work(suite_of(path), (file,)))]
        assert sum(verdict.status is Status.NOT_APPLICABLE for verdict in found) == cases
        assert any(verdict.status is Status.FAILED for verdict in found) == (promised != cases)


def test_a_case_passes_fails_crashes_or_is_not_applicable_by_itself() -> None:
    def judge_one(value: object) -> None:
        if value == "refused":
            raise NotApplicable("no such thing here")
        if value == "broken":
            raise KeyError("x")
        expect_equal("value", value, 1)

    verdicts = list(each([("a", 1), ("b", 2), ("c", "broken"), ("d", "refused"), ("e", 1)], judge_one))
    assert [verdict.status.value for verdict in verdicts] == [
        "passed", "failed", "failed", "not applicable", "passed",
    ]  # fmt: skip
    assert [verdict.reason for verdict in verdicts[1:4]] == [
        "value: found 2, expected 1", "KeyError: 'x'", "no such thing here",
    ]  # fmt: skip
    with pytest.raises(Mismatch):
        expect_equal("bytes", b"\1", b"\2")
