"""Where a local network keeps its files, and how its plan is written there.

DIR/network.json            the plan
DIR/genesis.json            the genesis file that every node starts from
DIR/nodes/NAME/             config.toml, validator.json (keystore), validator.password, nodekey, data/
DIR/nodes/services/         services.toml, keys and data of the services: see `services`
DIR/logs/NAME.log           what the node printed
DIR/run/supervisor.pid      locked by the running supervisor
DIR/run/NAME.json           process id, start time and number of restarts
DIR/run/owner               process id of whom the network must not outlive; without it, nobody
DIR/run/NAME.held           there while the node is not to be started again
"""

from __future__ import annotations

import json
import shlex
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from metanode.errors import InvalidInput
from sdk.testnet.deployment.plan import NetworkPlan, NetworkSpec, NodePlan, ProgramPlan
from sdk.testnet.keys import read_account
from sdk.testnet.writing import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from metanode.primitives.types import Address


@dataclass(frozen=True, slots=True)
class NetworkDirectory:
    """The directory of one local network."""

    path: Path

    @property
    def plan_file(self) -> Path:
        """The plan as JSON."""
        return self.path / "network.json"

    @property
    def genesis_file(self) -> Path:
        """The geth-format genesis with the consensus section."""
        return self.path / "genesis.json"

    @property
    def pid_file(self) -> Path:
        """Holds the supervisor's process id and, while it runs, its lock."""
        return self.path / "run" / "supervisor.pid"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor printed."""
        return self.path / "logs" / "supervisor.log"

    def node(self, name: str) -> Path:
        """A node's own directory."""
        return self.path / "nodes" / name

    def validator_address(self, name: str) -> Address:
        """The address of a node's validator key, as its keystore says it without the password; raises InvalidInput."""
        return read_account(self.node(name) / "validator.json")

    def log_file(self, name: str) -> Path:
        """What a node printed."""
        return self.path / "logs" / f"{name}.log"

    def state_file(self, name: str) -> Path:
        """A running node's process id and restarts."""
        return self.path / "run" / f"{name}.json"

    def held_file(self, name: str) -> Path:
        """Where it stands, the supervisor lets the node lie."""
        return self.path / "run" / f"{name}.held"

    @property
    def owner_file(self) -> Path:
        """Process id of the test that the network ends with, when it is of one."""
        return self.path / "run" / "owner"

    def exists(self) -> bool:
        """Whether a network was made here."""
        return self.plan_file.exists()

    def save_plan(self, plan: NetworkPlan) -> None:
        """Write the plan, whole or not at all."""
        write_atomic(self.plan_file, json.dumps(asdict(plan), indent=2) + "\n")

    def load_plan(self) -> NetworkPlan:
        """Read the plan.

        Raises:
            InvalidInput: when there is none, or it can't be read.
        """
        try:
            stored: dict[str, Any] = json.loads(self.plan_file.read_text(encoding="utf-8"))
            nodes = tuple(
                NodePlan(**_checked(NodePlan, node, f"nodes[{index}]"))
                for index, node in enumerate(stored["nodes"])
            )
            programs = tuple(
                _program(entry, f"programs[{index}]")
                for index, entry in enumerate(stored.get("programs", []))
            )
            spec = NetworkSpec(**_checked(NetworkSpec, stored["spec"], "spec"))
            return NetworkPlan(spec=spec, nodes=nodes, programs=programs)
        except FileNotFoundError:
            raise InvalidInput(f"no network in {self.path}; start one with `metanode up`") from None
        except (ValueError, TypeError) as error:
            reason = str(error)
        except KeyError as error:
            reason = f"the key {error} is missing"
        raise InvalidInput(
            f"{self.plan_file}: not a network plan of this version: {reason}; "
            f"`metanode reset --directory {shlex.quote(str(self.path))}` makes room for a new one"
        )


def _program(found: Any, where: str) -> ProgramPlan:
    program = _checked(ProgramPlan, found, where)
    return ProgramPlan(**program | {"arguments": tuple(program["arguments"])})


def _checked(kind: type[NodePlan | NetworkSpec | ProgramPlan], found: Any, where: str) -> dict[str, Any]:
    """The fields of a part of the plan; raises ValueError that names the first key that is missing, or that this version does not know."""
    if not isinstance(found, dict):
        raise ValueError(f"{where}: expected an object, found {found!r:.80}")
    known = {field.name: field.default is MISSING for field in fields(kind)}
    missing = [name for name, is_needed in known.items() if is_needed and name not in found]
    unknown = [name for name in found if name not in known]
    if missing or unknown:
        problem = f"{missing[0]} is missing" if missing else f"{unknown[0]!r:.80} is not known"
        raise ValueError(f"{where}.{problem}" if missing else f"{where}: {problem}")
    return found


def write_atomic(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a text so that a reader or a crash sees the old one or the new one, never half."""
    write_whole(path, text.encode(), mode=mode)
