"""Set up this checkout: a virtual environment, the locked packages, the Rust engine, the documentation as pages.

Standard library only, because it runs before anything is installed. Each step is skipped when what it depends on has
not changed, so that a second `make up` is quick. `--dev` adds the programs of others that acceptance tests drive: clients,
Foundry and Hardhat from npm, and go-ethereum's devp2p. They are kept in the user's cache, once for each lock and version,
so that a fresh clone does not install them again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
RUST_INPUTS = ("Cargo.toml", "Cargo.lock", "pyproject.toml", "rust")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metanode"
DOCUMENTATION = ROOT / "build" / "docs-site"
"""The documents as pages, which the services show at /docs."""
DOCUMENTATION_INPUTS = ("docs", "mkdocs.yml", "tools/docs_site")
ACCEPTANCE = ROOT / "tests" / "acceptance"
NPM_PROJECTS = {name: ACCEPTANCE / name for name in ("node", "javascript", "foundry", "hardhat")} | {
    "provider": ROOT / "clients" / "js"
}
"""Folders with a package-lock.json. Hardhat needs the node of the first one, and leaves out what an older one can't run."""
NPM_VERSIONS_KEPT = 2
"""Of each project: what this checkout needs, and what an older one beside it does."""
GO_ETHEREUM_VERSION = "v1.17.8"
DEVP2P = CACHE / "go" / f"devp2p-{GO_ETHEREUM_VERSION}"
"""go-ethereum's tool for peer-to-peer protocols."""


class StepFailedError(Exception):
    """A step could not be done; the text says which, and what to do."""


def main() -> int:
    """Run the steps; 0 when the checkout is ready to use."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what tests and benchmarks need")
    arguments = parser.parse_args()
    try:
        check_tools()
        create_environment()
        install_packages()
        build_engine()
        install_checkout()
        build_documentation()
        if arguments.dev:
            for name in NPM_PROJECTS:
                install_npm_packages(name)
            build_devp2p()
    except StepFailedError as error:
        print(f"set-up stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up interrupted; the next run goes on where it stopped", file=sys.stderr)
        return 130
    return 0


def check_tools() -> None:
    """Refuse early, naming what is missing and how to get it."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this script runs under whatever python3 the user has
        found = ".".join(map(str, sys.version_info[:3]))
        raise StepFailedError(
            f"Python {found} found, 3.11 or newer is needed; run `make up PYTHON=python3.11`"
        )
    for tool, package in (
        ("cargo", "Rust 1.95 or newer: https://rustup.rs"),
        ("cc", "a C compiler: apt-get install gcc"),
    ):
        if shutil.which(tool) is None:
            raise StepFailedError(f"`{tool}` is not on PATH; install {package}")


def create_environment() -> None:
    """Make `.venv` when there is none, or one whose making was interrupted: pip is what comes last."""
    if (BIN / "python").exists() and (BIN / "pip").exists():
        return
    try:
        with progress("creating .venv"):
            venv.create(VENV, with_pip=True, symlinks=True, clear=True)
    except subprocess.CalledProcessError:
        raise StepFailedError(
            f"{sys.executable} can't make a virtual environment with pip; on Debian and Ubuntu: apt-get install python3-venv"
        ) from None


def install_packages() -> None:
    """Install exactly what `requirements.lock` lists, each file checked against its hash."""
    lock = ROOT / "requirements.lock"
    stamp = Stamp("packages", digest([lock]))
    if stamp.is_current():
        return
    with progress("installing the locked Python packages (half a minute; minutes on a slow or busy machine)"):
        run(
            [
                *(str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock)),
            ],
            "packages",
        )
    stamp.write()


def build_engine() -> None:
    """Compile the engine in release mode, into the sources."""
    files = [path for name in RUST_INPUTS for path in sorted(walk(ROOT / name))]
    stamp = Stamp("engine", digest(files))
    if stamp.is_current() and any((ROOT / "src" / "metanode").glob("_engine*.so")):
        return
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    environment.setdefault("CARGO_TARGET_DIR", str(ROOT / "target"))
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    with progress("building the Rust engine in release mode (a first build takes some minutes)"):
        run(
            [str(BIN / "maturin"), "develop", "--release", "--locked", "--skip-install"],
            "engine",
            environment,
        )
    stamp.write()


def build_documentation() -> None:
    """Write the documents as pages. A running network shows the old ones until the new ones are whole."""
    found = (path for name in DOCUMENTATION_INPUTS for path in sorted(walk(ROOT / name)))
    files = [path for path in found if path.suffix != ".pyc"]
    stamp = Stamp("documentation", digest(files))
    if stamp.is_current() and (DOCUMENTATION / "index.html").is_file():
        return
    unfinished, old = (DOCUMENTATION.with_name(f".docs-site-{word}") for word in ("unfinished", "old"))
    # What is wrong with a link is for `make docs-site` to refuse: it keeps nobody from a network.
    options = (
        "--quiet",
        "--no-strict",
        "--config-file",
        str(ROOT / "mkdocs.yml"),
        "--site-dir",
        str(unfinished),
    )
    with progress("writing the documentation's pages (seconds)"):
        run([str(BIN / "python"), "-m", "mkdocs", "build", *options], "documentation")
        shutil.rmtree(old, ignore_errors=True)
        if DOCUMENTATION.exists():
            DOCUMENTATION.rename(old)
        unfinished.rename(DOCUMENTATION)
        shutil.rmtree(old, ignore_errors=True)
    stamp.write()


def install_checkout() -> None:
    """Put into `.venv` what an editable installation of this checkout has there. Its dependencies are installed already.

    That is the path to the sources, the commands, and the metadata in which pytest finds the plugin. What is there stays untouched.
    """
    import tomllib  # noqa: PLC0415 - an older Python hears first that it is too old

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    (packages,) = (VENV / "lib").glob("python*/site-packages")
    information = packages / f"{name}-{version}.dist-info"
    for other in packages.glob(f"{name}-*.dist-info"):
        if other != information:
            shutil.rmtree(other)
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    metadata = {
        "Metadata-Version": "2.1",
        "Name": name,
        "Version": version,
        "Summary": project["description"],
        "Requires-Python": project["requires-python"],
    }
    lines = [*metadata.items(), *(("Requires-Dist", line) for line in project["dependencies"])]
    entry_points = (
        f"[{group}]\n" + "".join(f"{entry} = {target}\n" for entry, target in entries.items())
        for group, entries in groups.items()
    )
    origin = {"url": ROOT.as_uri(), "dir_info": {"editable": True}}
    files = {
        packages / f"{name}-checkout.pth": f"{ROOT / 'src'}\n",
        **{BIN / command: command_text(target) for command, target in project["scripts"].items()},
        information / "METADATA": "".join(f"{key}: {value}\n" for key, value in lines),
        information / "entry_points.txt": "\n".join(entry_points),
        information / "direct_url.json": json.dumps(origin),
    }
    # By this list `pip uninstall` finds what to delete.
    record = information / "RECORD"
    files[record] = "".join(f"{os.path.relpath(path, packages)},,\n" for path in (*files, record))
    information.mkdir(exist_ok=True)
    for path, text in files.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for command in project["scripts"]:
        (BIN / command).chmod(0o755)


def command_text(target: str) -> str:
    """The program of a command: it calls `target`, written MODULE:FUNCTION."""
    module, function = target.split(":")
    return (
        f"#!{BIN / 'python'}\nimport sys\n\n"
        # Loading takes a moment, in which Ctrl-C is no fault to trace.
        f"try:\n    from {module} import {function}\nexcept KeyboardInterrupt:\n    sys.exit(130)\n\nsys.exit({function}())\n"
    )


def install_npm_packages(name: str) -> None:
    """Install exactly what a project's package-lock.json lists into the cache, when npm is there, and link it as node_modules.

    No package's own scripts are run: the programs among them are files of the packages.
    """
    folder = NPM_PROJECTS[name]
    if shutil.which("npm") is None:
        return
    files = [folder / "package.json", folder / "package-lock.json"]
    home = CACHE / "npm"
    installed = home / f"{name}-{digest(files)[:16]}"
    if not installed.exists():
        with progress(f"installing the npm packages of {folder.relative_to(ROOT)}"):
            home.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=home))
            for file in files:
                shutil.copy(file, unfinished)
            newer_node = ACCEPTANCE / "node" / "node_modules" / ".bin"
            run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(unfinished)],
                name,
                {**os.environ, "PATH": f"{newer_node}{os.pathsep}{os.environ['PATH']}"},
            )
            rename(unfinished, installed)
    installed.touch()
    for old in sorted(home.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime)[:-NPM_VERSIONS_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    link(folder / "node_modules", installed / "node_modules")


def build_devp2p() -> None:
    """Build go-ethereum's devp2p from its Go module into the cache, when Go is there."""
    if DEVP2P.exists() or shutil.which("go") is None:
        return
    with progress(f"building go-ethereum's devp2p {GO_ETHEREUM_VERSION} (two minutes, once)"):
        DEVP2P.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=DEVP2P.parent) as unfinished:
            run(
                ["go", "install", f"github.com/ethereum/go-ethereum/cmd/devp2p@{GO_ETHEREUM_VERSION}"],
                "devp2p",
                {**os.environ, "GOBIN": unfinished},
            )
            (Path(unfinished) / "devp2p").replace(DEVP2P)


def rename(unfinished: Path, finished: Path) -> None:
    """Give a folder its name; somebody else may just have made the same."""
    try:
        unfinished.rename(finished)
    except OSError:
        if not finished.exists():
            raise
        shutil.rmtree(unfinished)


def link(path: Path, target: Path) -> None:
    """Make `path` a link to `target`, whatever it was."""
    if path.is_symlink():
        if path.readlink() == target:
            return
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
    path.symlink_to(target)


class Stamp:
    """Remembers for which inputs a step was last done."""

    def __init__(self, name: str, value: str) -> None:
        self._path = VENV / f".stamp-{name}"
        self._value = value

    def is_current(self) -> bool:
        """Whether the step was done for these inputs."""
        return self._path.exists() and self._path.read_text() == self._value

    def write(self) -> None:
        """Remember that the step is done."""
        self._path.write_text(self._value)


class progress:  # noqa: N801 - reads as a statement: with progress("...")
    """Says what is being done, each minute that it still is, and how long it took."""

    def __init__(self, what: str, *, every_s: float = 60.0) -> None:
        self._what = what
        self._every_s = every_s
        self._started = 0.0
        self._ended = threading.Event()
        self._teller = threading.Thread(target=self._tell, name="progress", daemon=True)

    def _tell(self) -> None:
        while not self._ended.wait(self._every_s):
            print(f"    still at it after {time.monotonic() - self._started:.0f} s", flush=True)

    def __enter__(self) -> None:
        self._started = time.monotonic()
        print(f"==> {self._what}", flush=True)
        self._teller.start()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._ended.set()
        self._teller.join()
        if error is None:
            print(f"    done in {time.monotonic() - self._started:.0f} s", flush=True)


def run(command: list[str], step: str, environment: dict[str, str] | None = None) -> None:
    """Run a command, its output passing through; failure ends the set-up with the command to repeat."""
    finished = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if finished.returncode != 0:
        raise StepFailedError(
            f"step `{step}` failed with exit code {finished.returncode}: {' '.join(command)}"
        )


def walk(path: Path) -> list[Path]:
    """The file itself, or every file below the folder."""
    return [path] if path.is_file() else [found for found in path.rglob("*") if found.is_file()]


def digest(files: list[Path]) -> str:
    """One hash over names and contents, of this interpreter too."""
    total = hashlib.sha256(sys.version.encode())
    for path in files:
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
