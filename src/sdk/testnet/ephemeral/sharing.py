"""One network for all processes of a test run: whoever needs it first starts it, the others join, and the run's own process ends it.

A run is a folder that all its processes know. In it: `lock` (held while the network is started, and while an account is taken), `net` (the
network's directory), `ready` (it has started), `accounts` (how many accounts were taken), `failed` (why the network did not start: nobody tries again).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import psutil

from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput, MetanodeError, Unavailable
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.accounts import BALANCE_WEI, FundedAccount
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.ephemeral.network import Testnet

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNTS: Final = 1_000
"""Funded accounts of a shared network beside the ten well-known: one for each test that asks, so that no two fight about a nonce."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A test run: where its processes meet, what network they share, and with which process that ends."""

    folder: Path
    """Named `metanode-testnet-run-PID-…` after the owner; nothing is written before somebody joins."""
    owner_pid: int
    validators: int
    block_time_s: int
    chain_id: int

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Self:
        """The run that a process has described in plain values, which may cross to another process."""
        return cls(**{**found, "folder": Path(found["folder"])})

    def join(self) -> Testnet:
        """Return the run's network, which is started for the first who asks. It can be used, and not be hurt.

        Raises:
            Unavailable: when it does not start; every later call says why.
        """
        with self._lock():
            failed = self.folder / "failed"
            if failed.exists():
                raise Unavailable(failed.read_text(encoding="utf-8"))
            ready = self.folder / "ready"
            if not ready.exists():
                # Who was killed on the way has left a part.
                self._end_network()
                self._delete_left()
                try:
                    self._start()
                except MetanodeError as error:
                    failed.write_text(str(error), encoding="utf-8")
                    raise
                ready.touch()
        return Testnet.attach(self._network.path)

    def take_account(self) -> FundedAccount:
        """Return an account of the shared network with 10,000 tokens that nobody else of the run has got.

        Raises:
            InvalidInput: when all are taken.
        """
        counter = self.folder / "accounts"
        with self._lock():
            taken = int(counter.read_text()) if counter.exists() else 0
            if taken >= ACCOUNTS:
                raise InvalidInput(
                    f"all {ACCOUNTS} accounts of the shared network are taken: let tests share one, or fund more from one of them"
                )
            counter.write_text(str(taken + 1))
        return _account(taken)

    def end(self) -> None:
        """Stop the network, if anybody has started it, and delete the folder. For the run's own process."""
        if not self.folder.exists():
            return
        self._end_network()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _network(self) -> NetworkDirectory:
        return NetworkDirectory(self.folder / "net")

    def _end_network(self) -> None:
        with contextlib.suppress(MetanodeError):
            if self._network.exists():
                local.stop_network(self._network)
        shutil.rmtree(self._network.path, ignore_errors=True)

    def _delete_left(self) -> None:
        """Delete folders of runs that were killed: their networks have ended with them, and what they left may lie in memory."""
        for folder in self.folder.parent.glob("metanode-testnet-run-*"):
            found = re.fullmatch(r"metanode-testnet-run-(\d+)-[0-9a-f]+", folder.name)
            if found and not psutil.pid_exists(int(found[1])):
                shutil.rmtree(folder, ignore_errors=True)

    def _start(self) -> None:
        balances = {_account(number).address: BALANCE_WEI for number in range(ACCOUNTS)}
        net = Testnet(
            self.validators,
            block_time_s=self.block_time_s,
            chain_id=self.chain_id,
            directory=self._network.path,
            balances=balances,
        )
        net.start_for(self.owner_pid)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with (self.folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _account(number: int) -> FundedAccount:
    """The account with this number: the same in every process, and worth nothing anywhere else."""
    key = PrivateKey(hashlib.sha256(f"metanode shared testnet account {number}".encode()).digest())
    return FundedAccount(format_address(key.address), "0x" + key.secret.hex())
