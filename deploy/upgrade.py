"""The check of the guide's "Upgrade": a network goes from one version of Metanode to the next while it decides."""

from __future__ import annotations

import base64
import hashlib
import sys
import threading
import time
import zipfile
from typing import TYPE_CHECKING, Self

from engine import BASE, give_wheels
from seeing import (
    CheckFailedError,
    call,
    check_agreement,
    check_gateway,
    height_of,
    is_above,
    say_why,
    steps_of,
    wait_until,
)

from sdk.testnet.deployment import DeploymentChange, deploy_testnet
from sdk.testnet.deployment.compose import COMPOSE_FILE

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from engine import Engine
    from seeing import Report

CASE = "upgrade"
PORT_OFFSET = 2000
VALIDATORS = 4
IMAGE = "metanode-check/upgrade:testnet"
_ASK_EVERY_S = 0.5


def check_upgrade(engine: Engine, report: Report, output: Path, wheels: Path) -> None:
    """Deploy, start, deploy a newer wheel, and follow the guide to the letter."""
    urls = [f"http://127.0.0.1:{8544 + PORT_OFFSET + number}" for number in range(1, VALIDATORS + 1)]
    gateway = f"http://127.0.0.1:{8645 + PORT_OFFSET}"
    # `up` builds an image that is missing, and takes one that is there.
    engine.run("docker", "rmi", "--force", IMAGE, check=False)
    deploy(output)
    give_wheels(output, wheels)
    (old,) = (output / "image").glob("metanode-*.whl")
    compose = [*engine.compose["docker compose"], "-f", COMPOSE_FILE]

    def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return engine.run(*compose, *command, folder=output, check=check)

    try:
        run("up", "-d", "--wait")
        before = check_agreement(
            report, CASE, urls, "four validators of one version agree on a block that is new"
        )
        check_gateway(report, CASE, run, gateway, stopped="validator-2")
        newer, version = next_version(old)
        refused = _refusal(output, newer)
        deploy(output, wheel=newer, confirm_changes=True)
        found = [path.name for path in (output / "image").glob("metanode-*.whl")]
        report.claim(
            CASE,
            "`deploy_testnet` of another version says which files it would write and delete, does so when confirmed, and leaves one wheel for the image",
            f"{found[0]}; {len(refused)} sentences",
            holds=found == [newer.name] and any(old.name in line and "deleted" in line for line in refused),
        )
        steps = steps_of(output, "Upgrade")
        started = time.monotonic()
        with Watch(gateway) as watch:
            engine.run("bash", "-euc", steps, folder=output)
        took_s = time.monotonic() - started
        report.claim(
            CASE,
            'the guide\'s "Upgrade" is done to the letter; the others go on deciding while one validator after the other starts anew',
            f"{took_s:.0f} s; asked of the gateway, which starts anew last: {watch.blocks} blocks, {watch.longest_s:.0f} s at most until the next",
            holds=watch.blocks > VALIDATORS,
        )
        versions = [str(call(url, "web3_clientVersion")) for url in urls]
        report.claim(
            CASE,
            "every validator is of the new version",
            versions[0],
            holds=all(f"/v{version}" in each for each in versions),
        )
        wait_until(lambda: is_above(urls, before), "blocks after the upgrade")
        check_agreement(report, CASE, urls, "they agree on a block that is new")
    finally:
        if sys.exc_info()[0] is not None:
            say_why(engine, run)
        run("down", "--volumes", check=False)


def deploy(output: Path, *, wheel: Path | None = None, confirm_changes: bool = False) -> None:
    """The network of this check, with the wheel of a version."""
    deploy_testnet(
        "upgrade-testnet", 9998, VALIDATORS, output_dir=output, port_offset=PORT_OFFSET, base_image=BASE, image=IMAGE,
        services=("bootstrap", "gateway"), wheel=wheel, confirm_changes=confirm_changes,
    )  # fmt: skip


def _refusal(output: Path, wheel: Path) -> tuple[str, ...]:
    """What a call that is not confirmed says."""
    try:
        deploy(output, wheel=wheel)
    except DeploymentChange as change:
        return change.changes
    raise CheckFailedError(f"{CASE}: another version was deployed without being confirmed")


class Watch:
    """Asks for heights in a thread while a block runs: blocks in that time, and the longest wait for one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="watch")
        self.blocks = 0
        self.longest_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _ask(self) -> None:
        height = height_of(self._url)
        since = time.monotonic()
        while not self._is_over.wait(_ASK_EVERY_S):
            now = height_of(self._url)
            self.longest_s = max(self.longest_s, time.monotonic() - since)
            if now > height:
                self.blocks += now - height
                height, since = now, time.monotonic()


def next_version(wheel: Path) -> tuple[Path, str]:
    """A wheel of the same content that calls itself the next version, and that version; it lies beside the deployment."""
    name, version, tags = wheel.name.split("-", 2)
    major, _, minor = version.rpartition(".")
    newer = f"{major}.{int(minor) + 1}"
    information = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist()}
    del files[f"{information}/RECORD"]
    for entry, before in (
        ("metanode/__init__.py", f'__version__ = "{version}"'),
        (f"{information}/METADATA", f"\nVersion: {version}\n"),
    ):
        after = before.replace(version, newer)
        assert before.encode() in files[entry], entry
        files[entry] = files[entry].replace(before.encode(), after.encode())
    renamed = {
        entry.replace(information, f"{name}-{newer}.dist-info"): content for entry, content in files.items()
    }
    record = f"{name}-{newer}.dist-info/RECORD"
    lines = [f"{entry},sha256={_digest(content)},{len(content)}\n" for entry, content in renamed.items()]
    path = wheel.parents[2] / f"{name}-{newer}-{tags}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in (renamed | {record: "".join([*lines, f"{record},,\n"]).encode()}).items():
            archive.writestr(entry, content)
    return path, newer


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
