"""`deploy_testnet` and `TestnetDeployer`: a deployment planned, rendered, compared, written, and started where that is asked."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from metanode.crypto.addresses import format_address
from metanode.crypto.keystore import write_secret_file
from metanode.errors import InvalidGenesis, InvalidInput
from sdk.testnet.deployment import changes, keys
from sdk.testnet.deployment.apply import compose as compose_engine
from sdk.testnet.deployment.apply import deployed
from sdk.testnet.deployment.compose import COMPOSE_FILE
from sdk.testnet.deployment.configuration import DeploymentConfig
from sdk.testnet.deployment.container_config import BOOTSTRAP, COORDINATOR, FAUCET
from sdk.testnet.deployment.deployment_plan import Identity, plan_deployment
from sdk.testnet.deployment.environment_file import ENVIRONMENT_FILE, render_environment
from sdk.testnet.deployment.files import render_compose_of, render_files
from sdk.testnet.deployment.guide import GUIDE_FILE, render_guide
from sdk.testnet.deployment.image.wheel import make_wheel, requirements, wheel_name
from sdk.testnet.genesis.configuration import (
    AccountConfig,
    ConsensusConfig,
    GenesisConfig,
    NetworkConfig,
    ValidatorConfig,
)
from sdk.testnet.genesis.generator import (
    CONFIGURATION_FILE,
    SPECIFICATION_FILE,
    GenesisGenerator,
    name_of_another_network,
)
from sdk.testnet.keys import take_key, take_password
from sdk.testnet.monitoring.alerts.webhooks_file import format_webhooks, listed_webhooks
from sdk.testnet.writing import write_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from sdk.testnet.deployment.apply.local import NetworkStatus
    from sdk.testnet.deployment.deployment_plan import DeploymentPlan
    from sdk.testnet.genesis.block import GenesisBlock

Apply = Literal["compose", "local"]
GENESIS_PARAMETERS: Final = frozenset(
    {
        "network_name", "chain_id", "num_validators", "block_time_s", "consensus_type", "validator_stake", "faucet_balance",
        "accounts", "total_supply", "gas_limit", "block_reward_gwei",
    }
)  # fmt: skip
"""Parameters that the first block is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentResult:
    """What a call has done."""

    output_dir: Path
    compose_file: Path
    guide: Path
    genesis_hash: str
    """Consensus hash of the first block, 0x and 64 digits."""
    created: tuple[str, ...]
    """Files that were not there, by their path below `output_dir`."""
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    deleted: tuple[str, ...]
    """Files of an earlier call that this one has none of."""
    plan: DeploymentPlan
    status: NetworkStatus | None = None
    """Of a network that was started with apply="local"."""


class TestnetDeployer:
    """Writes the files of one deployment, and starts it where that is asked.

    `deploy` does everything. The other methods do their part alone, in any order: what they need of each other, they make.
    """

    __test__ = False  # pytest collects no tests here

    def __init__(
        self, config: DeploymentConfig | None = None, *, progress: Callable[[str], None] | None = None
    ) -> None:
        self.config = config or DeploymentConfig()
        self._progress = progress or (lambda _: None)
        self._made_wheel: tuple[str, bytes] | None = None

    def plan(self) -> DeploymentPlan:
        """Decide everything, and write nothing; raises InvalidInput with a line for each field that is wrong."""
        return plan_deployment(self.config, owner=keys.owner_of(self.config.data_path))

    def setup_directories(self) -> list[Path]:
        """Make `data_dir/validator-1` … with their keys, and return these folders; what is there is taken up."""
        plan = self.plan()
        self._identities(plan)
        return [plan.data / node.name for node in plan.network.validators]

    def prepare_genesis(self, *, confirm_changes: bool = False) -> GenesisConfig:
        """Write the genesis, from the keys of the validators, into `genesis_dir`; one that is there already is kept.

        Raises:
            DeploymentChange: when another one is there, and its replacement is not confirmed.
            InvalidInput: when another one is there, and the chain has begun.
        """
        plan = self.plan()
        return self._genesis(plan, self._identities(plan), confirm_changes=confirm_changes)

    def generate_docker_compose(
        self, output_path: str | os.PathLike[str] | None = None, *, confirm_changes: bool = False
    ) -> Path:
        """Write the Compose file, by default `docker-compose.testnet.yml` in `output_dir`, and return its path.

        What it mounts and builds from goes into `output_dir` where it is not there yet; a file elsewhere names it by absolute paths.
        """
        plan = self.plan()
        path = plan.output / COMPOSE_FILE if output_path is None else Path(output_path).resolve()
        identities = self._identities(plan)
        block = self._block(plan, identities, confirm_changes=confirm_changes)
        for name, content in self._render(plan, identities, block).items():
            if name not in (COMPOSE_FILE, GUIDE_FILE) and not (plan.output / name).exists():
                write_whole(plan.output / name, content)
        self._write_environment(plan)
        text = render_compose_of(replace(plan, compose_folder=path.parent), identities, block)
        return self._write_one(path, text, confirm_changes)

    def generate_documentation(
        self, output_path: str | os.PathLike[str] | None = None, *, confirm_changes: bool = False
    ) -> Path:
        """Write the guide, by default `TESTNET_DEPLOYMENT.md` in `output_dir`, and return its path."""
        plan = self.plan()
        identities = self._identities(plan)
        block = self._block(plan, identities, confirm_changes=confirm_changes)
        path = plan.output / GUIDE_FILE if output_path is None else Path(output_path)
        return self._write_one(path, render_guide(plan, identities, block), confirm_changes)

    def deploy(self, *, apply: Apply | None = None, confirm_changes: bool = False) -> DeploymentResult:
        """Write everything that is not there yet, and start the network where `apply` says how.

        Args:
            apply: "compose" starts the containers and waits until all are healthy, "local" starts the same validators as processes
                of this machine and waits until they agree on a block; without it nothing is started.
            confirm_changes: Write what differs from what stands there. Keys and chain data are never written over.

        Raises:
            DeploymentChange: when something would be changed that was not confirmed; what is there stays as it is then.
            InvalidInput: when a parameter is impossible, or the chain has begun with another genesis.
            Unavailable: when the network does not start.
        """
        if apply not in (None, "compose", "local"):
            raise InvalidInput(f"apply: expected 'compose', 'local' or nothing, found {apply!r:.80}")
        plan = self.plan()
        record = changes.load_record(plan.output)
        self._check_parameters(plan, record, confirm_changes=confirm_changes)
        if apply == "local":
            deployed.check(plan)
        if apply == "compose":
            compose_engine.find_compose()
        self._wheel()  # What is wrong with one that was given is told before anything is written.
        self._progress("keys of the validators")
        identities = self._identities(plan)
        self._progress("genesis")
        block = self._block(plan, identities, confirm_changes=confirm_changes)
        self._progress("files of the deployment")
        self._write_webhooks(plan, confirm_changes=confirm_changes)
        files = self._render(plan, identities, block)
        comparison = changes.compare(plan.output, files, record)
        if comparison.sentences and not confirm_changes:
            raise changes.DeploymentChange(plan.output, comparison.sentences)
        changes.write(plan.output, files, comparison, changes.parameters_of(self.config))
        self._write_environment(plan)
        status = self._start(plan, identities, block, apply, confirm_changes=confirm_changes)
        return DeploymentResult(
            output_dir=plan.output,
            compose_file=plan.output / COMPOSE_FILE,
            guide=plan.output / GUIDE_FILE,
            genesis_hash="0x" + block.hash.hex(),
            created=comparison.new,
            changed=(*comparison.changed, *comparison.edited),
            unchanged=comparison.unchanged,
            deleted=comparison.gone,
            plan=plan,
            status=status,
        )

    def _start(
        self,
        plan: DeploymentPlan,
        identities: Mapping[str, Identity],
        block: GenesisBlock,
        apply: Apply | None,
        *,
        confirm_changes: bool,
    ) -> NetworkStatus | None:
        if apply == "compose":
            self._progress("containers: building the image and waiting until all are healthy")
            compose_engine.start(plan.output)
        if apply == "local":
            self._progress("processes: waiting until the validators agree on a block")
            return deployed.start(
                plan, identities, genesis_hash="0x" + block.hash.hex(), confirm_changes=confirm_changes
            )
        return None

    def _check_parameters(
        self, plan: DeploymentPlan, record: changes.Record | None, *, confirm_changes: bool
    ) -> None:
        if record is None:
            return
        parameters = changes.parameters_of(self.config)
        different = changes.describe_parameters(record.parameters, parameters)
        if not different:
            return
        is_another_genesis = bool(GENESIS_PARAMETERS & {line.partition(":")[0] for line in different})
        if is_another_genesis:
            _check_not_begun(plan, different)
        if confirm_changes:
            return
        if is_another_genesis:
            consequences = ["genesis: would be another one, so another chain, with the same keys"]
        else:
            consequences = self._consequences(plan, record)
        raise changes.DeploymentChange(plan.output, [*different, *consequences])

    def _consequences(self, plan: DeploymentPlan, record: changes.Record) -> list[str]:
        """What other parameters would do to the files, where that is known: who comes new to a deployment has no key yet."""
        before = record.parameters
        if before.get("preset") != self.config.preset or not {*self.config.services} <= {*before["services"]}:
            return []
        identities = self._identities(plan)
        block = self._block(plan, identities, confirm_changes=False)
        return changes.compare(plan.output, self._render(plan, identities, block), record).sentences

    def _identities(self, plan: DeploymentPlan) -> dict[str, Identity]:
        """The identity of every node, by its name; its keys are made when they are not there."""
        for folder in (plan.data, plan.secrets):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (folder / ".gitignore").exists():
                # Keys of a deployment inside a repository are nobody's to commit.
                write_whole(folder / ".gitignore", b"*\n")
        found = {
            node.name: keys.take_validator(plan.data / node.name, plan.secrets / f"{node.name}.password")
            for node in plan.network.validators
        }
        for name in plan.homes:
            (plan.data / name).mkdir(mode=0o700, exist_ok=True)
        faucet = take_key(plan.data / FAUCET / f"{FAUCET}.json", plan.secrets / f"{FAUCET}.password")
        found[FAUCET] = Identity(validator=None, public_key=None, node_id=b"", account=faucet.address)
        if plan.has(FAUCET):
            take_password(plan.operator_password_file)
        if not plan.webhooks_file.exists():
            write_secret_file(plan.webhooks_file, format_webhooks(()).encode())
        if plan.has(BOOTSTRAP):
            found[BOOTSTRAP] = keys.take_follower(plan.data / BOOTSTRAP)
        if plan.has("monitoring"):
            take_password(plan.secrets / "grafana.password")
        if plan.is_parvyom:
            found[COORDINATOR] = keys.take_follower(plan.data / COORDINATOR)
            take_password(plan.secrets / "postgres.password")
        for folder in (plan.data, plan.secrets):
            keys.give(folder, plan.owner)
        return found

    def _genesis(
        self, plan: DeploymentPlan, identities: Mapping[str, Identity], *, confirm_changes: bool
    ) -> GenesisConfig:
        path = plan.genesis / CONFIGURATION_FILE
        existing = GenesisConfig.load(path) if path.exists() else None
        now = datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
        wanted = self._genesis_config(
            plan, identities, genesis_time=existing.genesis_time if existing else now
        )
        generator = GenesisGenerator(wanted)
        if problems := generator.validate_config():
            raise InvalidGenesis("\n".join(problems))
        if existing is not None and existing.to_dict() != wanted.to_dict():
            what = [f"{path}: another genesis, so another network"]
            _check_not_begun(plan, what)
            if not confirm_changes:
                raise changes.DeploymentChange(plan.output, what)
            if (name := name_of_another_network(wanted, path)) is not None:
                raise InvalidInput(
                    f"{path}: is the genesis of another network, {name!r:.80}, which has none of these validators and would never start "
                    "again: deploy to another folder, or move these files away"
                )
            # A new network starts now.
            generator = GenesisGenerator(self._genesis_config(plan, identities, genesis_time=now))
        elif existing is not None and (plan.genesis / SPECIFICATION_FILE).exists():
            return existing
        generator.export_config(plan.genesis)
        assert generator.config is not None
        return generator.config

    def _block(
        self, plan: DeploymentPlan, identities: Mapping[str, Identity], *, confirm_changes: bool
    ) -> GenesisBlock:
        config = self._genesis(plan, identities, confirm_changes=confirm_changes)
        return GenesisGenerator(config).generate_genesis_block()

    def _genesis_config(
        self, plan: DeploymentPlan, identities: Mapping[str, Identity], *, genesis_time: str
    ) -> GenesisConfig:
        config = self.config
        faucet = identities[FAUCET].account
        assert faucet is not None
        validators = [
            ValidatorConfig(
                address=format_address(identity.validator),
                stake=config.validator_stake,
                public_key="0x" + identity.public_key.hex(),
                name=name,
            )
            for name, identity in identities.items()
            if identity.validator is not None and identity.public_key is not None
        ]
        consensus = ConsensusConfig(type=config.consensus_type, slot_duration=config.block_time_s)
        consensus.validator_count = max(consensus.validator_count, config.num_validators)
        return GenesisConfig(
            chain_id=config.chain_id,
            network_name=config.network_name,
            genesis_time=genesis_time,
            consensus=consensus,
            network=NetworkConfig(chain_id=config.chain_id, network_name=config.network_name),
            initial_validators=validators,
            initial_accounts=[
                AccountConfig(address=format_address(faucet), balance=config.faucet_balance),
                *(AccountConfig(address=address, balance=gwei) for address, gwei in config.accounts.items()),
            ],
            total_supply=plan.total_supply,
            gas_limit=config.gas_limit,
            block_reward_gwei=config.block_reward_gwei,
        )

    def _render(
        self, plan: DeploymentPlan, identities: Mapping[str, Identity], block: GenesisBlock
    ) -> dict[str, bytes]:
        name, wheel = self._wheel()
        return render_files(
            plan, identities, block, wheel_name=name, wheel=wheel, requirements=requirements()
        )

    def _wheel(self) -> tuple[str, bytes]:
        """The file name and the content of the image's wheel, made once."""
        if self._made_wheel is None:
            self._made_wheel = self._find_wheel()
        return self._made_wheel

    def _find_wheel(self) -> tuple[str, bytes]:
        if self.config.wheel is None:
            return wheel_name(), make_wheel()
        path = Path(self.config.wheel)
        if path.suffix != ".whl" or not path.name.startswith("metanode-"):
            raise InvalidInput(f"wheel: expected a file metanode-….whl, found {str(path)!r}")
        try:
            return path.name, path.read_bytes()
        except OSError as error:
            raise InvalidInput(f"wheel: {path}: {error.strerror}") from None

    def _write_webhooks(self, plan: DeploymentPlan, *, confirm_changes: bool) -> None:
        """Write who is told of alerts, where the call says so."""
        if self.config.webhooks is None:
            return
        path, wanted = plan.webhooks_file, format_webhooks(self.config.webhooks).encode()
        found = listed_webhooks(path.read_text(encoding="utf-8", errors="replace"))
        if found == listed_webhooks(wanted.decode()):
            return
        if found and not confirm_changes:
            raise changes.DeploymentChange(
                plan.output, ["webhooks: others than those in secrets/webhooks.txt"]
            )
        write_whole(path, wanted, mode=0o600)
        keys.give(path, plan.owner)

    def _write_environment(self, plan: DeploymentPlan) -> None:
        path = plan.output / ENVIRONMENT_FILE
        existing = ""
        with contextlib.suppress(FileNotFoundError):
            existing = path.read_text(encoding="utf-8")
        text = render_environment(plan, existing)
        if text != existing:
            # A key may stand in it.
            write_whole(path, text.encode(), mode=0o600)

    def _write_one(self, path: Path, text: str, confirm_changes: bool) -> Path:  # noqa: FBT001 - handed on
        """Write one file of the deployment by itself, unless another text stands there."""
        content = text.encode()
        if path.exists() and path.read_bytes() != content and not confirm_changes:
            raise changes.DeploymentChange(path.parent, [f"{path.name}: would be written anew"])
        if not path.exists() or path.read_bytes() != content:
            write_whole(path, content)
        return path


def deploy_testnet(
    network_name: str | None = None,
    chain_id: int | None = None,
    num_validators: int | None = None,
    *,
    apply: Apply | None = None,
    confirm_changes: bool = False,
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> DeploymentResult:
    """Write all files of a network with `num_validators` validators, and start it where `apply` says how.

    By default it is `moderntensor-testnet` with chain id 9999 and five validators, or what `preset` says.
    `options` are the other fields of `DeploymentConfig`, such as `output_dir`, `block_time_s` or `preset`. A second call changes nothing;
    one with other parameters says what it would change, and does so with `confirm_changes=True`. `progress` is called with what is being done.

    Raises:
        DeploymentChange: when something would be changed that was not confirmed; what is there stays as it is then.
        InvalidInput: when a parameter is impossible.
        Unavailable: when the network does not start.
    """
    try:
        given: dict[str, Any] = {
            "network_name": network_name,
            "chain_id": chain_id,
            "num_validators": num_validators,
        }
        config = DeploymentConfig(
            **{name: value for name, value in given.items() if value is not None}, **options
        )
    except TypeError:
        known = DeploymentConfig.__slots__
        unknown = next((name for name in options if name not in known), "")
        raise InvalidInput(
            f"{unknown}: no such parameter of a deployment; known are {', '.join(known)}"
        ) from None
    return TestnetDeployer(config, progress=progress).deploy(apply=apply, confirm_changes=confirm_changes)


def _check_not_begun(plan: DeploymentPlan, different: list[str]) -> None:
    """Refuse another genesis where nodes have blocks of the first."""
    begun = [
        plan.data / name / "data"
        for name in (*(node.name for node in plan.network.validators), COORDINATOR)
        if any((plan.data / name / "data").glob("*"))
    ]
    if begun:
        lines = "\n".join(f"  {line}" for line in different)
        raise InvalidInput(
            f"{plan.output}: these belong to the genesis, and the chain has begun:\n{lines}\n"
            f"Deploy to another folder, or stop this network and move its blocks away: {', '.join(map(str, begun))}"
        )
