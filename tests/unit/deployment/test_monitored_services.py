"""What a deployment's Prometheus asks has what its alerts are about, and its monitor tells whom it was told to tell."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.unit.deployment.deployments import FOLDER, block, identities, plan
from tests.unit.deployment.test_deployer import deploy

from metanode.errors import InvalidInput
from metanode.telemetry.metrics import node_metrics
from sdk.testnet.deployment import DeploymentChange
from sdk.testnet.deployment.configuration import PARVYOM, SERVICES
from sdk.testnet.deployment.files import render_files
from sdk.testnet.monitoring.alerts.catalogue import RUNBOOK, AlertSeverity
from sdk.testnet.monitoring.alerts.webhooks_file import read_webhooks
from sdk.testnet.monitoring.rendering.rules import RECORDED, rules
from sdk.testnet.monitoring.service_metrics import CATALOGUE
from sdk.testnet.monitoring.thresholds import Thresholds
from sdk.testnet.services.configuration import ServicesConfig
from sdk.testnet.services.docs import ALERTS_GUIDE

if TYPE_CHECKING:
    from pathlib import Path

    from sdk.testnet.deployment.deployment_plan import DeploymentPlan

PLANS = {"moderntensor-testnet": plan(), PARVYOM: plan(preset=PARVYOM)}
SLACK = "slack https://hooks.slack.example/services/SECRET"


def texts(of: DeploymentPlan) -> dict[str, str]:
    found = render_files(
        of, identities(of), block(of), wheel_name="metanode-0.whl", wheel=b"", requirements=""
    )
    return {name: content.decode() for name, content in found.items()}


@pytest.mark.parametrize("network", PLANS)
def test_the_monitor_reads_the_services_that_are_processes_of_their_own(network: str, tmp_path: Path) -> None:
    """Faucet and gateway are other processes than the explorer with its index."""
    file = tmp_path / "services.toml"
    file.write_text(texts(PLANS[network])["config/services.toml"])

    urls = ServicesConfig.load(file).alerts.metrics_urls

    gateway = "bpci-server:9102" if network == PARVYOM else "gateway:9101"
    assert urls == ("http://faucet:9101/metrics", f"http://{gateway}/metrics")
    assert {url.split("/")[2] for url in urls} <= targets(PLANS[network])["metanode-services"]
    assert (
        "metrics_urls"
        not in texts(plan(services=("explorer",)))["config/services.toml"].partition("[alerts]")[2]
    )


def targets(of: DeploymentPlan) -> dict[str, set[str]]:
    jobs = yaml.safe_load(texts(of)["prometheus.yml"])["scrape_configs"]
    return {job["job_name"]: {entry["targets"][0] for entry in job["static_configs"]} for job in jobs}


@pytest.mark.parametrize("network", PLANS)
def test_every_metric_of_every_rule_is_of_something_that_is_scraped(network: str) -> None:
    """A rule over a page that nobody reads never fires."""
    found = targets(PLANS[network])
    expressions = [rule.expression for rule in rules(Thresholds(block_time_s=2))] + list(RECORDED.values())
    used = {
        re.sub("_(total|bucket|sum|count)$", "", name)
        for expression in expressions
        for name in re.findall(r"\bmetanode_[a-z0-9_]+", expression)
    }
    of_services = {name for name in used if name in CATALOGUE}
    catalogue = node_metrics(
        version="", commit="", node="", role="", network="", chain_id=0, genesis=""
    ).catalogue()
    of_nodes = used & {re.sub("_total$", "", name) for name in catalogue}

    assert used == of_services | of_nodes
    assert {"metanode_faucet_balance_ether", "metanode_explorer_lag_blocks"} <= of_services
    assert "faucet:9101" in found["metanode-services"]
    pages = "bpci-server:9101" if network == PARVYOM else "explorer:9101"
    assert pages in found["metanode-services"]
    assert found["metanode-validators"] == {
        f"validator-{number}:9100" for number in range(1, PLANS[network].config.num_validators + 1)
    }


@pytest.mark.parametrize(
    ("parameters", "pages"),
    [
        ({}, "http://localhost:3000"),
        ({"port_offset": 200}, "http://localhost:3200"),
        ({"bind_address": "192.0.2.7"}, "http://192.0.2.7:3000"),
        ({"bind_address": "0.0.0.0", "public_host": "testnet.example.org"}, "http://testnet.example.org:3000"),
        ({"preset": PARVYOM, "public_host": "testnet.example.org"}, "http://testnet.example.org:3000"),
    ],
)  # fmt: skip
def test_prometheus_leads_to_the_runbooks_where_the_pages_of_the_deployment_are(
    parameters: dict[str, Any], pages: str, tmp_path: Path
) -> None:
    """Whoever is woken by an alert is on another machine, and the monitor of the same deployment sends the same links."""
    found = texts(plan(services=SERVICES, **parameters))
    file = tmp_path / "services.toml"
    file.write_text(found["config/services.toml"])
    explorer = ServicesConfig.load(file).explorer

    assert explorer is not None
    assert explorer.url == pages
    groups = yaml.safe_load(found["rules/alerts.yml"])["groups"]
    links = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in groups[1]["rules"]}
    assert links == {name: f"{explorer.url}{ALERTS_GUIDE}#{name.lower()}" for name in links}
    assert f"{explorer.url}{ALERTS_GUIDE}" in found["rules/alerts.yml"].splitlines()[0]


def test_without_pages_a_runbook_is_where_a_network_of_one_s_own_has_it() -> None:
    found = texts(plan(services=("monitoring",), public_host="testnet.example.org"))

    assert RUNBOOK.endswith(ALERTS_GUIDE)
    assert "testnet.example.org" not in found["rules/alerts.yml"]
    assert f"{RUNBOOK}#chainhalted" in found["rules/alerts.yml"]


@pytest.mark.parametrize("network", PLANS)
def test_the_services_say_what_they_measure_where_prometheus_asks(network: str, tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    file.write_text(texts(PLANS[network])["config/services.toml"])

    config = ServicesConfig.load(file, {})

    assert config.metrics is not None
    assert (config.metrics.bind_address, config.metrics.port) == ("0.0.0.0", 9101)
    assert config.alerts.webhooks_file == "/run/secrets/webhooks"
    assert all(
        url.startswith("http://") and url.endswith(":9100/metrics") for url in config.network.metrics_urls
    )
    assert set(config.names.values()) >= {"validator-1", "faucet"}


def test_an_alertmanager_is_told_where_there_is_one() -> None:
    found = yaml.safe_load(texts(plan(alertmanager="alerts:9093"))["prometheus.yml"])

    assert found["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["alerts:9093"]}]}]


def test_who_is_told_of_alerts_stands_in_a_file_of_secrets_and_nowhere_else(tmp_path: Path) -> None:
    deploy(tmp_path, webhooks=(SLACK, "https://alerts.example.org/hook"))
    file = tmp_path / "secrets" / "webhooks.txt"

    assert [(webhook.host, webhook.form) for webhook in read_webhooks(file)] == [
        ("hooks.slack.example", "slack"),
        ("alerts.example.org", "alertmanager"),
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]
    assert holding == [file]


def test_who_wants_to_know_everything_says_so_before_the_address(tmp_path: Path) -> None:
    """A validator that joins is no trouble, and by itself nobody is disturbed for it."""
    deploy(
        tmp_path,
        webhooks=(
            "https://a.example.org/",
            "info https://b.example.org/",
            "slack info https://c.example.org/",
        ),
    )

    found = read_webhooks(tmp_path / "secrets" / "webhooks.txt")

    assert [(one.host, one.form, AlertSeverity.INFO in one.severities) for one in found] == [
        ("a.example.org", "alertmanager", False),
        ("b.example.org", "alertmanager", True),
        ("c.example.org", "slack", True),
    ]
    assert all(one.severities >= {AlertSeverity.CRITICAL, AlertSeverity.WARNING} for one in found)


def test_the_comments_above_the_receivers_are_nobodys_choice(tmp_path: Path) -> None:
    """An earlier version wrote others."""
    deploy(tmp_path, webhooks=(SLACK,))
    file = tmp_path / "secrets" / "webhooks.txt"
    file.write_text(f"# of an earlier version\n\n{SLACK}\n")

    deploy(tmp_path, webhooks=(SLACK,))

    assert file.read_text().startswith("# of an earlier version")


def test_a_file_of_receivers_that_cannot_be_read_is_a_persons_own(tmp_path: Path) -> None:
    deploy(tmp_path)
    file = tmp_path / "secrets" / "webhooks.txt"
    file.write_bytes(b"M\xf6we https://a.example.org/\n")

    with pytest.raises(DeploymentChange, match="others than those in secrets"):
        deploy(tmp_path, webhooks=(SLACK,))
    deploy(tmp_path, webhooks=(SLACK,), confirm_changes=True)

    assert file.read_text().endswith(f"\n{SLACK}\n")


def test_receivers_that_a_person_wrote_are_not_replaced_unasked(tmp_path: Path) -> None:
    deploy(tmp_path)
    file = tmp_path / "secrets" / "webhooks.txt"
    assert read_webhooks(file) == ()
    mine = file.read_text() + "https://mine.example.org/\n"
    file.write_text(mine)

    deploy(tmp_path)
    with pytest.raises(DeploymentChange, match=r"webhooks: others than those in secrets/webhooks\.txt"):
        deploy(tmp_path, webhooks=(SLACK,))

    assert file.read_text() == mine
    deploy(tmp_path, webhooks=(SLACK,), confirm_changes=True)
    assert SLACK in file.read_text()


@pytest.mark.parametrize(
    ("webhooks", "sentence"),
    [
        (("ftp://SECRET",), r"webhooks\[0\]: webhook: expected an http or https URL"),
        (
            ("https://fine.example.org", "teams https://SECRET"),
            r"webhooks\[1\]: expected an address, and before it",
        ),
        (("slack alertmanager https://SECRET",), r"webhooks\[0\]: expected an address, and before it"),
        (("info info https://SECRET",), r"webhooks\[0\]: expected an address, and before it"),
        ("https://SECRET", "webhooks: expected a list of addresses"),
    ],
)
def test_a_receiver_that_is_none_is_refused_and_not_repeated(webhooks: object, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence) as raised:
        plan(webhooks=webhooks)

    assert "SECRET" not in str(raised.value)


def test_a_line_of_the_file_that_is_no_address_is_named_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "webhooks.txt"
    file.write_text("# mine\n\nhttps://fine.example.org/\nnothing SECRET\n")

    with pytest.raises(InvalidInput, match="line 4: expected an address, and before it") as raised:
        read_webhooks(file)

    assert "SECRET" not in str(raised.value)
    assert str(FOLDER) not in str(raised.value)
