"""Writing a deployment, and calling again: with the same parameters, with others, with files that a person changed."""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import re
import stat
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.deployment.deployments import block, plan

from metanode.chain.genesis import parse_genesis
from metanode.crypto.keystore import load_key
from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.deployment import DeploymentChange, DeploymentConfig, TestnetDeployer, deploy_testnet
from sdk.testnet.deployment.apply import compose as compose_engine
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.deployment_plan import supply_needed
from sdk.testnet.deployment.keys import owner_of
from sdk.testnet.genesis import GenesisGenerator


def deploy(folder: Path, **parameters: Any) -> Any:
    """With a wheel that is none, for making a real one takes most of the time."""
    wheel = folder.parent / f"{folder.name}-wheel" / "metanode-0-py3-none-any.whl"
    wheel.parent.mkdir(exist_ok=True)
    wheel.write_bytes(b"a wheel")
    return deploy_testnet(**{"num_validators": 2, "output_dir": folder, "wheel": wheel} | parameters)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_that_the_document_names_is_written(tmp_path: Path) -> None:
    result = deploy(tmp_path)

    assert contents(tmp_path).keys() >= {
        "genesis/genesis.json", "genesis/genesis_block.json", "genesis/validators.json", "genesis/chain_specification.json",
        "data/validator-1/validator.json", "data/validator-2/validator.json", "data/validator-1/nodekey", "data/faucet/faucet.json",
        "docker-compose.testnet.yml", "Dockerfile", ".dockerignore", "prometheus.yml", "rules/alerts.yml", ".env", "TESTNET_DEPLOYMENT.md",
        "grafana/provisioning/datasources/prometheus.yml", "config/validator-1.toml", "deployment.json",
    }  # fmt: skip
    genesis = parse_genesis((tmp_path / "genesis" / "chain_specification.json").read_bytes())
    assert result.genesis_hash == "0x" + genesis.header.hash.hex()
    assert genesis.parameters.period_s == 2
    assert result.genesis_hash in result.guide.read_text()


def test_keys_are_encrypted_and_their_passwords_apart(tmp_path: Path) -> None:
    deploy(tmp_path)
    keystore = tmp_path / "data" / "validator-1" / "validator.json"
    password = tmp_path / "secrets" / "validator-1.password"

    key = load_key(keystore, password.read_text().strip())

    assert key.secret.hex() not in keystore.read_text()
    assert not list((tmp_path / "data").rglob("*.password"))
    for path in (keystore, password, tmp_path / "data" / "validator-1" / "nodekey"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (tmp_path / "data", tmp_path / "secrets"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (folder / ".gitignore").read_text() == "*\n"


def test_none_of_the_accounts_whose_keys_everybody_has_is_in_the_genesis(tmp_path: Path) -> None:
    deploy(tmp_path)

    alloc = json.loads((tmp_path / "genesis" / "chain_specification.json").read_text())["alloc"]
    addresses = {address.lower() for address in alloc}
    assert len(addresses) > 0
    assert [account.address for account in funded_accounts() if account.address.lower() in addresses] == []


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    deploy(tmp_path)
    before = contents(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    again = deploy(tmp_path)

    assert (again.created, again.changed) == ((), ())
    assert contents(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_changed_parameter_is_said_and_then_confirmed(tmp_path: Path) -> None:
    deploy(tmp_path)
    before = contents(tmp_path)

    with pytest.raises(DeploymentChange, match=r"(?s)port_offset: 0 -> 7\n.*confirm_changes=True") as raised:
        deploy(tmp_path, port_offset=7)

    first, *files = raised.value.changes
    assert first == "port_offset: 0 -> 7"
    assert "docker-compose.testnet.yml: would be written anew" in files
    assert contents(tmp_path) == before
    result = deploy(tmp_path, port_offset=7, confirm_changes=True)
    assert [f"{name}: would be written anew" for name in result.changed] == files, (
        "no more and no less than was said"
    )
    assert "8552:8545" in result.compose_file.read_text()
    assert {
        name: content
        for name, content in contents(tmp_path).items()
        if name.startswith(("data/", "genesis/"))
    } == {name: content for name, content in before.items() if name.startswith(("data/", "genesis/"))}


def test_another_genesis_is_another_network_with_the_same_keys(tmp_path: Path) -> None:
    first = deploy(tmp_path)
    keys = {
        name: content
        for name, content in contents(tmp_path).items()
        if name.startswith(("data/", "secrets/"))
    }

    with pytest.raises(DeploymentChange, match="chain_id: 9999 -> 5") as raised:
        deploy(tmp_path, chain_id=5)
    assert raised.value.changes[1:] == (
        "genesis: would be another one, so another chain, with the same keys",
    )
    second = deploy(tmp_path, chain_id=5, num_validators=3, confirm_changes=True)

    assert second.genesis_hash != first.genesis_hash
    after = contents(tmp_path)
    assert {name: after[name] for name in keys} == keys
    assert "data/validator-3/validator.json" in after


def test_a_chain_that_has_begun_keeps_its_genesis(tmp_path: Path) -> None:
    deploy(tmp_path)
    blocks = tmp_path / "data" / "validator-1" / "data"
    blocks.mkdir()
    (blocks / "node.db").write_bytes(b"blocks")
    before = contents(tmp_path)

    with pytest.raises(
        InvalidInput, match=r"(?s)the chain has begun:\n  chain_id: 9999 -> 5\n.*move its blocks away"
    ):
        deploy(tmp_path, chain_id=5, confirm_changes=True)

    assert contents(tmp_path) == before
    assert deploy(tmp_path, port_offset=1, confirm_changes=True).changed


def test_a_file_that_a_person_edited_is_said_and_kept_beside_the_new_one(tmp_path: Path) -> None:
    deploy(tmp_path)
    compose = tmp_path / "docker-compose.testnet.yml"
    written = compose.read_text()
    compose.write_text(written + "# mine\n")

    with pytest.raises(DeploymentChange, match=r"docker-compose.testnet.yml: is not as it was written"):
        deploy(tmp_path)
    deploy(tmp_path, confirm_changes=True)

    assert compose.read_text() == written
    assert (tmp_path / "docker-compose.testnet.yml.before").read_text() == written + "# mine\n"


def test_a_file_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM mine\n")

    with pytest.raises(DeploymentChange, match=r"Dockerfile: is not as it was written"):
        deploy(tmp_path)

    assert (tmp_path / "Dockerfile").read_text() == "FROM mine\n"


def test_lines_of_the_environment_stay(tmp_path: Path) -> None:
    deploy(tmp_path)
    file = tmp_path / ".env"
    file.write_text(file.read_text().replace("# NODE_MEMORY=4g", "NODE_MEMORY=2g"))

    deploy(tmp_path, port_offset=3, confirm_changes=True)

    assert "\nNODE_MEMORY=2g\n" in file.read_text()
    # A validator's key may stand in it.
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_lost_password_stops_the_call_and_makes_no_key(tmp_path: Path) -> None:
    deploy(tmp_path)
    (tmp_path / "secrets" / "validator-1.password").unlink()
    keystore = (tmp_path / "data" / "validator-1" / "validator.json").read_bytes()

    with pytest.raises(InvalidInput, match=r"validator-1.password: missing, while .*validator.json is there"):
        deploy(tmp_path)

    assert (tmp_path / "data" / "validator-1" / "validator.json").read_bytes() == keystore


@pytest.mark.parametrize(
    "lost", ["deployment.json", "genesis/chain_specification.json", "config/validator-1.toml"]
)
def test_a_call_that_was_interrupted_goes_on(tmp_path: Path, lost: str) -> None:
    deploy(tmp_path)
    before = contents(tmp_path)
    (tmp_path / lost).unlink()

    deploy(tmp_path)

    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"num_validators": 0}, "num_validators: found 0; expected 1 to 100"),
        ({"num_validators": "5"}, "num_validators: expected a whole number, found '5'"),
        ({"chain_id": 0}, "chain id: found 0"),
        ({"chain_id": True}, "chain_id: expected a whole number, found True"),
        ({"network_name": "Bad Name"}, "network: found 'Bad Name'"),
        ({"network_name": 5}, "network_name: expected text, found 5"),
        ({"block_time_s": 0}, "block time: found 0 s"),
        ({"consensus_type": "pow"}, "consensus_type: expected 'pos' or 'ibft', found 'pow'"),
        ({"preset": "mainnet"}, "preset: expected 'parvyom-testnet-v1', 'moderntensor-testnet' or nothing, found 'mainnet'"),
        ({"services": ("fountain",)}, "services: expected names of "),
        ({"image": "a b"}, "image: expected the name of an image"),
        ({"bind_address": "everywhere"}, "bind_address: expected an IPv4 address"),
        ({"bind_address": "::1"}, "bind_address: expected an IPv4 address"),
        ({"data_dir": "/srv/a:b"}, "/srv/a:b: Compose takes no path with a colon"),
        ({"port_offset": 60_000}, "port offset: found 60000"),
        ({"accounts": {"0x12": 1}}, "accounts: expected 0x and 40 hexadecimal digits, found '0x12'"),
        ({"accounts": {"0x" + "ab" * 20: -1}}, "expected a whole number of gwei, found -1"),
        ({"wheel": "other.whl"}, "wheel: expected a file metanode-….whl, found 'other.whl'"),
        ({"colour": "red"}, "colour: no such parameter of a deployment; known are network_name, chain_id"),
        ({"apply": "swarm"}, "apply: expected 'compose', 'local' or nothing, found 'swarm'"),
        ({"validator_stake": 1}, "validator_stake: expected at least 1000000 tokens, found 1"),
        ({"faucet_balance": -1}, "faucet_balance: expected 0 gwei or more, found -1"),
        ({"total_supply": "many"}, "total_supply: expected a whole number of tokens, found 'many'"),
        ({"total_supply": 30_000_000 - 1}, "2 validators of 10000000 tokens and the balances are 30000000 tokens together"),
        ({"public_faucet": "yes"}, "public_faucet: expected true, false or nothing"),
        ({"peers_bind_address": "here"}, "peers_bind_address: expected an IPv4 address"),
        ({"public_host": "a b"}, "public_host: expected a name or an address"),
        ({"alertmanager": "alerts"}, "alertmanager: expected a name or an address such as alertmanager:9093"),
    ],
)  # fmt: skip
def test_wrong_input_is_told_in_a_sentence_that_names_the_field(
    tmp_path: Path, parameters: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(sentence)):
        deploy(tmp_path, **parameters)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"num_validators": 100},
        {"num_validators": 60, "validator_stake": 20_000_000},
        {"num_validators": 99, "accounts": {"0x" + "ab" * 20: 5 * 10**9}},
    ],
)
def test_what_is_asked_for_fits_into_the_supply(parameters: dict[str, Any]) -> None:
    """No key is made: a hundred of them would take a minute."""
    of = plan(**parameters)

    assert supply_needed(of.config) <= of.total_supply
    block(of)


def test_several_wrong_fields_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as raised:
        deploy(tmp_path, consensus_type="pow", image="a b", num_validators=0)

    assert len(str(raised.value).splitlines()) == 3


def test_the_parts_of_a_deployer_work_by_themselves(tmp_path: Path) -> None:
    wheel = tmp_path / "metanode-0-py3-none-any.whl"
    wheel.touch()
    config = DeploymentConfig("test-testnet", 9999, 3, tmp_path / "genesis", tmp_path / "data", wheel=wheel)
    deployer = TestnetDeployer(config)

    folders = deployer.setup_directories()
    genesis = deployer.prepare_genesis()
    compose = deployer.generate_docker_compose(tmp_path / "docker-compose.yml")
    guide = deployer.generate_documentation()

    assert folders == [tmp_path / "data" / f"validator-{number}" for number in (1, 2, 3)]
    assert (tmp_path / "genesis" / "genesis.json").exists()
    assert [validator.name for validator in genesis.initial_validators] == [
        "validator-1",
        "validator-2",
        "validator-3",
    ]
    assert "validator-3:" in compose.read_text()
    assert guide == tmp_path / "TESTNET_DEPLOYMENT.md"
    assert "test-testnet" in guide.read_text()
    assert deployer.deploy().created


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[str] = []

    deploy(tmp_path, progress=told.append)

    assert told == ["keys of the validators", "genesis", "files of the deployment"]


def test_the_wheel_of_the_image_is_this_installation(tmp_path: Path) -> None:
    deploy(tmp_path, wheel=None)
    (wheel,) = (tmp_path / "image").glob("metanode-*-cp311-abi3-linux_*.whl")

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        record = archive.read(next(name for name in names if name.endswith("RECORD"))).decode()
        commands = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()

    assert {"metanode/_engine.abi3.so", "metanode/node/app.py", "sdk/testnet/deployment/deployer.py"} <= set(
        names
    )
    assert not [name for name in names if name.endswith(".pyc") or name.startswith("sdk/__init__")]
    assert len(record.splitlines()) == len(names)
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    written = configparser.ConfigParser(delimiters="=")
    written.read_string(commands)
    assert dict(written["console_scripts"]) == project["scripts"]
    assert dict(written["pytest11"]) == project["entry-points"]["pytest11"]
    requirements = (tmp_path / "image" / "requirements.txt").read_text()
    assert re.search(r"^uvloop==\S+ \\\n    --hash=sha256:", requirements, flags=re.MULTILINE)
    assert "pytest" not in requirements


def test_another_wheel_can_be_given(tmp_path: Path) -> None:
    wheel = tmp_path / "metanode-9-cp311-abi3-manylinux_2_28_aarch64.whl"
    wheel.write_bytes(b"built elsewhere")

    deploy(tmp_path / "out", wheel=wheel)

    assert [path.name for path in (tmp_path / "out" / "image").glob("*.whl")] == [wheel.name]


def test_an_upgrade_leaves_no_other_wheel_for_the_image(tmp_path: Path) -> None:
    """The image installs every wheel that stands there, and two versions of one package are none."""
    wheels = [tmp_path / f"metanode-{version}-py3-none-any.whl" for version in (1, 2)]
    for wheel in wheels:
        wheel.write_bytes(wheel.name.encode())
    out = tmp_path / "out"
    deploy(out, wheel=wheels[0])

    with pytest.raises(
        DeploymentChange, match=r"image/metanode-1-\S+: is no longer of this deployment; would be deleted"
    ):
        deploy(out, wheel=wheels[1])
    assert (out / "image" / wheels[0].name).exists()
    upgraded = deploy(out, wheel=wheels[1], confirm_changes=True)

    assert upgraded.deleted == (f"image/{wheels[0].name}",)
    assert [path.name for path in (out / "image").glob("*.whl")] == [wheels[1].name]
    assert deploy(out, wheel=wheels[1]).deleted == ()


def test_what_a_person_has_edited_is_not_deleted(tmp_path: Path) -> None:
    deploy(tmp_path, services=("faucet", "monitoring"))
    mine = tmp_path / "rules" / "alerts.yml"
    mine.write_text("# mine\n")

    result = deploy(tmp_path, services=("faucet",), confirm_changes=True)

    assert mine.read_text() == "# mine\n"
    assert "prometheus.yml" in result.deleted
    assert not (tmp_path / "prometheus.yml").exists()


def test_a_record_names_nothing_outside_of_its_deployment(tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    deploy(out)
    outside.write_text("another's\n")
    record = json.loads((out / "deployment.json").read_text())
    record["files"] |= dict.fromkeys(
        ("../outside", str(outside)), hashlib.sha256(outside.read_bytes()).hexdigest()
    )
    (out / "deployment.json").write_text(json.dumps(record))

    assert deploy(out).deleted == ()
    assert outside.exists()


def test_containers_run_as_who_deploys_and_never_as_root(tmp_path: Path) -> None:
    deploy(tmp_path)
    owner = owner_of(tmp_path / "data")

    assert owner.user != 0
    assert owner.user == (os.getuid() or 10001)
    assert f"RUN_AS:-{owner}" in (tmp_path / "docker-compose.testnet.yml").read_text()
    assert {path.stat().st_uid for path in (tmp_path / "data").rglob("*")} == {owner.user}


def test_the_record_holds_no_secret(tmp_path: Path) -> None:
    deploy(tmp_path)
    record = json.loads((tmp_path / "deployment.json").read_text())

    assert record["parameters"]["num_validators"] == 2
    assert not [name for name in record["files"] if name.startswith(("data/", "secrets/"))]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    deploy(tmp_path)
    (tmp_path / "deployment.json").write_text("{}")

    with pytest.raises(InvalidInput, match=r"deployment.json: expected the record of a deployment"):
        deploy(tmp_path)


def test_starting_containers_builds_what_is_new_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that is there may be of the version before, or of another deployment."""
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="2.40.3", stderr="")

    monkeypatch.setattr(compose_engine.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(compose_engine.subprocess, "run", run)

    deploy(tmp_path, apply="compose")

    assert ran[-1][:7] == [
        "docker", "compose", "-f", "docker-compose.testnet.yml", "up", "--detach", "--build",
    ]  # fmt: skip


def test_an_engine_that_hangs_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], *, timeout: float, **_: Any) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(compose_engine.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(compose_engine.subprocess, "run", run)

    with pytest.raises(Unavailable, match="neither `docker compose` nor `docker-compose`"):
        compose_engine.find_compose()


def test_a_genesis_that_somebody_else_exported_into_the_folder_is_not_replaced(tmp_path: Path) -> None:
    """Not even when changes are confirmed: none of its validators' keys are here, and its nodes would never start again."""
    generator = GenesisGenerator()
    generator.create_testnet_config(network_name="theirs", validator_count=1)
    generator.export_config(tmp_path / "genesis")
    before = contents(tmp_path / "genesis")

    with pytest.raises(DeploymentChange, match="another genesis, so another network"):
        deploy(tmp_path)
    with pytest.raises(InvalidInput, match="is the genesis of another network, 'theirs'"):
        deploy(tmp_path, confirm_changes=True)

    assert contents(tmp_path / "genesis") == before


def test_a_compose_file_elsewhere_mounts_what_the_deployment_wrote(tmp_path: Path) -> None:
    """Paths that begin with a dot would begin at that other folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    wheel = tmp_path / "metanode-0-py3-none-any.whl"
    wheel.touch()
    deployer = TestnetDeployer(DeploymentConfig(num_validators=2, output_dir=tmp_path / "out", wheel=wheel))

    path = deployer.generate_docker_compose(elsewhere / "compose.yml")

    services = yaml.safe_load(path.read_text())["services"]
    sources = {
        volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])
    }
    assert services["bootstrap"]["build"]["context"] == str(tmp_path / "out")
    assert len(sources) > 5
    for source in sources:
        assert Path(source).is_absolute()
        assert Path(source).exists(), source
