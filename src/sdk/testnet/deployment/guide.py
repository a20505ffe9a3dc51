"""TESTNET_DEPLOYMENT.md: what was deployed, and everything that an operator does with it. Pure, golden-tested."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from metanode.chain.quorum import QuorumRule
from metanode.crypto.addresses import format_address
from sdk.testnet.deployment.compose import COMPOSE_FILE
from sdk.testnet.deployment.configuration import facts_of
from sdk.testnet.deployment.container_config import BOOTSTRAP, COORDINATOR, EXPLORER, FAUCET, GATEWAY, enode
from sdk.testnet.deployment.deployment_plan import (
    API_PORT,
    DASHBOARD_PORT,
    RPC_PORT,
    WS_PORT,
)
from sdk.testnet.deployment.plan import CHAIN_FILES, OPERATOR
from sdk.testnet.genesis.generator import SPECIFICATION_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk.testnet.deployment.deployment_plan import DeploymentPlan, Identity
    from sdk.testnet.genesis.block import GenesisBlock

GUIDE_FILE: Final = "TESTNET_DEPLOYMENT.md"
COMPOSE: Final = f"docker compose -f {COMPOSE_FILE}"


def render_guide(plan: DeploymentPlan, identities: Mapping[str, Identity], block: GenesisBlock) -> str:
    """The whole page."""
    parts = [
        _about(plan, block),
        _start(plan),
        _endpoints(plan),
        _wallet(plan),
        _watch(plan),
        _stop(plan),
        _upgrade(),
        _change(),
        _validators(plan, identities),
        _reset(plan),
        _files(plan),
        _reach(plan),
        _offline(),
    ]
    return "\n\n".join(parts) + "\n"


def _about(plan: DeploymentPlan, block: GenesisBlock) -> str:
    config = plan.config
    weights = "votes weigh by stake" if config.consensus_type == "pos" else "each validator has one vote"
    count = config.num_validators
    started = datetime.fromtimestamp(block.header.timestamp, UTC)
    facts = facts_of(plan.preset)
    other = ", ".join(
        f"{name} {getattr(config, name)} instead of {value}"
        for name, value in facts.items()
        if plan.preset and getattr(config, name) != value
    )
    tolerance = QuorumRule.AUTHORITY.tolerance([1] * count)
    lines = [
        f"# {config.network_name}: deployment",
        "",
        "Written by `deploy_testnet`, which writes it anew when a parameter changes.",
        "",
        "| | |",
        "|---|---|",
        f"| Network | `{config.network_name}`, chain id {config.chain_id} |",
        f"| Consensus | IBFT 2.0, a block every {config.block_time_s} s; {weights} |",
        f"| Validators | {count}: {tolerance} |",
        f"| Genesis | `0x{block.hash.hex()}`, {started:%Y-%m-%d %H:%M:%S} UTC |",
        *([f"| Preset | `{plan.preset}`{f', but for {other}' if other else ''} |"] if plan.preset else []),
    ]
    return "\n".join(lines)


def _start(plan: DeploymentPlan) -> str:
    return f"""## Start

```bash
{COMPOSE} up -d --wait
```

The first time this builds the image `{plan.image}`. It returns when every container is healthy: each node is at the head and agrees with the others.
`docker-compose -f {COMPOSE_FILE} up -d` does the same where Compose 2 is a program of its own.

Without Docker, as processes of this machine, with the same keys and the same chain (in this folder):

```python
from sdk.testnet.deployment import deploy_testnet

deploy_testnet({_call(plan)}, apply="local")
```

Not both at once: a key has one signer, and whoever comes second refuses to start."""


def _call(plan: DeploymentPlan) -> str:
    """The arguments that this deployment was made with, but for its folders and what holds secrets."""
    config, facts = plan.config, facts_of(plan.preset)
    words = [] if plan.preset else [f"{config.network_name!r}, {config.chain_id}, {config.num_validators}"]
    for field in fields(config):
        value = getattr(config, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        is_named = field.kw_only or plan.preset is not None
        is_written = field.name not in ("wheel", "webhooks", "genesis_dir", "data_dir", "output_dir")
        if is_named and is_written and value != facts.get(field.name, default):
            words.append(f"{field.name}={dict(value) if field.name == 'accounts' else value!r}")
    return ", ".join(words)


def _endpoints(plan: DeploymentPlan) -> str:
    host = plan.public_host
    offset = plan.config.port_offset
    rows = []
    if plan.is_parvyom:
        gateway = " of its gateway to all nodes" if plan.has(GATEWAY) else ""
        rows += [
            (f"{COORDINATOR}, JSON-RPC{gateway}", f"http://{host}:{RPC_PORT + offset}"),
            (f"{COORDINATOR}, WebSocket{gateway}", f"ws://{host}:{WS_PORT + offset}"),
            (f"{COORDINATOR}, community API", f"http://{host}:{API_PORT + offset}/api/v1/status"),
            (f"{COORDINATOR}, explorer", f"http://{host}:{DASHBOARD_PORT + offset}"),
            (f"{COORDINATOR}, dashboard", f"http://{host}:{DASHBOARD_PORT + offset}/dashboard"),
            *(
                (f"{node.name}, peers", f"{plan.peers_host}:{plan.peers_port(node.name)} (TCP and UDP)")
                for node in plan.network.validators
            ),
        ]
    else:
        if plan.has(GATEWAY):
            rows += [
                (
                    "RPC gateway: all validators as one",
                    f"http://{host}:{plan.published(GATEWAY)}, WebSocket too",
                )
            ]
        for node in plan.network.validators:
            rows += [(f"{node.name}, JSON-RPC and WebSocket", f"http://{host}:{node.rpc_port}")]
        rows += [
            (f"{node.name}, metrics and health", f"http://127.0.0.1:{node.metrics_port}/metrics")
            for node in plan.network.validators
        ]
    if plan.has(FAUCET):
        for_whom = ", with the limits of a public one" if plan.has_public_faucet else ""
        password = plan.operator_password_file.name
        rows += [
            (f"faucet{for_whom}", f"http://{host}:{plan.published(FAUCET)}"),
            (
                "faucet, for its operator",
                f"http://127.0.0.1:{plan.published(OPERATOR)}, password in `secrets/{password}`",
            ),
        ]
    if plan.has(EXPLORER):
        rows += [
            ("explorer", f"http://{host}:{plan.published(EXPLORER)}"),
            ("dashboard", f"http://{host}:{plan.published(EXPLORER)}/dashboard"),
            ("community API", f"http://{host}:{plan.published('api')}"),
        ]
    if plan.has(BOOTSTRAP):
        rows += [
            ("bootstrap, discovery", f"tcp://{host}:{plan.published(BOOTSTRAP)} (and UDP)"),
            ("bootstrap, registry", f"http://127.0.0.1:{plan.published('registry')}/api/v1/peers"),
        ]
    if plan.has("monitoring"):
        rows += [
            ("Prometheus (profile `monitoring`)", f"http://127.0.0.1:{plan.published('prometheus')}"),
            (
                "Grafana (profile `monitoring`)",
                f"http://127.0.0.1:{plan.published('grafana')}, user admin, password in `secrets/grafana.password`",
            ),
        ]
    table = "\n".join(f"| {name} | {address} |" for name, address in rows)
    return f"## Endpoints\n\n| what | where |\n|---|---|\n{table}"


def _wallet(plan: DeploymentPlan) -> str:
    port = plan.public_rpc_port
    chain = {
        "chainId": hex(plan.config.chain_id),
        "chainName": plan.config.network_name,
        "nativeCurrency": {"name": "Test ether", "symbol": "ETH", "decimals": 18},
        "rpcUrls": [f"http://{plan.public_host}:{port}"],
    }
    return f"""## Add to a wallet

What `wallet_addEthereumChain` (EIP-3085) takes, and what to type into a wallet's form:

```json
{json.dumps(chain, indent=2)}
```"""


def _watch(plan: DeploymentPlan) -> str:
    first = plan.network.validators[0].name
    monitoring = (
        f"`{COMPOSE} --profile monitoring up -d --wait` adds Prometheus with its alerts, and Grafana with dashboards.\n\n"
        if plan.has("monitoring")
        else ""
    )
    pages = (
        f"Whom the monitor behind the dashboard tells of alerts stands in `{plan.mounted(plan.webhooks_file)}`, an address a line; "
        f"`{COMPOSE} restart {COORDINATOR if plan.is_parvyom else EXPLORER}` reads it anew.\n\n"
        if plan.has_pages
        else ""
    )
    return f"""## Watch

```bash
{COMPOSE} ps
{COMPOSE} logs --follow {first}
```

{monitoring}{pages}`healthy` means: the node's engine answers, it has peers, and it is at the head. A container that ends is started again; one that is unhealthy is left for
you to look at, for starting a halted validator again heals nothing. Logs are JSON, one event a line, and each container keeps 64 MB of them."""


def _stop(plan: DeploymentPlan) -> str:
    profile = " --profile monitoring" if plan.has("monitoring") else ""
    return f"""## Stop

```bash
{COMPOSE}{profile} down
```

Keys and chain stay in `data/`; `up` goes on where it stopped. Containers have two minutes to write what they hold; do not shorten that.

Processes of this machine are stopped by `testnet down` in this folder, and go on with `testnet up`; `testnet status` shows them, and their logs are in `local/logs`."""


def _upgrade() -> str:
    return f"""## Upgrade

Install the new version of Metanode, call `deploy_testnet` with the same parameters and `confirm_changes=True`, which puts the new version into `image/`,
and start one validator after the other, so that the others go on deciding:

```bash
{COMPOSE} build
for name in $({COMPOSE} config --services | grep ^validator-); do {COMPOSE} up -d --no-deps --wait $name; done
{COMPOSE} up -d --wait
```

Processes of this machine: `testnet down`, install the new version, `testnet up`."""


def _change() -> str:
    return f"""## Change a parameter

Call `deploy_testnet` with the new value. It says what would change, and changes it when the call has `confirm_changes=True`; then `{COMPOSE} up -d --wait`
starts anew what is concerned. What belongs to the genesis (name, chain id, number of validators, block time, stakes, balances, gas limit, reward) can be changed
until the first block exists. Files that you edited are kept beside the new ones with the suffix `.before`; `.env` is yours, and only gets lines added."""


def _validators(plan: DeploymentPlan, identities: Mapping[str, Identity]) -> str:
    enodes = {
        node.name: enode(plan.peers_host, identities[node.name], port=plan.peers_port(node.name))
        for node in plan.network.validators
    }
    rows = "\n".join(
        f"| {name} | `{format_address(identity.validator)}` | `{enodes[name]}` |"
        for name, identity in identities.items()
        if identity.validator is not None
    )
    if plan.config.consensus_type == "pos":
        joining = f"""The set of this network is that of its genesis, as its consensus type is "pos". Networks whose validators come and go by vote are deployed with
`consensus_type="ibft"`. Any machine may follow it:

{_following(plan, enodes, validator=False)}"""
    else:
        joining = f"""A new validator first follows.

{_following(plan, enodes, validator=True)}

When it is at the head (`curl --fail http://127.0.0.1:9100/readyz` there), let more than half of the validators vote for its address, here:

```bash
for name in {" ".join(node.name for node in plan.network.validators)}; do
  {COMPOSE} exec -T $name python -m sdk.testnet.deployment.vote ADDRESS
done
```

`... vote ADDRESS --remove` votes somebody out. It is done once more than half of them have proposed a block."""
    return f"## Validators\n\n| name | address | enode |\n|---|---|---|\n{rows}\n\n### Add a validator\n\n{joining}"


def _following(plan: DeploymentPlan, enodes: Mapping[str, str], *, validator: bool) -> str:
    """What is done on the machine of a node that joins."""
    config = "\n".join(
        [
            "[network]",
            'network = "testnet"',
            f"chain_id = {plan.config.chain_id}",
            f'network_id = "{plan.config.network_name}"',
            "",
            "[server]",
            "rpc_port = 8545",
            "metrics_port = 9100",
            "",
            "[p2p]",
            'listen_address = "0.0.0.0:30303"',
            "bootstrap_nodes = [",
            *(f'    "{address}",' for address in enodes.values()),
            "]",
            *(
                ["", "[validator]", "enabled = true", 'validator_key = "keystore:validator.json"']
                if validator
                else []
            ),
        ]
    )
    key = "metanode keys new validator.json        # says its ADDRESS\n" if validator else ""
    reach = (
        ""
        if plan.peers_address == "0.0.0.0" or plan.config.public_host  # noqa: S104 - compared, not bound
        else """

The addresses above are those of this machine. For others, deploy with `peers_bind_address="0.0.0.0"`, which publishes the ports of peers and no other, and with
`public_host=` the name or address under which they reach it."""
    )
    return f"""On its machine install Metanode, copy `{plan.mounted(plan.genesis)}/{SPECIFICATION_FILE}` of this deployment into an empty folder, and there:

```bash
{key}cat > config.toml <<'END'
{config}
END
metanode node . --genesis {SPECIFICATION_FILE}
```{reach}"""


def _reset(plan: DeploymentPlan) -> str:
    nodes = [node.name for node in plan.network.validators] + ([COORDINATOR] if plan.is_parvyom else [])
    paths = [f"{name}/data" for name in nodes]
    paths += [
        f"{name}/{pattern}"
        for name in CHAIN_FILES
        if plan.has(name) or (name == EXPLORER and plan.has_pages)
        for pattern in CHAIN_FILES[name]
    ]
    # Stars outside of the quotes, for the shell.
    homes = " ".join(
        f'"{plan.mounted(plan.data / path.rstrip("*"))}"{"*" if path.endswith("*") else ""}' for path in paths
    )
    return f"""## Reset

This deletes the chain and keeps the keys. Wallets remember nonces of the old chain: give the new one another chain id.

```bash
{COMPOSE}{" --profile monitoring" if plan.has("monitoring") else ""} down{" --volumes" if plan.is_parvyom else ""}
rm -rf {homes}
```

(Where it runs as processes, `testnet down` comes first instead of Compose's.) Then call `deploy_testnet` with the new chain id and `confirm_changes=True`, and start."""


def _files(plan: DeploymentPlan) -> str:
    return f"""## Files

| | |
|---|---|
| `{plan.mounted(plan.genesis)}` | `chain_specification.json`, which every node starts from; `genesis.json`, the same for people; `genesis_block.json`; `validators.json` |
| `{plan.mounted(plan.data)}` | of each node its encrypted key, `nodekey`, and `data/` with chain and signing record |
| `./secrets` | passwords of the keys: back them up apart from `data/`, and never lose them |
| `./config` | the configuration of each container |
| `./image`, `Dockerfile` | what the image is built from |
| `.env` | variables, each explained: yours |
| `deployment.json` | parameters and digests, by which `deploy_testnet` sees what has changed |

Everything below `data/` and `secrets/` belongs to {plan.owner} (user:group), as whom the containers run. A validator's `data/signer.log` says what it signed: restoring
an old copy of it while the chain went on is how honest validators sign twice."""


def _reach(plan: DeploymentPlan) -> str:
    return f"""## Reach from outside

Published ports listen on {plan.config.bind_address}. Docker's rules go before those of ufw and firewalld: a port that is published on 0.0.0.0 is open to the
world whatever they say. Put a proxy with TLS (Caddy, nginx) in front of loopback for JSON-RPC, and publish only the peers' ports with `bind_address="0.0.0.0"` on
a machine whose cloud firewall lets nothing else in."""


def _offline() -> str:
    return f"""## Build without a registry or an index

`BASE_IMAGE` in `.env` names any image with Python 3.11 and its venv module. Wheels of everything in `image/requirements.txt` go to `image/wheels`:

```bash
pip download --no-deps --only-binary :all: -r image/requirements.txt -d image/wheels
echo 'PIP_OPTIONS=--no-index --find-links=/image/wheels' >> .env
{COMPOSE} build
```"""
