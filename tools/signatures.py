"""Write the explorer's list of what well-known libraries name their calls, events and errors, from the ABIs in their npm packages.

    python tools/signatures.py

A package is named with its version and npm's hash of it, fetched with `npm pack`, and nothing of it is run. What stands in `signatures.txt`, which
people keep, is not repeated; of two packages that have the same, the first one has it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from sdk.testnet.services.explorer.abi import (  # noqa: E402 - of this checkout
    KEPT_BY_HAND,
    OF_LIBRARIES,
    Entry,
    Parameter,
    parse_abi,
    parse_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_OF_USE: Final = ("mock", "/test", "harness", ".t.sol", "/forge-std", "ds-test", "script")
"""Parts of paths, in lower case: contracts that only a library's own tests deploy."""
FOR_TESTS: Final = re.compile(r"Test(?:ing)?Only")
"""In names that a library's contracts have for its own tests."""
FILE_BYTES_MAX: Final = 8_000_000
"""Larger files hold what a compiler was given, which has no ABI of its own."""


@dataclass(frozen=True, slots=True)
class Package:
    """An npm package with ABIs in JSON files."""

    name: str
    version: str
    integrity: str
    only: tuple[str, ...] = ()
    """The files to read, by name; all where none is given."""


# fmt: off
PACKAGES: Final = (
    Package("@openzeppelin/contracts", "5.7.0", "sha512-IL2AZpI+7THMzt1u6Cxmc1zLwVnudtUGvrqXQ/HnbLKfQ/8dIWMMQPDwPIjRQzNrlAo4cxZaCGRB/XvwPo9ILA=="),
    Package("@openzeppelin/contracts", "4.9.6", "sha512-xSmezSupL+y9VkHZJGDoCBpmnB2ogM13ccaYDWqJTfS3dbuHkgjuwDFUmaFauBCboQMGB/S5UqUl2y54X99BmA=="),
    Package("@uniswap/v2-core", "1.0.1", "sha512-MtybtkUPSyysqLY2U210NBDeCHX+ltHt3oADGdjqoThZaFRDKwM6k1Nb3F0A3hk5hwuQvytFWhrWHOEq6nVJ8Q=="),
    Package("@uniswap/v2-periphery", "1.1.0-beta.0", "sha512-6dkwAMKza8nzqYiXEr2D86dgW3TTavUvCR0w2Tu33bAbM8Ah43LKAzH7oKKPRT5VJQaMi1jtkGs1E8JPor1n5g=="),
    Package("@uniswap/v3-core", "1.0.1", "sha512-7pVk4hEm00j9tc71Y9+ssYpO6ytkeI0y7WE9P6UcmNzhxPePwyAxImuhVsTqWK9YFvzgtvzJHi64pBl4jUzKMQ=="),
    Package("@uniswap/v3-periphery", "1.4.4", "sha512-S4+m+wh8HbWSO3DKk4LwUCPZJTpCugIsHrWR86m/OrUyvSqGDTXKFfc2sMuGXCZrD1ZqO3rhQsKgdWg3Hbb2Kw=="),
    Package("@uniswap/swap-router-contracts", "1.3.1", "sha512-mh/YNbwKb7Mut96VuEtL+Z5bRe0xVIbjjiryn+iMMrK2sFKhR4duk/86mEz0UO5gSx4pQIw9G5276P5heY/7Rg=="),
    Package("@uniswap/universal-router", "2.1.0", "sha512-rt18RUsZd9xDfyVfIONJo+TEQ8w+olOYxu9+A1g4Thil1R7IMa+8mnyVQjdLPK2REhejScDwjYbOGpeaAce0hg=="),
    Package("@uniswap/permit2-sdk", "1.4.0", "sha512-l/aGhfhB93M76vXs4eB8QNwhELE6bs66kh7F1cyobaPtINaVpMmlJv+j3KmHeHwAZIsh7QXyYzhDxs07u0Pe4Q=="),
    Package("@uniswap/v4-core", "1.0.2", "sha512-X15Tm2wWd+USAzEExMbo+g9naA6QN6mPgWm0MzDwRNlOfaNlepfUpSyt9RSrUfEODspwbyWbcLg6t5nwc/e7lg==", only=("PoolManager.json",)),
    Package("@uniswap/v4-periphery", "1.0.3", "sha512-JxLL0Djv9XcMvI2PatEnWrCrxuEaYNVhHxstndBOP+aJfh1XLg5ec8SDZ0xyoVfg2ElJTvuKpBgnu90bNValsg==", only=("PositionManager.json", "StateView.json", "V4Quoter.json")),
    Package("@account-abstraction/contracts", "0.8.0", "sha512-8krPx/gpnoT+5xAroagVCbeA7FbUigMZWXFKKPm+oghyr29Dksssdx5sI7xGv9212i4JPaDDUGFk58dpuwVgHA=="),
    Package("@safe-global/safe-contracts", "1.4.1", "sha512-fP1jewywSwsIniM04NsqPyVRFKPMAuirC3ftA/TA4X3Zc5EnwQp/UCJUU2PL/37/z/jMo8UUaJ+pnFNWmMU7dQ=="),
    Package("@opensea/seaport-js", "4.3.0", "sha512-rRUiqMX9Dqo7bj+UYRZtO5mOZeRTfFQpCan21qgWCWDNno+PV7KYHsGJCWsxJc5ga84+o60uAxPP6achZE6C3g=="),
    Package("@aave/core-v3", "1.19.3", "sha512-Xr7+VcoU5b4mPwM4IUCnskw3lciwrnL4Xloyad8GOddYeixnri2lZYobNmErm1LwE50vqjI0O+9QGNKY2TDkeQ=="),
    Package("@thirdweb-dev/contracts", "3.15.0", "sha512-sIXPy6zNqW9K9h8xgCnsRQVrqmmMdxoDqut4eAZj1CJzMax5TyrNBoSYCfAX0et8KApvBeCVeJQhUHSWpBNIVw=="),
    Package("@layerzerolabs/lz-evm-protocol-v2", "3.0.168", "sha512-1m9uZDcROJrFjjFZ06J6kmXIqFoJ4r2VH95bL5wsKjkmffNrRYyxbTr2pael7EP8dcq55HpCKc9dg4G1SfTOVQ=="),
    Package("@layerzerolabs/oft-evm", "4.0.1", "sha512-GjjfnUbx77TnFFKALVRXJYb1bt1jvarcyyx/AQo6sZfJng5DIqzI9wDxEGlUz03tEnsS6ZOOLBsH+e/hYsruiA=="),
    Package("@chainlink/contracts", "1.4.0", "sha512-SpNCJ0TPOI6pa2l702Wk4WIP8ccw5ARcRP1E/ZTqaFffXNoZeF03WhsVL8f3l3OTRFA9Z40O5KcZzmJmZQkoFA=="),
)
# fmt: on


def main() -> int:
    """Read all packages and write the file."""
    known = {_meaning(entry) for entry in parse_file(KEPT_BY_HAND)}
    lines = ["# Written by tools/signatures.py: what these libraries name their calls, events and errors."]
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            found: dict[str, None] = {}
            for entry in _entries(_fetched(package, Path(folder)), package.only):
                if _meaning(entry) not in known:
                    known.add(_meaning(entry))
                    found[_line(entry)] = None
            lines += [f"# {package.name} {package.version}", *sorted(found)]
            print(f"{package.name} {package.version}: {len(found):,} more")
    OF_LIBRARIES.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def _fetched(package: Package, folder: Path) -> Path:
    """The package's archive. Raises SystemExit when it is not the one that is meant."""
    command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    name = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()[-1]
    archive = folder / name
    found = f"sha512-{base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()}"
    if found != package.integrity:
        raise SystemExit(f"{package.name} {package.version}: found {found}, expected {package.integrity}")
    return archive


def _entries(archive: Path, only: tuple[str, ...]) -> Iterator[Entry]:
    """Everything in the ABIs of a package, file by file in the order of their names."""
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda each: each.name):
            path = member.name.lower()
            if not path.endswith(".json") or any(part in path for part in NOT_OF_USE):
                continue
            if member.size > FILE_BYTES_MAX or (only and Path(member.name).name not in only):
                continue
            file = tar.extractfile(member)
            content = json.load(file) if file is not None else None
            found = content.get("abi") if isinstance(content, dict) else content
            if isinstance(found, list):
                entries = parse_abi(json.dumps(found)).entries
                yield from (entry for entry in entries if not FOR_TESTS.search(entry.name))


def _meaning(entry: Entry) -> tuple[object, ...]:
    """What makes two entries the same to who decodes: an event's topics as well."""
    return (entry.kind, entry.signature, tuple(each.indexed for each in entry.inputs))


def _line(entry: Entry) -> str:
    return f"{entry.kind} {entry.name}({', '.join(_parameter(each) for each in entry.inputs)})"


def _parameter(parameter: Parameter) -> str:
    kind = parameter.type
    if parameter.components:
        members = ", ".join(_parameter(each) for each in parameter.components)
        kind = f"({members}){kind[kind.rindex(')') + 1 :]}"
    return " ".join(filter(None, (kind, "indexed" if parameter.indexed else "", parameter.name)))


if __name__ == "__main__":
    sys.exit(main())
