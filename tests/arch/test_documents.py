"""What the documents say is true of the tree."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import metanode

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = [link for link in LINK.findall(document.read_text()) if "://" not in link]

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_document_has_one_title(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)

    assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == 1


def test_the_generated_pages_are_what_the_code_says() -> None:
    source = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert source is not None
    assert source.loader is not None
    reference = importlib.util.module_from_spec(source)
    source.loader.exec_module(reference)

    stale = [
        file.name for file, text in reference.pages().items() if not file.exists() or file.read_text() != text
    ]

    assert stale == [], "run: make docs"


def test_the_community_api_is_described_in_openapi_3_1() -> None:
    document = json.loads((ROOT / "docs" / "reference" / "openapi.json").read_text())

    assert document["openapi"].startswith("3.1.")
    assert len(document["paths"]) > 20


def test_every_json_rpc_method_says_what_it_takes_and_gives() -> None:
    document = json.loads((ROOT / "docs" / "reference" / "openrpc.json").read_text())
    methods = {method["name"]: method for method in document["methods"]}
    page = (ROOT / "docs" / "reference" / "json-rpc.md").read_text()

    assert len(methods) == len(document["methods"]) > 70
    assert {method["name"].partition("_")[0] for method in document["methods"]} >= {
        "eth", "debug", "txpool", "net", "web3", "rpc", "ibft", "admin",
    }  # fmt: skip
    for name, method in methods.items():
        assert method["summary"].endswith("."), name
        assert method["result"]["schema"], name
        assert f"| `{name}` |" in page


def test_every_configuration_key_is_described() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()

    assert re.findall(r"^\| `(\w+)` .*\|  \|$", page, flags=re.MULTILINE) == []


def test_every_decision_is_listed_in_the_index() -> None:
    pages = {path.name for path in (ROOT / "docs" / "adr").glob("0*.md")}
    index = (ROOT / "docs" / "adr" / "README.md").read_text()

    assert pages
    assert {name for name in pages if f"({name})" not in index} == set()
    assert sorted(int(name[:4]) for name in pages) == list(range(1, len(pages) + 1))


def test_the_first_page_leads_to_every_other() -> None:
    docs = ROOT / "docs"
    linked = {(docs / link).resolve() for link in LINK.findall((docs / "index.md").read_text())}
    pages = [
        page for folder in ("tutorial", "guide", "reference", "spec") for page in (docs / folder).glob("*.md")
    ]

    assert len(pages) > 30
    assert [page.name for page in pages if page not in linked] == []


def test_the_version_is_said_once_more_and_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert metanode.__version__ == project["version"]


def test_every_page_that_the_code_names_exists_with_its_section() -> None:
    named = re.compile(r"(docs/[\w/-]+\.md)(?:, ([A-Z][a-z' ]+))?")
    sources = [
        *(
            file
            for folder in ("src", "tests", "benchmarks", "tools")
            for file in (ROOT / folder).rglob("*.py")
        ),
        *(ROOT / "rust").rglob("*.rs"),
    ]
    found = {reference for file in sources for reference in named.findall(file.read_text())}

    assert len(found) >= 8
    for page, section in sorted(found):
        assert (ROOT / page).exists(), page
        assert not section or f"\n## {section}\n" in (ROOT / page).read_text(), f"{page}: {section}"


def mapped() -> set[str]:
    """What has a row in ARCHITECTURE's map: modules whole, though only the first of a row is written so, and folders."""
    section = (ROOT / "ARCHITECTURE.md").read_text().partition("\n## The map\n")[2].partition("\n## ")[0]
    rows = [
        re.findall(r"`([^`]+)`", line.split("|")[1]) for line in section.splitlines() if line[:3] == "| `"
    ]
    return {
        name if "." in name or first == name else f"{first.rpartition('.')[0]}.{name}"
        for first, *others in rows
        for name in (first, *others)
    }


def test_the_map_has_every_package_crate_and_folder_and_no_other() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [Path(line) for line in listed.stdout.splitlines()]
    packages = {
        ".".join(file.parent.parts[1:])
        for file in files
        if file.name == "__init__.py" and file.parts[:2] in (("src", "metanode"), ("src", "sdk"))
    }
    areas = ("metanode", "sdk.testnet", "sdk.testnet.services")
    wanted = {name for name in packages if name.rpartition(".")[0] in areas} - set(areas)
    wanted |= {str(file.parent) for file in files if file.parts[0] == "rust" and file.name == "Cargo.toml"}
    wanted |= {file.parts[0] for file in files if len(file.parts) > 1 and file.parts[0][0] != "."} - {
        "src", "rust", "clients",
    }  # fmt: skip

    found = mapped()

    assert len(wanted) > 30
    assert wanted - found == set()
    places = [(name, ROOT / "src" / name.replace(".", "/")) for name in found if "." in name]
    assert [
        name for name, place in places if not place.is_dir() and not place.with_suffix(".py").exists()
    ] == []
    assert [name for name in found if "." not in name and not (ROOT / name).is_dir()] == []
