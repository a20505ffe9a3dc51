"""What must hold of every container of a deployment, by what the engine says of it. Pure."""

from __future__ import annotations

from typing import Any, Final

POSTGRES: Final = "postgres"
"""Its image changes its own user and writes where it was made to: it has five capabilities and a root of its own."""
POSTGRES_CAPABILITIES: Final = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
NODE_STOP_S: Final = 120
"""A node writes what it has in memory; Docker's ten seconds would cut that short."""
STOP_S: Final = 30
"""Of everything else: services need five seconds, databases write."""
CLAIMS: Final = (
    "healthy; not root, read-only root and no capabilities (PostgreSQL's image, which takes its own user, has five and a root that it writes to), no new "
    "privileges, limits of memory, processes and (but for nodes) processor time, time to stop, bounded logs, ports on loopback"
)


def is_node(name: str) -> bool:
    """Whether a service is a node of the network, by its name in the Compose file."""
    return name.startswith("validator-") or name == "bpci-server"


def loose_ends(name: str, found: dict[str, Any], *, owner: int) -> list[str]:
    """What does not hold of a container that the engine describes like this (`docker inspect`)."""
    host, config = found["HostConfig"], found["Config"]
    bindings = {entry["HostIp"] for ports in (host["PortBindings"] or {}).values() for entry in ports or ()}
    is_postgres = name == POSTGRES
    added = {one.removeprefix("CAP_") for one in host["CapAdd"] or ()}
    # A validator that is held back votes late: NODE_CPUS of .env says a limit, and by itself there is none.
    is_bounded = host["NanoCpus"] == 0 if is_node(name) else host["NanoCpus"] > 0
    expected = {
        "healthy": found["State"]["Health"]["Status"] == "healthy",
        "user": is_postgres or config["User"] == f"{owner}:{owner}",
        "read-only root": is_postgres or host["ReadonlyRootfs"],
        "no capabilities": host["CapDrop"] == ["ALL"] and added == (POSTGRES_CAPABILITIES if is_postgres else set()),
        "no new privileges": "no-new-privileges:true" in host["SecurityOpt"],
        "memory limit": host["Memory"] > 0,
        "limit of processor time": is_bounded,
        "limit of processes": 0 < host["PidsLimit"] <= 1024,
        "time to stop": (config.get("StopTimeout") or 0) >= (NODE_STOP_S if is_node(name) else STOP_S),
        "bounded logs": host["LogConfig"]["Config"].get("max-size", "-1") != "-1" and "max-file" in host["LogConfig"]["Config"],
        "ports on loopback": bindings <= {"127.0.0.1"},
        # An init is another user than PostgreSQL, and may not hand signals on to it.
        "init": bool(host.get("Init")) != is_postgres,
    }  # fmt: skip
    return [f"{name}: {claim}" for claim, holds in expected.items() if not holds]
