"""Compose from Debian sid, unpacked and not installed: what this machine's own Debian lacks.

    python3 deploy/compose_package.py FOLDER

prints the path of the program, `docker-compose`, which needs no engine to read a file. What is below FOLDER already is not fetched again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


class NoDebianError(Exception):
    """This machine's apt knows no mirror of Debian."""


def fetch_compose(work: Path) -> Path:
    """The program below `work`; raises NoDebianError, or CalledProcessError where apt does not get it."""
    folder = work.resolve() / "sid"
    for part in ("state/lists/partial", "cache/archives/partial", "unpacked"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    program = folder / "unpacked/usr/libexec/docker/cli-plugins/docker-compose"
    if program.exists():
        return program
    (folder / "sources.list").write_text(f"deb {debian_mirror()} sid main\n", encoding="utf-8")
    options = [
        "-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State={folder}/state",
        "-o", "Dir::State::status=/var/lib/dpkg/status", "-o", f"Dir::Cache={folder}/cache",
    ]  # fmt: skip
    for command in (["update", "-qq"], ["download", "-qq", "docker-compose"]):
        subprocess.run(["apt-get", *options, *command], cwd=folder, check=True, stdout=sys.stderr)
    package = next(folder.glob("docker-compose_*.deb"))
    subprocess.run(["dpkg", "-x", str(package), str(folder / "unpacked")], check=True)
    return program


def debian_mirror() -> str:
    """Where this machine's own apt has Debian from."""
    found = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian"],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    if not found:
        raise NoDebianError("apt knows no mirror of Debian: run apt-get update, on a Debian machine")
    return found[0]


def main() -> int:
    """0 with the path on stdout; 1 with a sentence on stderr."""
    try:
        print(fetch_compose(Path(sys.argv[1])))
    except (NoDebianError, subprocess.CalledProcessError, OSError) as error:
        print(f"Compose is not here, and could not be fetched: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
