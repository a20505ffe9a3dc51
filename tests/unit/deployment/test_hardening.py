"""What the check on a real Docker engine demands of each container, on descriptions as `docker inspect` gives them."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = importlib.util.spec_from_file_location(
    "hardening", Path(__file__).resolve().parents[3] / "deploy" / "hardening.py"
)
assert SCRIPT is not None
assert SCRIPT.loader is not None
hardening = importlib.util.module_from_spec(SCRIPT)
SCRIPT.loader.exec_module(hardening)
loose_ends = hardening.loose_ends

HOST: dict[str, Any] = {
    "PortBindings": {"8545/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8545"}]},
    "ReadonlyRootfs": True,
    "CapDrop": ["ALL"],
    "CapAdd": None,
    "SecurityOpt": ["no-new-privileges:true"],
    "Memory": 2**32,
    "NanoCpus": 10**9,
    "PidsLimit": 512,
    "LogConfig": {"Config": {"max-size": "16m", "max-file": "4"}},
    "Init": True,
}
FOUND: dict[str, Any] = {
    "State": {"Health": {"Status": "healthy"}},
    "Config": {"User": "1000:1000", "StopTimeout": 30},
    "HostConfig": HOST,
}


def described(config: dict[str, Any] | None = None, **host: Any) -> dict[str, Any]:
    found = copy.deepcopy(FOUND)
    found["Config"] |= config or {}
    found["HostConfig"] |= host
    return found


NODE = described({"StopTimeout": 120}, NanoCpus=0)
POSTGRES = described(
    {"User": ""}, ReadonlyRootfs=False, CapAdd=["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"]
)  # fmt: skip
del POSTGRES["HostConfig"]["Init"]  # The engine leaves out what nobody asked for.


def test_a_container_as_it_is_deployed_has_no_loose_end() -> None:
    assert loose_ends("redis", FOUND, owner=1000) == []
    assert loose_ends("validator-1", NODE, owner=1000) == []
    assert loose_ends("bpci-server", NODE, owner=1000) == []
    assert loose_ends("postgres", POSTGRES, owner=1000) == []


@pytest.mark.parametrize(
    ("name", "found", "claim"),
    [
        ("redis", described({"StopTimeout": None}), "time to stop"),
        ("redis", described(NanoCpus=0), "limit of processor time"),
        ("validator-1", described({"StopTimeout": 30}, NanoCpus=0), "time to stop"),
        ("validator-1", described({"StopTimeout": 120}), "limit of processor time"),
        ("faucet", described(Memory=0), "memory limit"),
        ("faucet", described(PidsLimit=0), "limit of processes"),
        ("faucet", described({"User": ""}), "user"),
        ("faucet", described(ReadonlyRootfs=False), "read-only root"),
        ("faucet", described(CapAdd=["NET_ADMIN"]), "no capabilities"),
        ("postgres", described({"User": ""}, Init=None, CapAdd=["SYS_ADMIN"]), "no capabilities"),
        ("postgres", POSTGRES | {"HostConfig": POSTGRES["HostConfig"] | {"Init": True}}, "init"),
        ("faucet", described(SecurityOpt=[]), "no new privileges"),
        ("faucet", described(LogConfig={"Config": {}}), "bounded logs"),
        ("faucet", described(LogConfig={"Config": {"max-size": "-1", "max-file": "4"}}), "bounded logs"),
        ("faucet", described(PortBindings={"80/tcp": [{"HostIp": ""}]}), "ports on loopback"),
        ("faucet", described(Init=False), "init"),
    ],
)
def test_each_loose_end_is_named(name: str, found: dict[str, Any], claim: str) -> None:
    assert loose_ends(name, found, owner=1000) == [f"{name}: {claim}"]
