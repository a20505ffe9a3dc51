"""The Compose file of a deployment. Pure, golden-tested.

What holds for every container stands in one anchor: it runs as the owner of `data/`, on a read-only root, without capabilities, with limits of
processes, memory and logs, and with a health check that asks what the program itself knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sdk.testnet.deployment.container_config import (
    BOOTSTRAP,
    COORDINATOR,
    EXPLORER,
    FAUCET,
    GATEWAY,
    OPERATOR_SECRET,
    REGISTRY_PORT,
    SERVICES_FILE,
    WEBHOOKS_SECRET,
)
from sdk.testnet.deployment.deployment_plan import (
    API_PORT,
    DASHBOARD_PORT,
    FAUCET_PORT,
    GATEWAY_PORT,
    METRICS_PORT,
    OPERATOR_PORT,
    P2P_PORT,
    RPC_PORT,
    WS_PORT,
)
from sdk.testnet.deployment.plan import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sdk.testnet.deployment.deployment_plan import DeploymentPlan

COMPOSE_FILE: Final = "docker-compose.testnet.yml"
GENESIS_FILE: Final = "/genesis/chain_specification.json"
SERVICES_AT: Final = "/config/services.toml"
GATEWAY_AT: Final = "/config/gateway.toml"
HEALTHY: Final = ("CMD", "/opt/metanode/bin/python", "-IS", "/opt/metanode/healthy.py")
PROMETHEUS_IMAGE: Final = (
    "prom/prometheus:v3.5.0@sha256:63805ebb8d2b3920190daf1cb14a60871b16fd38bed42b857a3182bc621f4996"
)
GRAFANA_IMAGE: Final = (
    "grafana/grafana:12.2.0@sha256:74144189b38447facf737dfd0f3906e42e0776212bf575dc3334c3609183adf7"
)
COORDINATOR_IMAGE: Final = "parvyom/bpci-server:latest"
POSTGRES_IMAGE: Final = "postgres:15"
REDIS_IMAGE: Final = "redis:7"

PROCESSES_MAX: Final = 512
"""And threads: a node has about forty."""

Service = list[str]
"""The lines of one service, without their indentation below `services:`."""


def render_compose(plan: DeploymentPlan, *, digests: Mapping[str, str]) -> str:
    """The whole file. `digests` of each service's configuration make Compose start it anew when that has changed."""
    services = _parvyom(plan, digests) if plan.is_parvyom else _testnet(plan, digests)
    lines = [
        f"# {plan.config.network_name}, chain id {plan.config.chain_id}; written by deploy_testnet. TESTNET_DEPLOYMENT.md says how to use it:",
        f"#   docker compose -f {COMPOSE_FILE} up -d --wait",
        "# Variables stand in .env. Call deploy_testnet again to change anything else.",
        "",
        *_anchors(plan),
        "services:",
    ]
    for service in services:
        lines += [f"  {line}" if line else "" for line in service] + [""]
    lines += ["networks:", "  testnet: {}"]
    if plan.has("monitoring"):
        lines += ["  # Grafana reaches Prometheus, and no node.", "  monitoring: {}"]
    if plan.is_parvyom:
        lines += ["  database:", "    internal: true"]
    secrets = _secrets(plan)
    if secrets:
        lines += ["", "secrets:"]
        for name, path in secrets.items():
            lines += [f"  {name}:", f"    file: {quoted(plan.mounted(path))}"]
    if plan.is_parvyom:
        lines += ["", "volumes:", "  postgres_data: {}"]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A text as YAML and Compose read it back to the letter."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"'


def _anchors(plan: DeploymentPlan) -> list[str]:
    return [
        "x-container: &container",
        *(f"  {line}" for line in _contained()),
        f"  user: {_variable('RUN_AS', str(plan.owner))}",
        "",
        "x-image: &image",
        "  <<: *container",
        f"  image: {_variable('IMAGE', plan.image)}",
        "  # The first service builds it for all.",
        "  pull_policy: never",
        "",
        "x-node: &node",
        "  <<: *image",
        "  # A node writes what it has in memory to the disk when it is asked to stop.",
        "  stop_grace_period: 2m",
        *_limits(memory=_variable("NODE_MEMORY", "4g"), cpus=_variable("NODE_CPUS", "0")),
        "  healthcheck:",
        "    # At the head, in agreement with its peers, and writing: what /readyz means.",
        f"    test: {_healthy((METRICS_PORT, '/readyz'))}",
        *_HEALTH_TIMES,
        "",
    ]


def _contained() -> list[str]:
    """What holds for every container, whatever image it has."""
    return [
        "init: true",
        "read_only: true",
        'tmpfs: ["/tmp:mode=1777,size=64m"]',
        "cap_drop: [ALL]",
        'security_opt: ["no-new-privileges:true"]',
        "restart: unless-stopped",
        "networks: [testnet]",
        "logging:",
        "  driver: json-file",
        "  options:",
        '    max-size: "16m"',
        '    max-file: "4"',
    ]


def _healthy(*questions: tuple[int, str]) -> str:
    """A health check that asks a container's ports for paths."""
    return _flow([*HEALTHY, *(str(part) for question in questions for part in question)])


def _limits(*, memory: str, cpus: str) -> list[str]:
    return [
        "  deploy:",
        "    resources:",
        "      limits:",
        f"        memory: {memory}",
        f"        cpus: {cpus}",
        f"        pids: {PROCESSES_MAX}",
    ]


_SERVICE_SECRETS: Final = {FAUCET: (f"{FAUCET}-password", OPERATOR_SECRET), EXPLORER: (WEBHOOKS_SECRET,)}
"""What a container with services must know: the faucet its key's password and its operator's; the pages' monitor tells others of alerts."""
_HEALTH_TIMES: Final = ("    interval: 5s", "    timeout: 5s", "    retries: 6", "    start_period: 60s")
"""An unhealthy container is known after half a minute; one that starts has a minute."""


def _variable(name: str, default: str) -> str:
    return f'"${{{name}:-{default}}}"'


def _testnet(plan: DeploymentPlan, digests: Mapping[str, str]) -> Iterable[Service]:
    """The services of the toolkit's document."""
    if plan.has(BOOTSTRAP):
        yield _service(
            plan,
            BOOTSTRAP,
            digests,
            words=["sdk.testnet.bootstrap", "--config", SERVICES_AT],
            ports=[
                *_peer_ports(plan, plan.published(BOOTSTRAP)),
                _published("127.0.0.1", plan.published("registry"), REGISTRY_PORT),
            ],
            health=(REGISTRY_PORT, "/healthz"),
            is_first=True,
            # It needs no more of the genesis than its hash. The toolkit's document has the folder here as in the nodes.
            mounts=[_mount(plan, plan.genesis, "/genesis", read_only=True)],
        )
    for number, node in enumerate(plan.network.validators):
        yield _node(
            plan,
            node.name,
            home="/data",
            is_first=number == 0 and not plan.has(BOOTSTRAP),
            digest=digests[node.name],
            depends_on=[BOOTSTRAP] if plan.has(BOOTSTRAP) else [],
            command=[
                "metanode", "node", "/data", "--config", "/config/node.toml", "--genesis", GENESIS_FILE
            ],
            ports=[
                _published(plan.config.bind_address, node.rpc_port, RPC_PORT),
                *_peer_ports(plan, node.p2p_port),
                # What it measures is for operators only.
                _published("127.0.0.1", node.metrics_port, METRICS_PORT),
            ],
            secrets=[f"{node.name}-password"],
        )  # fmt: skip
    if plan.has(FAUCET):
        yield _faucet(plan, digests)
    if plan.has(EXPLORER):
        yield _service(
            plan,
            EXPLORER,
            digests,
            words=["sdk.testnet.services.program", SERVICES_AT, EXPLORER, "indexer", "api"],
            ports=[_site(plan, EXPLORER, DASHBOARD_PORT), _site(plan, "api", API_PORT)],
            health=(DASHBOARD_PORT, "/readyz"),
            depends_on=plan.network.validators[0].name,
        )
    if plan.has(GATEWAY):
        yield _service(
            plan,
            GATEWAY,
            digests,
            words=["sdk.testnet.services.program", SERVICES_AT, GATEWAY],
            ports=[_site(plan, GATEWAY, GATEWAY_PORT)],
            health=(GATEWAY_PORT, "/readyz"),
            depends_on=plan.network.validators[0].name,
        )
    yield from _monitoring(plan)


def _faucet(plan: DeploymentPlan, digests: Mapping[str, str]) -> Service:
    return _service(
        plan,
        FAUCET,
        digests,
        words=["sdk.testnet.services.program", SERVICES_AT, FAUCET],
        ports=[
            _site(plan, FAUCET, FAUCET_PORT),
            # Who may pause it and hand out its coins is on this machine.
            _published("127.0.0.1", plan.published(OPERATOR), OPERATOR_PORT),
        ],
        health=(FAUCET_PORT, "/readyz"),
        depends_on=plan.network.validators[0].name,
    )


def _service(
    plan: DeploymentPlan,
    name: str,
    digests: Mapping[str, str],
    *,
    words: Sequence[str],
    ports: Sequence[str],
    health: tuple[int, str],
    is_first: bool = False,
    depends_on: str | None = None,
    mounts: Sequence[str] = (),
) -> Service:
    """A container with services; `words` are the module that Python runs and its arguments, `health` the port and the path that are asked."""
    configuration = plan.output / "config" / f"{SERVICES_FILE}.toml"
    lines = [
        f"{name}:",
        "  <<: *image",
        *(_build(plan) if is_first else []),
        f"  command: {_flow(['python', '-m', *words])}",
        "  stop_grace_period: 30s",
        *_limits(memory="1g", cpus='"1.0"'),
        "  ports:",
        *(f"    - {published}" for published in ports),
        "  volumes:",
        *(f"    - {mount}" for mount in mounts),
        f"    - {_mount(plan, configuration, SERVICES_AT, read_only=True)}",
        *([f"    - {_mount(plan, plan.data / name, '/data')}"] if name in plan.homes else []),
        *([f"  secrets: [{', '.join(secrets)}]"] if (secrets := _SERVICE_SECRETS.get(name)) else []),
        "  healthcheck:",
        f"    test: {_healthy(health)}",
        *_HEALTH_TIMES,
    ]
    if depends_on is not None:
        lines += ["  depends_on:", f"    {depends_on}:", "      condition: service_healthy"]
    return [*lines, "  labels:", f'    network.metanode.configuration: "{digests[SERVICES_FILE]}"']


def _site(plan: DeploymentPlan, service: str, inside: int) -> str:
    return _published(plan.config.bind_address, plan.published(service), inside)


def _monitoring(plan: DeploymentPlan) -> Iterable[Service]:
    """Prometheus and Grafana, started with `--profile monitoring`."""
    if not plan.has("monitoring"):
        return
    etc = "/etc/prometheus"
    yield [
        "prometheus:",
        "  <<: *container",
        "  profiles: [monitoring]",
        "  networks: [testnet, monitoring]",
        f"  image: {_variable('PROMETHEUS_IMAGE', PROMETHEUS_IMAGE)}",
        f"  command: {_flow([f'--config.file={etc}/prometheus.yml', '--storage.tsdb.path=/prometheus', '--storage.tsdb.retention.time=15d'])}",
        "  stop_grace_period: 1m",
        *_limits(memory="2g", cpus='"1.0"'),
        "  ports:",
        f"    - {_published('127.0.0.1', plan.published('prometheus'), 9090)}",
        "  volumes:",
        f"    - {_mount(plan, plan.output / 'prometheus.yml', f'{etc}/prometheus.yml', read_only=True)}",
        f"    - {_mount(plan, plan.output / 'rules', f'{etc}/rules', read_only=True)}",
        f"    - {_mount(plan, plan.data / 'prometheus', '/prometheus')}",
        "  healthcheck:",
        '    test: ["CMD", "promtool", "query", "instant", "http://127.0.0.1:9090", "vector(1)"]',
        *_HEALTH_TIMES,
    ]
    yield [
        "grafana:",
        "  <<: *container",
        "  profiles: [monitoring]",
        "  networks: [monitoring]",
        f"  image: {_variable('GRAFANA_IMAGE', GRAFANA_IMAGE)}",
        "  stop_grace_period: 30s",
        *_limits(memory="1g", cpus='"1.0"'),
        "  ports:",
        f"    - {_published('127.0.0.1', plan.published('grafana'), 3000)}",
        "  environment:",
        "    GF_LOG_MODE: console",
        '    GF_ANALYTICS_REPORTING_ENABLED: "false"',
        '    GF_ANALYTICS_CHECK_FOR_UPDATES: "false"',
        "    GF_SECURITY_ADMIN_PASSWORD__FILE: /run/secrets/grafana-password",
        "  secrets: [grafana-password]",
        "  volumes:",
        f"    - {_mount(plan, plan.output / 'grafana' / 'provisioning', '/etc/grafana/provisioning', read_only=True)}",
        f"    - {_mount(plan, plan.output / 'grafana' / 'dashboards', '/etc/grafana/dashboards', read_only=True)}",
        f"    - {_mount(plan, plan.data / 'grafana', '/var/lib/grafana')}",
        "  healthcheck:",
        '    test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:3000/api/health"]',
        *_HEALTH_TIMES,
        "  depends_on:",
        "    prometheus:",
        "      condition: service_healthy",
    ]


def _node(
    plan: DeploymentPlan,
    name: str,
    *,
    home: str,
    is_first: bool,
    digest: str,
    command: Sequence[str],
    ports: Sequence[str],
    secrets: Sequence[str] = (),
    configuration: str = "/config/node.toml",
    environment: Sequence[str] = (),
    depends_on: Sequence[str] = (),
    image: str | None = None,
    networks: Sequence[str] = (),
    mounts: Sequence[str] = (),
    health: Sequence[tuple[int, str]] = (),
) -> Service:
    """One node of the network; `health` is asked in place of its own page alone."""
    lines = [f"{name}:", "  <<: *node"]
    if image is not None:
        lines.append(f"  image: {image}")
    if is_first:
        lines += _build(plan)
    lines.append(f"  command: {_flow(command)}")
    if networks:
        lines.append(f"  networks: [{', '.join(networks)}]")
    if environment:
        lines += ["  environment:", *(f"    {line}" for line in environment)]
    lines += ["  ports:", *(f"    - {port}" for port in ports)] if ports else []
    lines += [
        "  volumes:",
        f"    - {_mount(plan, plan.genesis, '/genesis', read_only=True)}",
        f"    - {_mount(plan, plan.output / 'config' / f'{name}.toml', configuration, read_only=True)}",
        f"    - {_mount(plan, plan.data / name, home)}",
        *(f"    - {mount}" for mount in mounts),
    ]
    if health:
        lines += ["  healthcheck:", f"    test: {_healthy(*health)}", *_HEALTH_TIMES]
    if secrets:
        lines += [f"  secrets: [{', '.join(secrets)}]"]
    if depends_on:
        lines += ["  depends_on:"]
        for other in depends_on:
            lines += [f"    {other}:", "      condition: service_healthy"]
    return [*lines, "  labels:", f'    network.metanode.configuration: "{digest}"']


def _parvyom(plan: DeploymentPlan, digests: Mapping[str, str]) -> Iterable[Service]:
    """The services of the plan for a public testnet, under its names."""
    about = ["NETWORK: testnet", f'CHAIN_ID: "{plan.config.chain_id}"']
    bind, offset = plan.config.bind_address, plan.config.port_offset
    entry = ["python", "-m", "sdk.testnet.deployment.container"]
    beside = ["--services", SERVICES_AT, "indexer", EXPLORER, "api"]
    configurations = {SERVICES_FILE: SERVICES_AT}
    health = [(METRICS_PORT, "/readyz"), (DASHBOARD_PORT, "/readyz"), (API_PORT, "/readyz")]
    if plan.has(GATEWAY):
        beside += ["--services", GATEWAY_AT, GATEWAY]
        configurations[GATEWAY] = GATEWAY_AT
        health.append((RPC_PORT, "/readyz"))
    yield _node(
        plan,
        COORDINATOR,
        home="/var/lib/bpci-server",
        configuration="/etc/bpci-server/node.toml",
        is_first=True,
        image=_variable("COORDINATOR_IMAGE", COORDINATOR_IMAGE),
        digest="-".join(digests[name] for name in (COORDINATOR, *configurations)),
        command=[
            *entry, "/var/lib/bpci-server", "--config", "/etc/bpci-server/node.toml", "--genesis", GENESIS_FILE, *beside
        ],
        mounts=[
            _mount(plan, plan.output / "config" / f"{name}.toml", inside, read_only=True)
            for name, inside in configurations.items()
        ],
        # The node at the head, its pages and its API with what they stand on, and the gateway with a node to ask.
        health=health,
        ports=[
            _published(bind, port + offset, port) for port in (RPC_PORT, WS_PORT, API_PORT, DASHBOARD_PORT)
        ],
        environment=[*about, "DB_PASSWORD_FILE: /run/secrets/postgres-password"],
        secrets=["postgres-password", WEBHOOKS_SECRET],
        depends_on=["postgres", "redis"],
        networks=["testnet", "database"],
    )  # fmt: skip
    for number, node in enumerate(plan.network.validators, start=1):
        yield _node(
            plan,
            node.name,
            home="/var/lib/validator",
            is_first=number == 1,
            digest=digests[node.name],
            command=[*entry, "/var/lib/validator", "--config", "/config/node.toml", "--genesis", GENESIS_FILE],
            # The first has the port of the plan; the others follow.
            ports=_peer_ports(plan, plan.peers_port(node.name)),
            environment=[
                *about,
                "# A key of 64 digits goes before the file; every process of its user can read it there, so prefer the file.",
                f'VALIDATOR_KEY: "${{VALIDATOR_{number}_KEY:-}}"',
                "VALIDATOR_KEY_FILE: /var/lib/validator/validator.json",
                f"VALIDATOR_PASSWORD_FILE: /run/secrets/{node.name}-password",
            ],
            secrets=[f"{node.name}-password"],
        )  # fmt: skip
    if plan.has(FAUCET):
        yield _faucet(plan, digests)
    yield [
        "postgres:",
        *(f"  {line}" for line in _contained() if not line.startswith(("networks", "cap_drop", "read_only", "tmpfs", "init"))),
        f"  image: {_variable('POSTGRES_IMAGE', POSTGRES_IMAGE)}",
        "  # Its entry makes the database as root and goes on as postgres, with the five capabilities that this needs.",
        "  cap_drop: [ALL]",
        "  cap_add: [CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID]",
        "  # Without an init before it: that one, root without the capability to signal another user, could not hand `stop` on. SIGINT ends it without waiting for clients.",
        "  stop_signal: SIGINT",
        "  networks: [database]",
        "  stop_grace_period: 1m",
        *_limits(memory="1g", cpus='"1.0"'),
        "  environment:",
        "    POSTGRES_DB: testnet",
        "    POSTGRES_USER: testnet",
        "    POSTGRES_PASSWORD_FILE: /run/secrets/postgres-password",
        "    # Texts of every script, in an order that no update of the image changes.",
        '    POSTGRES_INITDB_ARGS: "--encoding=UTF8 --locale=C.UTF-8"',
        "  secrets: [postgres-password]",
        "  volumes:",
        "    - postgres_data:/var/lib/postgresql/data",
        "  healthcheck:",
        '    test: ["CMD", "pg_isready", "--username=testnet", "--dbname=testnet"]',
        *_HEALTH_TIMES,
    ]  # fmt: skip
    yield [
        "redis:",
        "  <<: *container",
        f"  image: {_variable('REDIS_IMAGE', REDIS_IMAGE)}",
        "  networks: [database, testnet]",
        "  stop_grace_period: 30s",
        *_limits(memory="512m", cpus='"1.0"'),
        "  # Without a password, so that a Redis as it is by itself would answer its own container alone; who reaches it is what networks and ports say.",
        '  command: ["redis-server", "--protected-mode", "no", "--save", "", "--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"]',
        "  ports:",
        f"    - {_published('127.0.0.1', 6379 + offset, 6379)}",
        "  healthcheck:",
        '    test: ["CMD", "redis-cli", "ping"]',
        *_HEALTH_TIMES,
    ]
    yield from _monitoring(plan)


def _build(plan: DeploymentPlan) -> list[str]:
    return [
        "  build:",
        f"    context: {'.' if plan.output == plan.compose_folder else quoted(str(plan.output))}",
        "    dockerfile: Dockerfile",
        "    args:",
        f"      BASE: {_variable('BASE_IMAGE', plan.config.base_image)}",
        '      PIP_OPTIONS: "${PIP_OPTIONS:-}"',
    ]


def _secrets(plan: DeploymentPlan) -> dict[str, Path]:
    """Every secret and its file."""
    found = {
        f"{node.name}-password": plan.secrets / f"{node.name}.password" for node in plan.network.validators
    }
    if plan.has(FAUCET):
        found[f"{FAUCET}-password"] = plan.secrets / f"{FAUCET}.password"
        found[OPERATOR_SECRET] = plan.operator_password_file
    if plan.has_pages:
        found[WEBHOOKS_SECRET] = plan.webhooks_file
    if plan.has("monitoring"):
        found["grafana-password"] = plan.secrets / "grafana.password"
    if plan.is_parvyom:
        found["postgres-password"] = plan.secrets / "postgres.password"
    return found


def _peer_ports(plan: DeploymentPlan, port: int) -> list[str]:
    """Peers connect by TCP, discovery asks by UDP."""
    return [_published(plan.peers_address, port, P2P_PORT, protocol) for protocol in ("", "/udp")]


def _published(address: str, port: int, inside: int, protocol: str = "") -> str:
    return f'"{address}:{port}:{inside}{protocol}"'


def _mount(plan: DeploymentPlan, path: Path, inside: str, *, read_only: bool = False) -> str:
    return quoted(f"{plan.mounted(path)}:{inside}{':ro' if read_only else ''}")


def _flow(words: Sequence[str]) -> str:
    return "[" + ", ".join(quoted(word) for word in words) + "]"
