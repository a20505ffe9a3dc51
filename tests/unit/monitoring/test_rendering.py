"""The rendered files: promtool accepts them, every metric is one that nodes have, and rules fire when they should and only then."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from metanode.telemetry.metrics import FOREIGN, node_metrics
from sdk.testnet.deployment.plan import NetworkSpec, plan_network
from sdk.testnet.monitoring import by_hand, gateway_metrics
from sdk.testnet.monitoring.alerts import conditions, events, service_conditions
from sdk.testnet.monitoring.alerts.catalogue import ALERTS, BY_NAME, AlertSeverity
from sdk.testnet.monitoring.rendering import (
    alert_rules,
    grafana_dashboards,
    grafana_datasource,
    grafana_provider,
    prometheus_config,
)
from sdk.testnet.monitoring.rendering.dashboards import dashboards
from sdk.testnet.monitoring.rendering.rules import RECORDED, rules
from sdk.testnet.monitoring.service_metrics import CATALOGUE
from sdk.testnet.monitoring.thresholds import Thresholds

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "guide" / "alerts.md"
BLOCK_TIMES_S = [0.5, 1, 2, 5, 12, 60]
LIMITS = Thresholds(block_time_s=2)
METRIC = re.compile(r"\b(metanode_[a-z0-9_]+|process_[a-z_]+|python_[a-z_]+|up|ALERTS)\b(?!\s*\()")
SUFFIXES = ("_bucket", "_sum", "_count", "_total")
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no promtool: apt-get install prometheus"
)


def promtool(*arguments: str, cwd: Path) -> str:
    finished = subprocess.run(
        ["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


@needs_promtool
@pytest.mark.parametrize("block_time_s", BLOCK_TIMES_S)
def test_promtool_accepts_rules_and_configuration(block_time_s: float, tmp_path: Path) -> None:
    plan = plan_network(NetworkSpec(validator_count=5)).with_node("follower")
    config = prometheus_config(plan, services={"faucet": "faucet:8080"}, alertmanager="alertmanager:9093")
    (tmp_path / "prometheus.yml").write_text(config)
    (tmp_path / "alerts.yml").write_text(alert_rules(block_time_s=block_time_s))

    assert "SUCCESS" in promtool("check", "config", "--lint=all", "prometheus.yml", cwd=tmp_path)
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "alerts.yml", cwd=tmp_path)


def test_every_node_is_scraped_under_its_name() -> None:
    plan = plan_network(NetworkSpec(network_name="net", validator_count=2)).with_node("follower")
    found = yaml.safe_load(
        prometheus_config(plan, target=lambda node: f"{node.name}:9100", services={"faucet": "faucet:8080"})
    )

    assert [
        (job["job_name"], [(one["targets"], one["labels"]["node"], one["labels"]["network"]) for one in job["static_configs"]])
        for job in found["scrape_configs"]
    ] == [
        ("metanode-validators", [(["validator-1:9100"], "validator-1", "net"), (["validator-2:9100"], "validator-2", "net")]),
        ("metanode-nodes", [(["follower-1:9100"], "follower-1", "net")]),
        ("metanode-services", [(["faucet:8080"], "faucet", "net")]),
    ]  # fmt: skip
    assert found["rule_files"] == ["alerts.yml"]
    assert "alerting" not in found


def expressions() -> dict[str, str]:
    """Every expression by where it stands."""
    found = {f"rule {rule.name} {rule.severity.value}": rule.expression for rule in rules(LIMITS)}
    found |= {f"recorded {name}": expression for name, expression in RECORDED.items()}
    for dashboard in dashboards(LIMITS):
        for panel in dashboard.panels:
            for index, query in enumerate(panel.queries):
                found[f"{dashboard.uid} {panel.title} {index}"] = query.expression
    return found


def test_every_metric_of_an_expression_is_one_that_nodes_have() -> None:
    catalogue = node_metrics(
        version="", commit="", node="", role="", network="", chain_id=0, genesis=""
    ).catalogue()
    catalogue |= CATALOGUE | gateway_metrics.CATALOGUE
    strange = set()
    for where, expression in expressions().items():
        for name in METRIC.findall(re.sub(r'"[^"]*"', '""', expression)):
            plain = next((name.removesuffix(one) for one in SUFFIXES if name.endswith(one)), name)
            if (
                name in {"up", "ALERTS"}
                or name.startswith(FOREIGN)
                or plain in catalogue
                or name in catalogue
            ):
                continue
            strange.add((where, name))

    assert strange == set()


def test_a_dashboard_has_its_variables_a_fixed_uid_and_no_other_data_source() -> None:
    files = grafana_dashboards()

    assert set(files) == {f"{dashboard.uid}.json" for dashboard in dashboards(LIMITS)}
    for name, text in files.items():
        found = json.loads(text)
        assert f"{found['uid']}.json" == name
        assert [variable["name"] for variable in found["templating"]["list"]] == [
            "datasource",
            "network",
            "node",
            "interval",
        ]
        assert [annotation["name"] for annotation in found["annotations"]["list"]] == [
            "Restarts",
            "Deploys",
            "Set changes",
        ]
        panels = [panel for panel in found["panels"] if panel["type"] != "row"]
        assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
        for panel in panels:
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["description"].endswith(".")
            assert panel["targets"]
            legend = panel["options"].get("legend")
            assert legend is None or legend.keys() == {"displayMode", "placement", "showLegend", "calcs"}


def test_what_the_gateway_calls_a_node_is_not_where_it_was_read() -> None:
    """Prometheus keeps the label of the target, and gives the page's own another name."""
    own = {name for name, (_, labels, _) in gateway_metrics.CATALOGUE.items() if "node" in labels}
    asked = [
        expression for expression in expressions().values() if any(f"{name}" in expression for name in own)
    ]

    assert len(asked) == len(own) == 2
    assert all("exported_node" in expression for expression in asked)


def test_round_trips_are_a_matrix_of_nodes_and_validators() -> None:
    (panel,) = (
        panel
        for panel in json.loads(grafana_dashboards()["metanode-consensus.json"])["panels"]
        if panel["title"] == "Who is how far from whom"
    )

    (target,) = panel["targets"]
    assert (panel["type"], target["format"], target["instant"]) == ("table", "table", True)
    assert target["expr"].startswith("max by (node, validator) (")
    (change,) = panel["transformations"]
    assert (change["id"], change["options"]["rowField"], change["options"]["columnField"]) == (
        "groupingToMatrix",
        "node",
        "validator",
    )
    assert panel["fieldConfig"]["defaults"]["custom"]["cellOptions"]["type"] == "color-background"


def test_panels_lie_beside_each_other_and_never_on_each_other() -> None:
    for text in grafana_dashboards().values():
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(text)["panels"]:
            where = panel["gridPos"]
            assert where["x"] + where["w"] <= 24
            cells = {
                (x, y)
                for x in range(where["x"], where["x"] + where["w"])
                for y in range(where["y"], where["y"] + where["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells


def test_grafana_finds_its_data_source_and_its_dashboards() -> None:
    (source,) = yaml.safe_load(grafana_datasource("http://p:9090"))["datasources"]
    (provider,) = yaml.safe_load(grafana_provider("/dashboards"))["providers"]

    assert (source["url"], source["type"], source["isDefault"]) == ("http://p:9090", "prometheus", True)
    assert provider["options"]["path"] == "/dashboards"


def test_the_guide_has_a_heading_for_each_alert_and_no_other() -> None:
    headings = re.findall(r"^## (\w+)$", GUIDE.read_text(), flags=re.MULTILINE)

    assert sorted(headings) == sorted(kind.name for kind in ALERTS)
    # MkDocs and GitHub make the same anchor of one word.
    assert {kind.runbook_url("x/") for kind in ALERTS} == {f"x/#{heading.lower()}" for heading in headings}


def test_the_guide_says_how_grave_each_alert_is() -> None:
    text = GUIDE.read_text()
    for kind in ALERTS:
        (words,) = re.findall(rf"^## {kind.name}\n\n\*(.*?)\.\*", text, flags=re.MULTILINE)
        found = set(re.findall(r"critical|warning|info|none", words))
        assert found == {severity.value for severity in kind.severities}, kind.name


def test_the_guide_says_what_comes_from_one_side_only() -> None:
    text = " ".join(GUIDE.read_text().split())
    for words, kinds in (
        ("From Prometheus only", [kind.name for kind in ALERTS if not kind.in_monitor]),
        ("From the monitor only", [kind.name for kind in ALERTS if not kind.in_prometheus]),
    ):
        assert f"{words}: {', '.join(kinds)}." in text


def test_the_reference_has_every_metric_of_the_services() -> None:
    page = (ROOT / "docs" / "reference" / "toolkit-monitoring.md").read_text()
    for name, (kind, labels, meaning) in CATALOGUE.items():
        shown = f"`{name}{'_total' if kind == 'counter' else ''}`"
        assert f"| {shown} | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} |" in page


def test_the_table_says_who_raises_an_alert() -> None:
    by_rules: dict[str, set[AlertSeverity]] = {}
    for rule in rules(LIMITS):
        by_rules.setdefault(rule.name, set()).add(rule.severity)
    assert set(by_rules) == {kind.name for kind in ALERTS if kind.in_prometheus}
    for name, severities in by_rules.items():
        assert severities <= set(BY_NAME[name].severities), name

    source = "".join(
        inspect.getsource(module) for module in (conditions, events, service_conditions, by_hand)
    )
    raised = {kind.name for kind in ALERTS if f'"{kind.name}"' in source}
    assert raised == {kind.name for kind in ALERTS if kind.in_monitor}


def test_every_rule_has_what_a_person_needs() -> None:
    document = yaml.safe_load(alert_rules(runbook="https://docs.example/alerts/"))
    for rule in document["groups"][1]["rules"]:
        assert rule["annotations"]["runbook_url"] == f"https://docs.example/alerts/#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["impact"].endswith(".")
        assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}


NET = 'network="net"'
V1, V2 = (
    'job="metanode-validators",network="net",node="validator-1"',
    'job="metanode-validators",network="net",node="validator-2"',
)
HEAD = f"metanode_chain_head_timestamp_seconds{{{V1}}}"
ONLINE, MEMBERS = f"metanode_consensus_validators_online{{{V1}}}", f"metanode_consensus_validators{{{V1}}}"
ROUND, HEIGHT = f"metanode_consensus_round{{{V1}}}", f"metanode_consensus_height{{{V1}}}"
LAST = f'metanode_consensus_validator_last_message_timestamp_seconds{{{V1},validator="0xA"}}'
CHANCES = f'metanode_consensus_validator_seal_opportunities_total{{{V1},validator="0xA"}}'
SEALS = f'metanode_consensus_validator_seals_total{{{V1},validator="0xA"}}'
MOVING = {HEAD: "0+5x400", CHANCES: "0+2x400"}
BLOCKS, ROUNDS, WORK, LAG, CALLS = (
    "metanode_chain_block_interval_seconds",
    "metanode_consensus_commit_round",
    "metanode_block_processing_duration_seconds",
    "metanode_event_loop_lag_seconds",
    "metanode_rpc_request_duration_seconds",
)
WAITING = f"metanode_faucet_oldest_queued_age_seconds{{{V1}}}"
MISSED, TAKEN = (
    f'metanode_consensus_proposals{one}_total{{{V1},validator="0xA"}}' for one in ("_missed", "")
)


def spread(name: str, labels: str = "", **bounds: int) -> dict[str, str]:
    """A histogram that grows by so many observations every five seconds, up to each bound: `_0_5` is 0.5."""
    found = {
        f'{name}_bucket{{{V1}{labels},le="{"+Inf" if bound == "inf" else bound[1:].replace("_", ".")}"}}': f"0+{count}x400"
        for bound, count in bounds.items()
    }
    return found | {f"{name}_count{{{V1}{labels}}}": f"0+{bounds['inf']}x400"}


CASES: list[tuple[str, dict[str, str], str, set[str]]] = [
    ("a head of this moment", {HEAD: "0+5x400"}, "5m", set()),
    ("a head that stands for 11 s and then moves", {HEAD: "0+5x40 200 200 215+5x300"}, "5m", set()),
    ("a head that stands", {HEAD: "0+5x10 50x400"}, "2m", {"ChainHalted critical"}),
    ("a head that is late for long", {HEAD: "-20+5x400"}, "2m", {"ChainLate warning"}),
    ("a quorum", MOVING | {ONLINE: "4x400", MEMBERS: "4x400"}, "5m", set()),
    ("no margin", MOVING | {ONLINE: "3x400", MEMBERS: "4x400"}, "5m", {"QuorumMarginZero warning"}),
    ("no margin for a moment", MOVING | {ONLINE: "3x400", MEMBERS: "4x400"}, "1m", set()),
    ("a margin that is left", MOVING | {ONLINE: "6x400", MEMBERS: "7x400"}, "5m", set()),
    ("a network of one", MOVING | {ONLINE: "1x400", MEMBERS: "1x400"}, "5m", set()),
    ("no quorum", MOVING | {ONLINE: "2x400", MEMBERS: "4x400"}, "2m", {"QuorumLost critical"}),
    ("round 1", MOVING | {ROUND: "1x400"}, "1m", set()),
    ("round 2", MOVING | {ROUND: "2x400"}, "1m", {"RoundRising warning"}),
    ("round 3", MOVING | {ROUND: "3x400"}, "1m", {"HighRound critical"}),
    (
        "rounds apart at one height",
        MOVING | {ROUND: "0x400", HEIGHT: "9x400", ROUND.replace("-1", "-2"): "2x400", HEIGHT.replace("-1", "-2"): "9x400"},
        "1m", {"RoundRising warning", "RoundSkew warning"},
    ),
    (
        "rounds of different heights",
        MOVING | {ROUND: "0x400", HEIGHT: "9x400", ROUND.replace("-1", "-2"): "2x400", HEIGHT.replace("-1", "-2"): "7x400"},
        "1m", {"RoundRising warning"},
    ),
    ("one of seven is down", MOVING | {f'up{{job="metanode-validators",network="net",node="validator-{n}"}}': f"{int(n > 1)}x400" for n in range(1, 8)}, "1m", {"NodeDown warning"}),
    ("two of four are down", MOVING | {f'up{{job="metanode-validators",network="net",node="validator-{n}"}}': f"{int(n > 2)}x400" for n in range(1, 5)}, "1m", {"NodeDown warning", "NodeDown critical"}),
    ("a service that answers", MOVING | {f'up{{job="metanode-services",{NET},node="faucet"}}': "1x400"}, "5m", set()),
    ("a service that is gone", MOVING | {f'up{{job="metanode-services",{NET},node="faucet"}}': "1x20 0x400"}, "3m", {"ServiceDown warning"}),
    ("a service that is started again", MOVING | {f'up{{job="metanode-services",{NET},node="faucet"}}': "1x20 0x4 1x400"}, "2m", set()),
    ("a validator that speaks", MOVING | {LAST: "0+5x400", SEALS: "0+2x400"}, "11m", set()),
    ("a silent one, with margin", MOVING | {LAST: "0+5x20 100x400", SEALS: "0+2x400", ONLINE: "6x400", MEMBERS: "7x400"}, "5m", {"ValidatorSilent warning"}),
    ("a silent one, without", MOVING | {LAST: "0+5x20 100x400", SEALS: "0+2x400", ONLINE: "3x400", MEMBERS: "4x400"}, "5m", {"ValidatorSilent critical", "QuorumMarginZero warning"}),
    ("a silent one of a standing chain", {HEAD: "0+5x20 100x400", CHANCES: "0+2x400", LAST: "0+5x20 100x400", SEALS: "0+2x400"}, "5m", {"ChainHalted critical"}),
    ("one that was voted out long ago", {HEAD: "0+5x400", CHANCES: "0+2x20 40x400", LAST: "0+5x20 100x400"}, "13m", set()),
    ("no seals, and it speaks", MOVING | {LAST: "0+5x400"}, "6m", {"ValidatorSealsZero info"}),
    ("a lie", MOVING | {f'metanode_consensus_equivocations_total{{{V1},validator="0xA",type="prepare"}}': "_x20 1x400"}, "5m", {"Equivocation critical"}),
    ("a lie of yesterday", MOVING | {f'metanode_consensus_equivocations_total{{{V1},validator="0xA",type="prepare"}}': "1x900"}, "61m", set()),
    ("another chain", MOVING | {f'metanode_node_info{{{V1},genesis="0xa"}}': "1x400", f'metanode_node_info{{{V2},genesis="0xb"}}': "1x400"}, "1m", {"GenesisMismatch critical"}),
    ("blocks in time", MOVING | spread(BLOCKS, _4_0=100, _6_0=100, inf=100), "11m", set()),
    ("slow blocks", MOVING | spread(BLOCKS, _3_0=90, _6_0=99, inf=100), "11m", {"BlockIntervalSlow warning"}),
    ("very slow blocks", MOVING | spread(BLOCKS, _3_0=50, _6_0=90, inf=100), "11m", {"BlockIntervalSlow critical"}),
    ("two blocks at one height", MOVING | {f"metanode_chain_conflicting_heads{{{V1}}}": "1x400"}, "1m", {"ConflictingHeads critical"}),
    ("a late round now and then", MOVING | spread(ROUNDS, _0_0=95, inf=100), "16m", set()),
    ("late rounds", MOVING | spread(ROUNDS, _0_0=80, inf=100), "16m", {"FrequentRoundChanges warning"}),
    ("fewer connections than another", MOVING | {ONLINE: "6x400", ONLINE.replace("-1", "-2"): "7x400", MEMBERS: "7x400", f"metanode_consensus_is_validator{{{V1}}}": "1x400"}, "3m", {"PeersLow warning"}),
    ("a follower's fewer connections", MOVING | {ONLINE: "6x400", ONLINE.replace("-1", "-2"): "7x400", MEMBERS: "7x400", f"metanode_consensus_is_validator{{{V1}}}": "0x400"}, "3m", set()),
    ("a turn missed now and then", MOVING | {MISSED: "0+1x400", TAKEN: "0+9x400"}, "16m", set()),
    ("a third of the turns", MOVING | {MISSED: "0+1x400", TAKEN: "0+2x400"}, "16m", {"ProposalsMissed warning"}),
    ("one of four turns", MOVING | {MISSED: "0x20 1x400", TAKEN: "0x9 1x9 2x9 3x400"}, "16m", set()),
    ("three turns in a row after two hundred", MOVING | {MISSED: "0x360 1x5 2x5 3x400", TAKEN: "0+1x200 200x600"}, "33m", {"ProposalsMissed warning"}),
    ("blocks executed in time", MOVING | spread(WORK, ',phase="execute"', _0_5=100, _1_0=100, inf=100) | spread(WORK, ',phase="state_root"', _0_25=100, inf=100), "11m", set()),
    ("blocks executed slowly", MOVING | spread(WORK, ',phase="execute"', _0_5=0, _1_0=100, inf=100) | spread(WORK, ',phase="state_root"', _0_25=100, inf=100), "11m", {"BlockExecutionSlow warning"}),
    ("a node at work", MOVING | {f"process_cpu_seconds_total{{{V1}}}": "0+8x400", f"process_resident_memory_bytes{{{V1}}}": "3.8e9x400"}, "6m", set()),
    ("a node that needs its two cores whole", MOVING | {f"process_cpu_seconds_total{{{V1}}}": "0+9.5x400"}, "6m", {"NodeOverloaded warning"}),
    ("a node that catches up for a minute", MOVING | {f"process_cpu_seconds_total{{{V1}}}": "0+9.5x12 114+1x400"}, "6m", set()),
    ("a node about to be killed for its memory", MOVING | {f"process_resident_memory_bytes{{{V1}}}": "4e9x400"}, "3m", {"NodeOverloaded warning"}),
    ("a service's own limit", MOVING | {f'process_resident_memory_bytes{{job="metanode-services",{NET},node="faucet"}}': "4e9x400"}, "3m", set()),
    ("a loop in time", MOVING | spread(LAG, _0_5=100, inf=100), "6m", set()),
    ("a loop that is late", MOVING | spread(LAG, _0_5=90, _1_0=100, inf=100), "6m", {"EventLoopStalled warning"}),
    ("a loop that stands", MOVING | spread(LAG, _2_0=90, _4_0=100, inf=100), "6m", {"EventLoopStalled critical"}),
    ("quick calls", MOVING | spread(CALLS, ',method="eth_chainId"', _1_0=100, inf=100), "11m", set()),
    ("slow calls", MOVING | spread(CALLS, ',method="eth_chainId"', _1_0=0, _2_0=100, inf=100), "11m", {"RpcSlow warning"}),
    ("calls that may be slow", MOVING | spread(CALLS, ',method="debug_traceCall"', _1_0=0, _2_0=100, inf=100), "11m", set()),
    ("a full pool", MOVING | {f'metanode_txpool_rejected_total{{{V1},reason="pool_full"}}': "0+1x400"}, "11m", {"TxPoolFull warning"}),
    ("a pool that refuses what is bad", MOVING | {f'metanode_txpool_rejected_total{{{V1},reason="underpriced"}}': "0+1x400"}, "11m", set()),
    ("a vote", MOVING | {f'metanode_consensus_pending_votes{{{V1},action="add"}}': "1x400"}, "1m", {"VotePending info"}),
    ("no vote", MOVING | {f'metanode_consensus_pending_votes{{{V1},action="add"}}': "0x400"}, "1m", set()),
    ("behind", MOVING | {f"metanode_chain_best_known_block_number{{{V1}}}": "100x400", f"metanode_chain_head_block_number{{{V1}}}": "90x400"}, "2m", {"NodeBehind warning"}),
    ("far behind", MOVING | {f"metanode_chain_best_known_block_number{{{V1}}}": "100x400", f"metanode_chain_head_block_number{{{V1}}}": "9x400"}, "2m", {"NodeBehind critical"}),
    ("a clock", MOVING | {f'metanode_clock_offset_seconds{{{V1},source="peers"}}': "-0.3x400"}, "2m", {"ClockSkew warning"}),
    ("a bad clock", MOVING | {f'metanode_clock_offset_seconds{{{V1},source="peers"}}': "0.7x400"}, "2m", {"ClockSkew critical"}),
    ("alone", MOVING | {f'metanode_p2p_peers{{{V1},role="validator"}}': "0x400", MEMBERS: "4x400"}, "1m", {"NoPeers critical"}),
    ("alone by design", MOVING | {f'metanode_p2p_peers{{{V1},role="validator"}}': "0x400", MEMBERS: "1x400"}, "1m", set()),
    ("started again", MOVING | {f"process_start_time_seconds{{{V1}}}": "1x30 2x30"}, "3m", {"NodeRestarted info"}),
    ("started again and again", MOVING | {f"process_start_time_seconds{{{V1}}}": "1x10 2x10 3x10 4x30"}, "4m", {"NodeRestarted info", "CrashLoop critical"}),
    ("a small disk", MOVING | {f'metanode_disk_free_bytes{{{V1},volume="data"}}': "4e9x400"}, "12m", {"DiskLow warning"}),
    ("a full disk", MOVING | {f'metanode_disk_free_bytes{{{V1},volume="data"}}': "5e8x400"}, "12m", {"DiskLow critical"}),
    ("a disk that fills within a day", MOVING | {f'metanode_disk_free_bytes{{{V1},volume="data"}}': "2e10-2e6x400"}, "12m", {"DiskLow warning"}),
    ("a disk with room", MOVING | {f'metanode_disk_free_bytes{{{V1},volume="data"}}': "2e11-2e6x400"}, "11m", set()),
    ("halted", MOVING | {f'metanode_sync_state{{{V1},state="halted"}}': "1x400"}, "1m", {"NodeHalted critical"}),
    ("stuck", MOVING | {f"metanode_txpool_oldest_pending_age_seconds{{{V1}}}": "90x400", f"metanode_chain_head_block_number{{{V1}}}": "0+2x400"}, "3m", {"TxStuck warning"}),
    ("stuck, as the chain is", {HEAD: "0x400", f"metanode_txpool_oldest_pending_age_seconds{{{V1}}}": "90x400", f"metanode_chain_head_block_number{{{V1}}}": "9x400"}, "3m", {"ChainHalted critical"}),
    ("a milestone", MOVING | {f"metanode_chain_head_block_number{{{V1}}}": "99980+2x400"}, "330s", {"Milestone info"}),
    ("a milestone of before", MOVING | {f"metanode_chain_head_block_number{{{V1}}}": "99980+2x400"}, "10m", set()),
    ("a member more", MOVING | {f'metanode_consensus_validator_set_changes_total{{{V1},action="add"}}': "0x20 1x400"}, "3m", {"ValidatorSetChanged info"}),
    ("two builds", MOVING | {f'metanode_build_info{{{V1},version="1",commit="a"}}': "1x400", f'metanode_build_info{{{V2},version="2",commit="b"}}': "1x400"}, "1m", {"VersionMix info"}),
    ("another build", MOVING | {f'metanode_build_info{{{V1},version="1",commit="a"}}': "1x20 stale", f'metanode_build_info{{{V1},version="2",commit="a"}}': "_x22 1x400"}, "3m", {"ConfigChanged info"}),
    ("another build for long", MOVING | {f'metanode_build_info{{{V1},version="1",commit="a"}}': "1x20 stale", f'metanode_build_info{{{V1},version="2",commit="a"}}': "_x22 1x400"}, "8m", set()),
    ("the same build at another address", MOVING | {f'metanode_build_info{{{V1},instance="a",version="1"}}': "1x20 stale", f'metanode_build_info{{{V1},instance="b",version="1"}}': "_x22 1x400"}, "3m", set()),
    ("another role", MOVING | {f'metanode_node_info{{{V1},role="validator",genesis="0xa"}}': "1x20 stale", f'metanode_node_info{{{V1},role="rpc",genesis="0xa"}}': "_x22 1x400"}, "3m", {"ConfigChanged info"}),
    ("another limit of peers", MOVING | {f"metanode_p2p_peer_limit{{{V1}}}": "25x20 10x400"}, "3m", {"ConfigChanged info"}),
    ("a faucet with plenty", MOVING | {f"metanode_faucet_balance_ether{{{V1}}}": "400x400", f"metanode_faucet_daily_budget_ether{{{V1}}}": "100x400"}, "5m", set()),
    ("a faucet with two days left", MOVING | {f"metanode_faucet_balance_ether{{{V1}}}": "200x400", f"metanode_faucet_daily_budget_ether{{{V1}}}": "100x400"}, "5m", {"FaucetLow warning"}),
    ("a faucet with hours left", MOVING | {f"metanode_faucet_balance_ether{{{V1}}}": "20x400", f"metanode_faucet_daily_budget_ether{{{V1}}}": "100x400"}, "5m", {"FaucetLow critical"}),
    ("a queue that moves", MOVING | {WAITING: "20x400", f'metanode_faucet_queue{{{V1},state="pending"}}': "9x400", f'metanode_faucet_claims_total{{{V1},result="paid"}}': "0+1x400"}, "11m", set()),
    ("a queue that does not", MOVING | {f'metanode_faucet_queue{{{V1},state="pending"}}': "9x400", f'metanode_faucet_claims_total{{{V1},result="paid"}}': "7x400", WAITING: "0+5x400"}, "5m", {"FaucetQueueOld warning"}),
    ("a payout that waits for ten minutes", MOVING | {WAITING: "0+5x400"}, "12m", {"FaucetQueueOld critical"}),
    ("forged messages", MOVING | {f'metanode_consensus_messages_rejected_total{{{V1},type="commit",reason="bad_signature"}}': "_x20 2x400"}, "3m", {"BadSeal warning"}),
    ("forged messages of before", MOVING | {f'metanode_consensus_messages_rejected_total{{{V1},type="commit",reason="bad_signature"}}': "_x20 2x400"}, "8m", set()),
    ("somebody has the faucet's key", MOVING | {f"metanode_faucet_nonce_conflicts_total{{{V1}}}": "0x20 1x400"}, "3m", {"FaucetNonceConflict critical"}),
    ("a faucet that refuses what it always does", MOVING | {f'metanode_faucet_rejections_total{{{V1},reason="ip_limit"}}': "0+5x400"}, "14m", set()),
    ("a faucet that is beset", MOVING | {f'metanode_faucet_rejections_total{{{V1},reason="ip_limit"}}': "0x180 0+5x200"}, "27m", {"FaucetAbuse info"}),
    ("a budget spent in hours", MOVING | {f"metanode_faucet_paid_ether_total{{{V1}}}": "0+1000x400", f"metanode_faucet_daily_budget_ether{{{V1}}}": "100000x400"}, "12m", {"FaucetAbuse info"}),
    ("blocks that can't be indexed", MOVING | {f'metanode_explorer_errors_total{{{V1},stage="block"}}': "0x20 1 2 3 4x300"}, "4m", {"ExplorerErrors warning"}),
    ("a wrong seal of the chain", MOVING | {f"metanode_explorer_invalid_seals_total{{{V1}}}": "0x20 1x800"}, "4m", {"InvalidSeal critical"}),
    ("a wrong seal of yesterday", MOVING | {f"metanode_explorer_invalid_seals_total{{{V1}}}": "0x20 1x800"}, "64m", set()),
    ("an index that begins anew", MOVING | {f"metanode_explorer_invalid_seals_total{{{V1}}}": "1x20 0x400"}, "4m", set()),
    ("a node that the index can't ask", MOVING | {f'metanode_explorer_errors_total{{{V1},stage="node"}}': "0x20 1 2 3 4x300"}, "4m", set()),
    ("a certificate for a week", MOVING | {f'metanode_certificate_expiry_timestamp_seconds{{{V1},site="explorer"}}': "600000x400"}, "12m", {"CertExpiry warning"}),
    ("an index behind", MOVING | {f"metanode_explorer_lag_blocks{{{V1}}}": "9x400"}, "3m", {"ExplorerLag warning"}),
    ("an index far behind", MOVING | {f"metanode_explorer_lag_blocks{{{V1}}}": "999x400"}, "3m", {"ExplorerLag critical"}),
    ("internal errors", MOVING | {f'metanode_rpc_errors_total{{{V1},method="x",code="-32603"}}': "0+1x400", f'metanode_rpc_requests_total{{{V1},method="x"}}': "0+20x400"}, "8m", {"RpcErrors warning"}),
    ("most calls end with an internal error", MOVING | {f'metanode_rpc_errors_total{{{V1},method="x",code="-32603"}}': "0+10x400", f'metanode_rpc_requests_total{{{V1},method="x"}}': "0+20x400"}, "11m", {"RpcErrors critical"}),
    ("errors of callers", MOVING | {f'metanode_rpc_errors_total{{{V1},method="x",code="-32602"}}': "0+10x400", f'metanode_rpc_requests_total{{{V1},method="x"}}': "0+20x400"}, "11m", set()),
]  # fmt: skip
"""What it is, series at every five seconds (from 0 on, so that a time is a timestamp), when one looks, what fires."""


def test_every_rule_has_a_case_in_which_it_fires() -> None:
    fired = {one for _, _, _, expected in CASES for one in expected}

    # Watchdog fires always, and in every case.
    assert fired == {f"{rule.name} {rule.severity.value}" for rule in rules(LIMITS)} - {"Watchdog none"}


@needs_promtool
def test_rules_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    # Every fifteen seconds is enough to see, and a third of the work.
    (tmp_path / "alerts.yml").write_text(alert_rules().replace("interval: 5s", "interval: 15s"))
    names = sorted({rule.name for rule in rules(LIMITS)} - {"Watchdog"})
    severities = {
        name: {rule.severity.value for rule in rules(LIMITS) if rule.name == name} for name in names
    }
    tests: list[dict[str, Any]] = []
    for desc, series, at, expected in CASES:
        query = 'count by (alertname, severity) (ALERTS{alertstate="firing",alertname!="Watchdog"})'
        tests.append(
            {
                "name": desc,
                "interval": "5s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"({query}) * 0 + 1",
                        "eval_time": at,
                        "exp_samples": [
                            {
                                "labels": f'{{alertname="{one.split()[0]}",severity="{one.split()[1]}"}}',
                                "value": 1,
                            }
                            for one in sorted(expected)
                        ],
                    }
                ],
            }
        )
        assert all(one.split()[1] in severities[one.split()[0]] for one in expected), desc
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump(
            {
                "rule_files": ["alerts.yml"],
                "evaluation_interval": "15s",
                # In Prometheus, too, what is recorded comes first; promtool takes any order unless it is told.
                "group_eval_order": ["metanode-recorded", "metanode-alerts"],
                "tests": tests,
            }
        )
    )

    assert "SUCCESS" in promtool("test", "rules", "test.yml", cwd=tmp_path)
