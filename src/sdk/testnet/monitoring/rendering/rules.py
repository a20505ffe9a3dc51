"""Prometheus' rules: the alerts of the catalogue as expressions over the nodes' metrics. Pure.

A rule that is only a consequence of a standing chain does not fire while the chain stands. Expressions give a value for each network, so that
one Prometheus may watch several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from metanode.telemetry.metrics import INTERVAL_BUCKETS_S
from sdk.testnet.monitoring import thresholds
from sdk.testnet.monitoring.alerts.catalogue import BY_NAME, CRITICAL, INFO, RUNBOOK, WARNING, AlertSeverity
from sdk.testnet.monitoring.rendering.prometheus import NODES_JOB, SERVICES_JOB, VALIDATORS_JOB, dump
from sdk.testnet.monitoring.thresholds import Thresholds

EVALUATION_S: Final = 5
NODES: Final = f'job=~"{VALIDATORS_JOB}|{NODES_JOB}"'
HEAD_AGE: Final = "metanode:chain_head_age:seconds"
ONLINE: Final = "metanode:validators_online:max"
VALIDATORS: Final = "metanode:validators:max"
REFUSED: Final = "metanode:faucet_refusals:increase10m"

RECORDED: Final = {
    HEAD_AGE: "time() - max by (network) (metanode_chain_head_timestamp_seconds)",
    ONLINE: "max by (network) (metanode_consensus_validators_online)",
    VALIDATORS: "max by (network) (metanode_consensus_validators)",
    "metanode:transactions:rate1m": "max by (network) (sum by (network, node) (rate(metanode_chain_transactions_total[1m])))",
    REFUSED: "sum by (network) (increase(metanode_faucet_rejections_total[10m]))",
}
"""What several rules and dashboards ask for, and what one asks for the median of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alerting rule."""

    name: str
    severity: AlertSeverity
    expression: str
    for_s: int = 0
    summary: str
    """What is seen, with Prometheus' templates."""

    @property
    def document(self) -> dict[str, Any]:
        """The rule as Prometheus reads it, without the annotations that are the same for all."""
        entry: dict[str, Any] = {"alert": self.name, "expr": self.expression}
        if self.for_s:
            entry["for"] = f"{self.for_s}s"
        return entry


def alert_rules(
    *,
    block_time_s: float = 2,
    runbook: str = RUNBOOK,
    node_cores: float = thresholds.NODE_CORES,
    node_memory_bytes: int = thresholds.NODE_MEMORY_BYTES,
) -> str:
    """`alerts.yml`: recording rules and alerts for a network with this time between blocks, whose nodes may take so much of their machines.

    `runbook` is where the guide of alerts is served; a heading's anchor is put behind it.
    """
    recorded = [{"record": name, "expr": expression} for name, expression in RECORDED.items()]
    alerts = []
    limits = Thresholds(block_time_s=block_time_s, node_cores=node_cores, node_memory_bytes=node_memory_bytes)
    for rule in rules(limits):
        kind = BY_NAME[rule.name]
        entry = rule.document
        entry["labels"] = {"severity": rule.severity.value}
        entry["annotations"] = {
            "summary": rule.summary,
            "impact": kind.impact,
            "runbook_url": kind.runbook_url(runbook),
        }
        alerts.append(entry)
    groups = [
        {"name": "metanode-recorded", "interval": f"{EVALUATION_S}s", "rules": recorded},
        {"name": "metanode-alerts", "interval": f"{EVALUATION_S}s", "rules": alerts},
    ]
    head = f"# Alerts of a Metanode network with a block every {block_time_s:g} s. What each means and what to do: {runbook}\n"
    return head + dump({"groups": groups})


def rules(limits: Thresholds) -> tuple[Rule, ...]:
    """Every alerting rule."""
    return (*_chain(limits), *_consensus(limits), *_nodes(limits), *_users(), *_services(), *_changes())


def _moving(expression: str, limits: Thresholds) -> str:
    """The same, but not while the whole chain stands, which is told already."""
    return f"({expression}) unless on (network) ({HEAD_AGE} > {limits.halted_s:g})"


def slow_share(limit_s: float, *, where: str = "") -> str:
    """The share of intervals over a limit in the last five minutes, told by the next bucket; where none is that long, whether the mean is over it."""
    total = f"sum by (network) (rate(metanode_chain_block_interval_seconds_count{{{where}}}[5m]))"
    bounds = [float(bound) for bound in INTERVAL_BUCKETS_S if bound >= limit_s]
    if not bounds:
        time_s = f"sum by (network) (rate(metanode_chain_block_interval_seconds_sum{{{where}}}[5m]))"
        return f"({time_s} / {total}) > bool {limit_s:g}"
    labels = ",".join(filter(None, (where, f'le="{bounds[0]}"')))
    within = f"sum by (network) (rate(metanode_chain_block_interval_seconds_bucket{{{labels}}}[5m]))"
    return f"1 - {within} / {total}"


def _slow(limit_s: float) -> str:
    """Whether over one in twenty intervals is longer: the 95th percentile."""
    return f"({slow_share(limit_s)}) > 0.05"


def _graded(name: str, *, critical: str, warning: str, for_s: int, summary: str) -> tuple[Rule, Rule]:
    """Two rules of which at most one fires."""
    return (
        Rule(name=name, severity=CRITICAL, for_s=for_s, expression=critical, summary=summary),
        Rule(
            name=name, severity=WARNING, for_s=for_s, expression=f"({warning}) unless ({critical})", summary=summary
        ),
    )  # fmt: skip


def _disk(limit_bytes: int, *, hours: int) -> str:
    """Little space, or not much and none at all in some hours if it goes on like that."""
    will_be_full = f"predict_linear(metanode_disk_free_bytes[1h], {hours * 3600}) < 0"
    return (
        f"(metanode_disk_free_bytes < {limit_bytes}) or "
        f"((metanode_disk_free_bytes < {10 * limit_bytes}) and ({will_be_full}))"
    )


def _chain(limits: Thresholds) -> tuple[Rule, ...]:
    where = "{{ $labels.network }}"
    lost = f"3 * {ONLINE} < 2 * {VALIDATORS}"
    late_rounds = (
        '1 - sum by (network) (rate(metanode_consensus_commit_round_bucket{le="0.0"}[10m])) / '
        f"sum by (network) (rate(metanode_consensus_commit_round_count[10m])) > {thresholds.ROUNDS_LATE_SHARE}"
    )
    highest = "max by (network) (metanode_consensus_round)"
    return (
        Rule(
            name="ChainHalted", severity=CRITICAL, expression=f"{HEAD_AGE} > {limits.halted_s:g}",
            summary=f"{where}: no block for {{{{ $value | humanizeDuration }}}}",
        ),
        Rule(
            name="ChainLate", severity=WARNING, for_s=10,
            expression=_moving(f"{HEAD_AGE} > {limits.late_s:g}", limits),
            summary=f"{where}: the newest block is {{{{ $value | humanizeDuration }}}} old",
        ),
        Rule(
            name="QuorumLost", severity=CRITICAL, for_s=15, expression=lost,
            summary=f"{where}: no node is connected with a quorum of validators",
        ),
        Rule(
            name="QuorumMarginZero", severity=WARNING, for_s=120,
            expression=f"({ONLINE} < {VALIDATORS}) and (3 * {ONLINE} >= 2 * {VALIDATORS}) and (3 * ({ONLINE} - 1) < 2 * {VALIDATORS})",
            summary=f"{where}: {{{{ $value }}}} validators are connected, and none of them can be spared",
        ),
        Rule(
            name="HighRound", severity=CRITICAL, expression=f"{highest} >= {thresholds.ROUND_HIGH}",
            summary=f"{where}: a height is in round {{{{ $value }}}}",
        ),
        Rule(
            name="RoundRising", severity=WARNING,
            expression=f"({highest} >= {thresholds.ROUND_RISING}) unless ({highest} >= {thresholds.ROUND_HIGH})",
            summary=f"{where}: a height is in round {{{{ $value }}}}",
        ),
        Rule(
            name="FrequentRoundChanges", severity=WARNING, for_s=300, expression=_moving(late_rounds, limits),
            summary=f"{where}: {{{{ $value | humanizePercentage }}}} of the blocks needed more than one round",
        ),
        Rule(
            name="RoundSkew", severity=WARNING, for_s=30,
            expression=(
                f"({highest} - min by (network) (metanode_consensus_round) >= {thresholds.ROUND_SKEW}) and on (network) "
                "(max by (network) (metanode_consensus_height) == min by (network) (metanode_consensus_height))"
            ),
            summary=f"{where}: nodes are {{{{ $value }}}} rounds apart at one height",
        ),
        *_graded(
            "BlockIntervalSlow", for_s=300,
            critical=_moving(_slow(limits.very_slow_s), limits), warning=_moving(_slow(limits.slow_s), limits),
            summary=f"{where}: {{{{ $value | humanizePercentage }}}} of the blocks take over {limits.slow_s:g} s",
        ),
        Rule(
            name="ConflictingHeads", severity=CRITICAL,
            expression="max by (network) (metanode_chain_conflicting_heads) > 0",
            summary=f"{where}: a node has seen two decided blocks at one height",
        ),
        Rule(
            name="GenesisMismatch", severity=CRITICAL, for_s=10,
            expression="count by (network) (count by (network, genesis) (metanode_node_info)) > 1",
            summary=f"{where}: nodes run {{{{ $value }}}} different chains",
        ),
    )  # fmt: skip


def _consensus(limits: Thresholds) -> tuple[Rule, ...]:
    who = "{{ $labels.network }}: validator {{ $labels.validator }}"
    last = (
        "time() - max by (network, validator) (metanode_consensus_validator_last_message_timestamp_seconds)"
    )
    # A validator that was voted out says nothing any more, and has no opportunities to seal.
    is_member = "max by (network, validator) (increase(metanode_consensus_validator_seal_opportunities_total[10m])) > 0"
    silent = f"({last} > {thresholds.SILENT_S:g}) and on (network, validator) ({is_member})"
    without_margin = f"3 * ({ONLINE} - 1) < 2 * {VALIDATORS}"
    lies = "max by (network, validator) (sum by (network, node, validator) (metanode_consensus_equivocations_total))"
    before = "max by (network, validator) (sum by (network, node, validator) (metanode_consensus_equivocations_total offset 1h))"
    forged = 'sum by (network, node) (metanode_consensus_messages_rejected_total{reason="bad_signature"})'
    forged_before = 'sum by (network, node) (metanode_consensus_messages_rejected_total{reason="bad_signature"} offset 5m)'
    missed = "max by (network, validator) (increase(metanode_consensus_proposals_missed_total[30m]))"
    proposed = "max by (network, validator) (increase(metanode_consensus_proposals_total[30m]))"
    missed_lately, proposed_lately = (each.replace("[30m]", "[5m]") for each in (missed, proposed))
    window_s = int(max(300, 1.5 * thresholds.SEALS_WINDOW * limits.block_time_s))
    opportunities = f"max by (network, validator) (increase(metanode_consensus_validator_seal_opportunities_total[{window_s}s]))"
    seals = f"max by (network, validator) (increase(metanode_consensus_validator_seals_total[{window_s}s]))"
    return (
        Rule(
            name="Equivocation", severity=CRITICAL,
            # The series begins when there is something to count.
            expression=f"({lies} - ({before} or {lies} * 0)) > 0",
            summary=f"{who} has signed two contradicting messages",
        ),
        Rule(
            name="BadSeal", severity=WARNING,
            # This series, too, begins when there is something to count.
            expression=f"({forged} - ({forged_before} or {forged} * 0)) > 0",
            summary="{{ $labels.network }}: {{ $labels.node }} was sent {{ $value }} consensus messages whose signature is wrong",
        ),
        Rule(
            name="ValidatorSilent", severity=CRITICAL, for_s=30,
            expression=_moving(f"({silent}) and on (network) ({without_margin})", limits),
            summary=f"{who} has said nothing for {{{{ $value | humanizeDuration }}}}, and no other one can be spared",
        ),
        Rule(
            name="ValidatorSilent", severity=WARNING, for_s=30,
            expression=_moving(f"({silent}) unless on (network) ({without_margin})", limits),
            summary=f"{who} has said nothing for {{{{ $value | humanizeDuration }}}}",
        ),
        Rule(
            name="ProposalsMissed", severity=WARNING,
            expression=_moving(
                f"(({missed} >= {thresholds.MISSED_MIN}) and ({missed} > "
                f"{thresholds.MISSED_SHARE / (1 - thresholds.MISSED_SHARE):g} * ({proposed} or {missed} * 0))) or "
                f"(({missed_lately} >= {thresholds.MISSED_MIN}) unless ({proposed_lately} > 0))",
                limits,
            ),
            summary=f"{who} has missed {{{{ $value | humanize }}}} turns",
        ),
        Rule(
            name="ValidatorSealsZero", severity=INFO,
            expression=(
                f"(({opportunities} >= {thresholds.SEALS_WINDOW}) and ({last} < {thresholds.SILENT_S:g})) unless ({seals} > 0)"
            ),
            summary=f"{who} takes part, and none of {{{{ $value | humanize }}}} certificates has its seal",
        ),
    )  # fmt: skip


def _nodes(limits: Thresholds) -> tuple[Rule, ...]:
    who = "{{ $labels.network }}: {{ $labels.node }}"
    lag = "histogram_quantile(0.99, sum by (network, node, le) (rate(metanode_event_loop_lag_seconds_bucket[2m])))"
    behind = "metanode_chain_best_known_block_number - metanode_chain_head_block_number"
    off = "abs(metanode_clock_offset_seconds)"
    processing = 'histogram_quantile(0.95, sum by (network, node, le) (rate(metanode_block_processing_duration_seconds_bucket{{phase="{}"}}[5m])))'
    cores = f"sum by (network, node) (rate(process_cpu_seconds_total{{{NODES}}}[2m]))"
    memory = f"sum by (network, node) (process_resident_memory_bytes{{{NODES}}})"
    most_down = f'count by (network) (up{{job="{VALIDATORS_JOB}"}} == 0) > (count by (network) (up{{job="{VALIDATORS_JOB}"}}) - 1) / 3'
    return (
        Rule(
            name="NodeHalted", severity=CRITICAL, expression='metanode_sync_state{state="halted"} == 1',
            summary=f"{who} has halted; its log says why",
        ),
        *_graded(
            "NodeBehind", for_s=60,
            critical=f"{behind} > {thresholds.BEHIND_CRITICAL}", warning=f"{behind} > {thresholds.BEHIND_WARNING}",
            summary=f"{who} is {{{{ $value }}}} blocks behind",
        ),
        Rule(
            name="NodeDown", severity=CRITICAL, for_s=30, expression=most_down,
            summary="{{ $labels.network }}: {{ $value }} validators do not answer, more than the network can lose",
        ),
        Rule(
            name="NodeDown", severity=WARNING, for_s=30, expression=f"up{{{NODES}}} == 0",
            summary=f"{who} does not answer",
        ),
        Rule(
            name="NodeOverloaded", severity=WARNING, for_s=120,
            expression=" or ".join((
                f'(label_replace({cores} / {limits.node_cores:g}, "what", "cores", "", "") > {thresholds.OVERLOADED_SHARE:g})',
                f'(label_replace({memory} / {limits.node_memory_bytes}, "what", "memory", "", "") > {thresholds.OVERLOADED_SHARE:g})',
            )),
            summary=f"{who} uses {{{{ $value | humanizePercentage }}}} of the {{{{ $labels.what }}}} that it may take",
        ),
        Rule(
            name="NodeRestarted", severity=INFO, expression=f"changes(process_start_time_seconds{{{NODES}}}[2m]) > 0",
            summary=f"{who} was started again",
        ),
        Rule(
            name="CrashLoop", severity=CRITICAL, expression=f"changes(process_start_time_seconds{{{NODES}}}[10m]) >= {thresholds.RESTARTS_MAX}",
            summary=f"{who} was started {{{{ $value }}}} times in 10 minutes",
        ),
        Rule(
            name="PeersLow", severity=WARNING, for_s=120,
            expression=(
                "((max by (network) (metanode_consensus_validators_online)) - on (network) group_right () "
                "metanode_consensus_validators_online > 0) and on (network, node) (metanode_consensus_is_validator == 1)"
            ),
            summary=f"{who} is connected with {{{{ $value }}}} validators fewer than others are",
        ),
        Rule(
            name="NoPeers", severity=CRITICAL, for_s=30,
            expression="(sum by (network, node) (metanode_p2p_peers) == 0) and on (network, node) (metanode_consensus_validators > 1)",
            summary=f"{who} has no peer",
        ),
        *_graded(
            "ClockSkew", for_s=60,
            critical=f"{off} > {thresholds.CLOCK_CRITICAL_S:g}", warning=f"{off} > {thresholds.CLOCK_WARNING_S:g}",
            summary=f"{who}: the clock is {{{{ $value | humanizeDuration }}}} off the validators' median",
        ),
        *_graded(
            "EventLoopStalled", for_s=120,
            critical=f"{lag} > {thresholds.LOOP_LAG_CRITICAL_S:g}", warning=f"{lag} > {thresholds.LOOP_LAG_WARNING_S:g}",
            summary=f"{who}: the event loop is {{{{ $value | humanizeDuration }}}} late",
        ),
        Rule(
            name="BlockExecutionSlow", severity=WARNING, for_s=300,
            expression=f"{processing.format('execute')} + {processing.format('state_root')} > {limits.execution_slow_s:g}",
            summary=f"{who}: executing a block takes {{{{ $value | humanizeDuration }}}}",
        ),
        *_graded(
            "DiskLow", for_s=300,
            critical=_disk(thresholds.DISK_CRITICAL_BYTES, hours=4), warning=_disk(thresholds.DISK_WARNING_BYTES, hours=24),
            summary=f"{who}: the data directory's disk has {{{{ $value | humanize1024 }}}}B left",
        ),
    )  # fmt: skip


def _users() -> tuple[Rule, ...]:
    who = "{{ $labels.network }}: {{ $labels.node }}"
    errors = (
        'sum by (network, node) (rate(metanode_rpc_errors_total{code="-32603"}[5m])) / '
        "sum by (network, node) (rate(metanode_rpc_requests_total[5m]))"
    )
    busy = f"sum by (network, node) (rate(metanode_rpc_requests_total[5m])) >= {thresholds.RPC_BUSY:g}"
    return (
        Rule(
            name="TxPoolFull", severity=WARNING, for_s=300,
            expression='increase(metanode_txpool_rejected_total{reason="pool_full"}[5m]) > 0',
            summary=f"{who} refuses transactions because its pool is full",
        ),
        Rule(
            name="TxStuck", severity=WARNING, for_s=60,
            expression=(
                f"(metanode_txpool_oldest_pending_age_seconds > {thresholds.TRANSACTION_STUCK_S:g}) and "
                "(changes(metanode_chain_head_block_number[1m]) > 0)"
            ),
            summary=f"{who}: a transaction that could run has waited for {{{{ $value | humanizeDuration }}}} while blocks come",
        ),
        *_graded(
            "RpcErrors", for_s=300,
            critical=f"({errors} > {thresholds.RPC_ERRORS_CRITICAL}) and ({busy})",
            warning=f"({errors} > {thresholds.RPC_ERRORS_WARNING}) and ({busy})",
            summary=f"{who}: {{{{ $value | humanizePercentage }}}} of the calls end with an internal error",
        ),
        Rule(
            name="RpcSlow", severity=WARNING, for_s=300,
            expression=(
                "histogram_quantile(0.95, sum by (network, node, le) "
                f'(rate(metanode_rpc_request_duration_seconds_bucket{{method!~"{thresholds.EXPENSIVE}"}}[5m]))) > {thresholds.RPC_SLOW_S:g}'
            ),
            summary=f"{who}: cheap calls take {{{{ $value | humanizeDuration }}}}",
        ),
    )  # fmt: skip


def _services() -> tuple[Rule, ...]:
    where = "{{ $labels.network }}"
    low = "metanode_faucet_balance_ether < {} * metanode_faucet_daily_budget_ether"
    usual = f"quantile_over_time(0.5, {REFUSED}[24h])"
    burnt = "sum by (network) (increase(metanode_faucet_paid_ether_total[1h]))"
    evenly = "max by (network) (metanode_faucet_daily_budget_ether) / 24"
    return (
        Rule(
            name="ServiceDown", severity=WARNING, for_s=30, expression=f'up{{job="{SERVICES_JOB}"}} == 0',
            summary=f"{where}: the service {{{{ $labels.node }}}} does not answer",
        ),
        *_graded(
            "FaucetLow", for_s=60, critical=low.format(thresholds.FAUCET_VERY_LOW_DAYS), warning=low.format(thresholds.FAUCET_LOW_DAYS),
            summary=f"{where}: the faucet has {{{{ $value | humanize }}}} tokens left",
        ),
        *_graded(
            "FaucetQueueOld", for_s=0,
            critical=f"metanode_faucet_oldest_queued_age_seconds > {thresholds.QUEUE_OLD_CRITICAL_S:g}",
            warning=f"metanode_faucet_oldest_queued_age_seconds > {thresholds.QUEUE_OLD_WARNING_S:g}",
            summary=f"{where}: a payout has waited for {{{{ $value | humanizeDuration }}}}",
        ),
        Rule(
            name="FaucetNonceConflict", severity=CRITICAL,
            expression="sum by (network) (increase(metanode_faucet_nonce_conflicts_total[10m])) > 0",
            summary=f"{where}: the faucet's account has sent transactions that the faucet did not sign",
        ),
        Rule(
            name="FaucetAbuse", severity=INFO, for_s=600,
            expression=(
                f"({REFUSED} > {thresholds.REFUSALS_MIN} and {REFUSED} > {thresholds.REFUSALS_TIMES} * {usual}) or "
                f"({burnt} > {thresholds.BURN_TIMES} * ({evenly}))"
            ),
            summary=f"{where}: the faucet refuses far more than it does on other days, or pays its day's budget within hours",
        ),
        *_graded(
            "ExplorerLag", for_s=60,
            critical=f"metanode_explorer_lag_blocks > {thresholds.LAG_CRITICAL}",
            warning=f"metanode_explorer_lag_blocks > {thresholds.LAG_WARNING}",
            summary=f"{where}: the index is {{{{ $value }}}} blocks behind",
        ),
        Rule(
            name="InvalidSeal", severity=CRITICAL,
            expression="sum by (network) (increase(metanode_explorer_invalid_seals_total[1h])) > 0",
            summary=f"{where}: the index has found {{{{ $value | humanize }}}} wrong seals in certificates of the chain",
        ),
        Rule(
            name="ExplorerErrors", severity=WARNING,
            expression=f'sum by (network, stage) (increase(metanode_explorer_errors_total{{stage=~"block|database"}}[10m])) >= {thresholds.INDEX_ERRORS}',
            summary=f"{where}: indexing has failed {{{{ $value | humanize }}}} times in ten minutes ({{{{ $labels.stage }}}})",
        ),
        Rule(
            name="CertExpiry", severity=WARNING, for_s=600,
            expression=f"min by (network, site) (metanode_certificate_expiry_timestamp_seconds) - time() < {thresholds.CERTIFICATE_S}",
            summary=f"{where}: the certificate of {{{{ $labels.site }}}} ends in {{{{ $value | humanizeDuration }}}}",
        ),
    )  # fmt: skip


def _several(metric: str, labels: str, what: str) -> str:
    """The nodes that have had more than one value of these labels in five minutes."""
    values = f"count by (network, node, {labels}) (last_over_time({metric}[5m]))"
    return f'label_replace(count by (network, node) ({values}), "what", "{what}", "", "") > 1'


def _changes() -> tuple[Rule, ...]:
    where = "{{ $labels.network }}"
    head = "max by (network) (metanode_chain_head_block_number{})"
    blocks = thresholds.MILESTONE_BLOCKS
    return (
        Rule(
            name="ValidatorSetChanged", severity=INFO,
            expression="max by (network, action) (increase(metanode_consensus_validator_set_changes_total[5m])) > 0",
            summary=f"{where}: the validator set has changed ({{{{ $labels.action }}}})",
        ),
        Rule(
            name="VotePending", severity=INFO,
            expression="sum by (network, action) (metanode_consensus_pending_votes) > 0",
            summary=f"{where}: {{{{ $value }}}} votes on members are open ({{{{ $labels.action }}}})",
        ),
        Rule(
            name="VersionMix", severity=INFO,
            expression="count by (network) (count by (network, version, commit) (metanode_build_info)) > 1",
            summary=f"{where}: nodes run {{{{ $value }}}} different builds",
        ),
        Rule(
            name="ConfigChanged", severity=INFO,
            # What a node publishes of its configuration, which it reads when it starts: both the old and the new stand in the window for five minutes.
            expression=" or ".join((
                f"({_several('metanode_build_info', 'version, commit, python', 'build')})",
                f"({_several('metanode_node_info', 'role, genesis', 'role or genesis')})",
                '(label_replace(max by (network, node) (changes(metanode_p2p_peer_limit[5m])), "what", "limit of peers", "", "") > 0)',
            )),
            summary=f"{where}: {{{{ $labels.node }}}} runs with another {{{{ $labels.what }}}} than before",
        ),
        Rule(
            name="Milestone", severity=INFO,
            # An edge: once the number is on the page for five minutes, it is told no longer.
            expression=f"(floor({head.format('')} / {blocks}) - floor({head.format(' offset 5m')} / {blocks})) > 0",
            summary=f"{where}: another {blocks} blocks",
        ),
        Rule(
            name="Watchdog", severity=AlertSeverity.NONE, expression="vector(1)",
            summary="alerting works; a receiver that misses this one should call somebody",
        ),
    )  # fmt: skip
