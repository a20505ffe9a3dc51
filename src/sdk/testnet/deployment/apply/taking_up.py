"""Nodes that were added to a local network, taken up in what its services are told.

`services.toml` is anybody's to change, so no more of it is touched than the network wrote itself: the three lists of nodes are replaced where they
stand as they were written, and the names of new validators are added. Whoever has changed a list says from then on which nodes are asked.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address
from sdk.testnet.deployment.apply import services
from sdk.testnet.deployment.services_file import name_line, node_lines
from sdk.testnet.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.deployment.apply.layout import NetworkDirectory
    from sdk.testnet.deployment.plan import NetworkPlan

NAMES: Final = "[names]"


def take_up_nodes(directory: NetworkDirectory, plan: NetworkPlan) -> bool:
    """Add the nodes that are missing to the services' configuration; False when it has a list of nodes of its own, and is left alone."""
    if all(program.name != services.NAME for program in plan.programs):
        return True
    path = services.config_file(directory)
    if not path.exists():
        # Of a deployment it is written by `deploy_testnet`.
        if services.program_plan(directory, plan.spec) in plan.programs:
            services.write_config(directory, plan)
        return True
    # Byte for byte as somebody wrote it, where it is not ours.
    text = path.read_bytes().decode(errors="surrogateescape")
    lines = text.splitlines(keepends=True)
    known, served = _known(lines, plan), services.served_nodes(plan)
    if known is None:
        return False
    if known == len(served):
        return True
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    for old, new in zip(node_lines(served[:known]), node_lines(served), strict=True):
        lines[lines.index(f"{old}\n")] = f"{new}\n"
    for node in plan.nodes[known:]:
        if node in plan.with_keys:
            _add_name(lines, format_address(directory.validator_address(node.name)), node.name)
    # Passwords may have come into it, and with them another mode.
    mode = stat.S_IMODE(path.stat().st_mode)
    write_whole(path, "".join(lines).encode(errors="surrogateescape"), mode=mode)
    return True


def _known(lines: Sequence[str], plan: NetworkPlan) -> int | None:
    """How many of the plan's nodes the file has, in lines as they were written; None where it has others."""
    served = services.served_nodes(plan)
    written = {line.removesuffix("\n") for line in lines}
    # Never fewer than the network began with: such a list is somebody's own.
    counts = range(len(served), len(plan.validators) - 1, -1)
    return next((count for count in counts if written.issuperset(node_lines(served[:count]))), None)


def _add_name(lines: list[str], address: str, name: str) -> None:
    """Put a name at its place in the order of addresses; not where the address has one, or nobody is named at all."""
    line = f"{name_line(address, name)}\n"
    if f"{NAMES}\n" not in lines or any(address.lower() in other.lower() for other in lines):
        return
    place = lines.index(f"{NAMES}\n") + 1
    while place < len(lines) and lines[place].strip() and lines[place] < line:
        place += 1
    lines.insert(place, line)
