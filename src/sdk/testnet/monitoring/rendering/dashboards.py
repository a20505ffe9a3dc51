"""The dashboards: one overview and four that go deeper. Each panel asks metrics that nodes have; docs/reference/metrics.md lists them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sdk.testnet.monitoring import thresholds
from sdk.testnet.monitoring.rendering.gateway_panels import gateway_panels
from sdk.testnet.monitoring.rendering.panels import NETWORK, Dashboard, Panel, ask
from sdk.testnet.monitoring.rendering.rules import HEAD_AGE, ONLINE, RECORDED, VALIDATORS, slow_share
from sdk.testnet.monitoring.rendering.service_panels import services_dashboard

if TYPE_CHECKING:
    from sdk.testnet.monitoring.thresholds import Thresholds

NODE: Final = 'network="$network",node=~"$node"'
LATE_S: Final = 10.0
"""A validator speaks several times a block; the verdict counts it out at ten seconds and a period."""
FAR_S: Final = 0.25
VERY_FAR_S: Final = 0.5
"""Round trips of a connection; a decision takes one and a half of the quorum's slowest, within seconds."""
VERDICTS: Final = {
    4.0: ("HALTED", "dark-red"),
    3.0: ("NO QUORUM", "red"),
    2.0: ("DEGRADED", "orange"),
    1.0: ("SLOW", "yellow"),
    0.0: ("HEALTHY", "green"),
}
"""What the number of the verdict means; without data it is UNKNOWN."""


def dashboards(limits: Thresholds) -> tuple[Dashboard, ...]:
    """All of them, the overview first."""
    return (_overview(limits), _consensus(), _node(), _rpc(), services_dashboard())


def _rate(metric: str, *by: str, where: str = NODE) -> str:
    labels = ", ".join(by)
    return f"sum by ({labels}) (rate({metric}{{{where}}}[$interval]))"


def _quantile(share: float, metric: str, *by: str, where: str = NODE) -> str:
    labels = ", ".join((*by, "le"))
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[$interval])))"


def _mean(metric: str, *by: str, where: str = NODE) -> str:
    return f"{_rate(f'{metric}_sum', *by, where=where)} / {_rate(f'{metric}_count', *by, where=where)}"


def _here(recorded: str) -> str:
    """What is recorded by a rule, asked without it: a dashboard works without rules too."""
    return f"(({RECORDED[recorded]}) and on (network) metanode_build_info{{{NETWORK}}})"


def _verdict(limits: Thresholds) -> str:
    """The first that holds: the same questions in the same order as the monitor's."""
    age, online, validators = _here(HEAD_AGE), _here(ONLINE), _here(VALIDATORS)
    degraded = (
        f"(max by (network) (metanode_consensus_round{{{NETWORK}}}) >= {thresholds.ROUND_RISING})"
        f" or (max by (network) (metanode_chain_conflicting_heads{{{NETWORK}}}) > 0)"
        f" or (({online} < {validators}) and (3 * ({online} - 1) < 2 * {validators}))"
    )
    return " or ".join(
        f"(({condition}) * 0 + {value})"
        for value, condition in (
            (4, f"{age} > {limits.halted_s:g}"),
            (3, f"3 * {online} < 2 * {validators}"),
            (2, degraded),
            (1, f"({slow_share(limits.slow_s, where=NETWORK)}) > 0.05"),
            (0, age),
        )
    )


def _overview(limits: Thresholds) -> Dashboard:
    now = (
        Panel(
            title="Verdict", kind="stat", width=4, height=4, words=VERDICTS, queries=(ask(_verdict(limits)),),
            description="Halted, without a quorum, degraded, slow or healthy: the first that holds. Without data: unknown.",
        ),
        Panel(
            title="Head age", kind="stat", width=4, height=4, unit="s",
            steps=((limits.late_s, "orange"), (limits.halted_s, "red")),
            queries=(ask(f"time() - max(metanode_chain_head_timestamp_seconds{{{NETWORK}}})"),),
            description="Since the timestamp of the newest block.",
        ),
        Panel(
            title="Height", kind="stat", width=4, height=4,
            queries=(ask(f"max(metanode_chain_head_block_number{{{NETWORK}}})"),),
            description="Number of the newest finalized block.",
        ),
        Panel(
            title="Validators connected, and needed", kind="stat", width=4, height=4,
            queries=(
                ask(f"max(metanode_consensus_validators_online{{{NETWORK}}})", "connected"),
                ask(f"ceil(max(metanode_consensus_validators{{{NETWORK}}}) * 2 / 3)", "needed"),
                ask(f"max(metanode_consensus_validators{{{NETWORK}}})", "all"),
            ),
            description="As the best connected node sees it. In a network that weighs by stake, weights decide: see `metanode doctor`.",
        ),
        Panel(
            title="Transactions a second", kind="stat", width=4, height=4,
            queries=(ask(f"max(sum by (node) (rate(metanode_chain_transactions_total{{{NETWORK}}}[$interval])))"),),
            description="Of finalized blocks.",
        ),
        Panel(
            title="Alerts", kind="stat", width=4, height=4,
            queries=(ask('count by (severity) (ALERTS{alertstate="firing", network=~"$network|"})', "{{severity}}"),),
            description="Firing now, by severity; `none` is the heartbeat that shows that alerting works.",
        ),
    )  # fmt: skip
    course = (
        Panel(
            title="Block interval", unit="s",
            queries=(
                ask(_quantile(0.5, "metanode_chain_block_interval_seconds", where=NETWORK), "half of the blocks within"),
                ask(_quantile(0.95, "metanode_chain_block_interval_seconds", where=NETWORK), "95 % within"),
            ),
            description="Between timestamps of blocks, as the buckets tell it.",
        ),
        Panel(
            title="Round of decisions", kind="heatmap",
            queries=(ask(f"sum by (le) (increase(metanode_consensus_commit_round_bucket{{{NETWORK}}}[$interval]))", "{{le}}"),),
            description="In which round heights were decided; everything above 0 cost time.",
        ),
        Panel(
            title="Gas used of the limit", unit="percentunit",
            queries=(ask(f"max(metanode_chain_head_gas_used_ratio{{{NETWORK}}})", "newest block"),),
            description="How full blocks are.",
        ),
        Panel(
            title="Transactions a second, by type",
            queries=(ask(f"max by (type) (sum by (node, type) (rate(metanode_chain_transactions_total{{{NETWORK}}}[$interval])))", "type {{type}}"),),
            stacked=True, description="EIP-2718 types of finalized transactions.",
        ),
        Panel(
            title="Height", queries=(ask(f"metanode_chain_head_block_number{{{NODE}}}", "{{node}}"),),
            description="Of each node: lines that lie on each other.",
        ),
        Panel(
            title="Validators connected", queries=(ask(f"metanode_consensus_validators_online{{{NODE}}}", "{{node}}"),),
            description="As each node sees it, itself too.",
        ),
    )  # fmt: skip
    nodes = (
        Panel(
            title="Nodes", kind="table", width=16, height=8,
            queries=(
                ask(f"max by (node) (metanode_chain_head_block_number{{{NODE}}})"),
                ask(f"max(metanode_chain_head_block_number{{{NETWORK}}}) - on () group_right () max by (node) (metanode_chain_head_block_number{{{NODE}}})"),
                ask(f"sum by (node) (metanode_p2p_peers{{{NODE}}})"),
                ask(f"time() - max by (node) (process_start_time_seconds{{{NODE}}})"),
                ask(f"max by (node, version, commit) (metanode_build_info{{{NODE}}})"),
            ),
            description="A: height. B: blocks behind the highest. C: peers. D: seconds since its start. E: its build.",
        ),
        Panel(
            title="Alerts", kind="table", width=8, height=8,
            queries=(ask('ALERTS{alertstate="firing", network=~"$network|"}'),),
            description="What fires now. docs/guide/alerts.md says what to do about each.",
        ),
    )  # fmt: skip
    return Dashboard(
        uid="metanode-overview",
        title="Metanode: network overview",
        rows=(("Now", now), ("Course", course), ("Nodes", nodes)),
    )


def _consensus() -> Dashboard:
    last = f"time() - max by (validator) (metanode_consensus_validator_last_message_timestamp_seconds{{{NETWORK}}})"
    rounds = (
        Panel(
            title="Round", queries=(ask(f"metanode_consensus_round{{{NODE}}}", "{{node}}"),),
            description="Of the open height. All nodes should be in the same one.",
        ),
        Panel(
            title="Until the round ends", unit="s",
            queries=(
                ask(
                    f"clamp_min(metanode_consensus_round_started_timestamp_seconds{{{NODE}}} + "
                    f"metanode_consensus_round_timeout_seconds{{{NODE}}} - time(), 0)",
                    "{{node}}",
                ),
            ),
            description="How long a standing height stands at least; 0 when the round is over.",
        ),
        Panel(
            title="Round changes a second, by reason", kind="bars", stacked=True,
            queries=(ask(_rate("metanode_consensus_round_changes_total", "reason"), "{{reason}}"),),
            description="timeout: no decision in time. quorum_rc: others had left already.",
        ),
        Panel(
            title="Phase", kind="state-timeline",
            queries=(ask(f"metanode_consensus_phase{{{NODE}}}", "{{node}} {{phase}}"),),
            words={0.0: ("", "transparent"), 1.0: ("here", "blue")},
            description="The phase that each node's round is in.",
        ),
        Panel(
            title="Time in a phase", unit="s",
            queries=(ask(_mean("metanode_consensus_phase_duration_seconds", "phase"), "{{phase}}"),),
            description="Mean of each phase; waiting for the slot is no work.",
        ),
        Panel(
            title="From proposal to quorum, 95 %", unit="s",
            queries=(
                ask(_quantile(0.95, "metanode_consensus_quorum_prepare_delay_seconds", where=NODE), "prepares"),
                ask(_quantile(0.95, "metanode_consensus_quorum_commit_delay_seconds", where=NODE), "commits"),
                ask(_quantile(0.95, "metanode_consensus_full_commit_delay_seconds", where=NODE), "the last validator's commit"),
            ),
            description="How long voting takes; the last line has only heights where every commit came.",
        ),
    )  # fmt: skip
    validators = (
        Panel(
            title="Since the last message", unit="s", steps=((thresholds.SILENT_S, "red"),),
            queries=(ask(last, "{{validator}}"),),
            description="Whether a validator lives is told by its messages, as any node has heard them; never by its seals.",
        ),
        Panel(
            title="Who has spoken", kind="state-timeline", width=16,
            words={0.0: ("heard", "green"), 1.0: ("late", "orange"), 2.0: ("silent", "red")},
            queries=(ask(f"({last} > bool {LATE_S:g}) + ({last} > bool {thresholds.SILENT_S:g})", "{{validator}}"),),
            description="The same over time: late after ten seconds, silent after thirty.",
        ),
        Panel(
            title="Proposals", kind="bars", stacked=True,
            queries=(ask(f"max by (validator) (increase(metanode_consensus_proposals_total{{{NETWORK}}}[$interval]))", "{{validator}}"),),
            description="Finalized blocks by their proposer.",
        ),
        Panel(
            title="Missed turns", kind="bars", stacked=True,
            queries=(ask(f"max by (validator) (increase(metanode_consensus_proposals_missed_total{{{NETWORK}}}[$interval]))", "{{validator}}"),),
            description="Rounds that ended without the block of their proposer.",
        ),
        Panel(
            title="Share of certificates with a seal of", unit="percentunit",
            queries=(
                ask(
                    f"max by (validator) (rate(metanode_consensus_validator_seals_total{{{NETWORK}}}[$interval])) / "
                    f"max by (validator) (rate(metanode_consensus_validator_seal_opportunities_total{{{NETWORK}}}[$interval]))",
                    "{{validator}}",
                ),
            ),
            description="A certificate is closed at the quorum: a share below 1 is no downtime, and a validator far away may have none.",
        ),
        Panel(
            title="Late commits a second",
            queries=(ask(_rate("metanode_consensus_late_commits_total", "validator", where=NETWORK), "{{validator}}"),),
            description="Commits that came when the height was decided: late, and alive.",
        ),
        Panel(
            title="Round trip to validators", unit="s",
            queries=(ask(f"metanode_p2p_validator_rtt_seconds{{{NODE}}}", "{{node}} to {{validator}}"),),
            description="Of each connection.",
        ),
        Panel(
            title="Who is how far from whom", kind="table", unit="s", width=24, height=8, matrix=("node", "validator"),
            steps=((FAR_S, "orange"), (VERY_FAR_S, "red")),
            queries=(ask(f"max by (node, validator) (metanode_p2p_validator_rtt_seconds{{{NODE}}})"),),
            description="Round trips: a row for each node that measures, a column for each validator. A red column is a validator that all find far.",
        ),
    )  # fmt: skip
    messages = (
        Panel(
            title="Messages taken in a second", queries=(ask(_rate("metanode_consensus_messages_received_total", "type"), "{{type}}"),),
            description="By validators, of a height and round that matters.",
        ),
        Panel(
            title="Messages sent a second", queries=(ask(_rate("metanode_consensus_messages_sent_total", "type"), "{{type}}"),),
            description="To all peers.",
        ),
        Panel(
            title="Messages not taken in a second", queries=(ask(_rate("metanode_consensus_messages_rejected_total", "reason"), "{{reason}}"),),
            description="old and duplicate are everyday; bad_signature is not.",
        ),
        Panel(
            title="Seals in the newest certificate", queries=(ask(f"metanode_consensus_block_seals{{{NODE}}}", "{{node}}"),),
            description="As recorded by each node; they may differ.",
        ),
        Panel(
            title="Open votes on members", queries=(ask(f"sum by (action) (metanode_consensus_pending_votes{{{NETWORK}}})", "{{action}}"),),
            description="Wishes of the nodes' own validators.",
        ),
    )  # fmt: skip
    return Dashboard(
        uid="metanode-consensus",
        title="Metanode: consensus",
        rows=(("Rounds", rounds), ("Validators", validators), ("Messages", messages)),
    )


def _node() -> Dashboard:
    machine = (
        Panel(
            title="Processor", unit="percentunit", queries=(ask(f"rate(process_cpu_seconds_total{{{NODE}}}[$interval])", "{{node}}"),),
            description="1 is one core.",
        ),
        Panel(
            title="Memory", unit="bytes", queries=(ask(f"process_resident_memory_bytes{{{NODE}}}", "{{node}}"),),
            description="Resident.",
        ),
        Panel(
            title="Event loop late, 99 %", unit="s", steps=((thresholds.LOOP_LAG_WARNING_S, "orange"), (thresholds.LOOP_LAG_CRITICAL_S, "red")),
            queries=(ask(_quantile(0.99, "metanode_event_loop_lag_seconds", "node"), "{{node}}"),),
            description="The earliest sign of trouble.",
        ),
        Panel(
            title="Garbage collections a second", queries=(ask(_rate("python_gc_collections_total", "node", "generation"), "{{node}} generation {{generation}}"),),
            description="Of Python's memory.",
        ),
        Panel(
            title="Clock off the validators' median", unit="s", queries=(ask(f"metanode_clock_offset_seconds{{{NODE}}}", "{{node}}"),),
            description="From 0.5 s on a validator loses its own turns.",
        ),
        Panel(
            title="Open files", queries=(ask(f"process_open_fds{{{NODE}}}", "{{node}}"),),
            description="Sockets among them.",
        ),
    )  # fmt: skip
    blocks = (
        Panel(
            title="Work on a block, 95 %", unit="s",
            queries=(ask(_quantile(0.95, "metanode_block_processing_duration_seconds", "phase"), "{{phase}}"),),
            description="By phase, of the execution engine.",
        ),
        Panel(
            title="Gas a second", queries=(ask(f"metanode_evm_gas_per_second{{{NODE}}}", "{{node}}"),),
            description="Of the latest block that had some.",
        ),
        Panel(
            title="Blocks by where they are from", stacked=True, queries=(ask(_rate("metanode_chain_blocks_imported_total", "source"), "{{source}}"),),
            description="sync is what a node fetches when it is behind.",
        ),
        Panel(
            title="Behind the best peer", queries=(ask(f"metanode_chain_best_known_block_number{{{NODE}}} - metanode_chain_head_block_number{{{NODE}}}", "{{node}}"),),
            description="In blocks.",
        ),
        Panel(
            title="State", kind="state-timeline", queries=(ask(f"metanode_sync_state{{{NODE}}}", "{{node}} {{state}}"),),
            words={0.0: ("", "transparent"), 1.0: ("here", "blue")}, description="syncing, catching up, live, halted.",
        ),
        Panel(
            title="From timestamp to proposal, 95 %", unit="s", queries=(ask(_quantile(0.95, "metanode_p2p_block_propagation_seconds", "node"), "{{node}}"),),
            description="Until a proposal is here; the difference of the clocks is in it. By proposer it is on the node's metrics page.",
        ),
    )  # fmt: skip
    disk = (
        Panel(
            title="On the disk", unit="bytes", queries=(ask(f"metanode_db_size_bytes{{{NODE}}}", "{{node}} {{db}}"),), stacked=True,
            description="Databases of each node.",
        ),
        Panel(
            title="Durable writes, 95 %", unit="s", queries=(ask(_quantile(0.95, "metanode_db_operation_duration_seconds", "db", "op"), "{{db}} {{op}}"),),
            description="A slow disk delays every vote.",
        ),
        Panel(
            title="Free, and free in a day", unit="bytes",
            queries=(
                ask(f"metanode_disk_free_bytes{{{NODE}}}", "{{node}} now"),
                ask(f"predict_linear(metanode_disk_free_bytes{{{NODE}}}[1h], 86400)", "{{node}} in a day"),
            ),
            description="If it goes on as in the last hour.",
        ),
    )  # fmt: skip
    peers = (
        Panel(
            title="Peers", stacked=True, queries=(ask(f"sum by (node, direction) (metanode_p2p_peers{{{NODE}}})", "{{node}} {{direction}}"),),
            description="Connected.",
        ),
        Panel(
            title="Traffic", unit="Bps", queries=(ask(_rate("metanode_p2p_bytes_total", "direction", "protocol"), "{{direction}} {{protocol}}"),),
            description="Bytes a second from and to peers.",
        ),
        Panel(
            title="Waiting to be sent", queries=(ask(f"metanode_p2p_send_queue_messages{{{NODE}}}", "{{node}}"), ask(_rate("metanode_p2p_dropped_messages_total", "node"), "{{node}} dropped a second")),
            description="Messages in the queues of peers, and those that found them full.",
        ),
        Panel(
            title="Connections that ended a second", stacked=True, queries=(ask(_rate("metanode_p2p_disconnects_total", "reason", "initiator"), "{{reason}} by {{initiator}}"),),
            description="By reason.",
        ),
    )  # fmt: skip
    return Dashboard(
        uid="metanode-node",
        title="Metanode: node",
        rows=(("Machine", machine), ("Blocks", blocks), ("Disk", disk), ("Peers", peers)),
    )


def _rpc() -> Dashboard:
    calls = (
        Panel(
            title="Calls a second, by method", stacked=True, queries=(ask(_rate("metanode_rpc_requests_total", "method"), "{{method}}"),),
            description="JSON-RPC.",
        ),
        Panel(
            title="Calls a second, by how they ended", stacked=True, queries=(ask(_rate("metanode_rpc_requests_total", "result"), "{{result}}"),),
            description="denied: not offered on that port. limited: rate or load.",
        ),
        Panel(
            title="Share of calls that end with an error, by code", unit="percentunit", stacked=True,
            queries=(
                ask(
                    f"{_rate('metanode_rpc_errors_total', 'code')} / on () group_left () (sum(rate(metanode_rpc_requests_total{{{NODE}}}[$interval])) > 0)",
                    "{{code}}",
                ),
            ),
            description="-32603 is the node's fault, the others are the caller's.",
        ),
        Panel(
            title="How long a call takes", unit="s",
            queries=tuple(
                ask(_quantile(share, "metanode_rpc_request_duration_seconds"), f"{share:.0%} within") for share in (0.5, 0.95, 0.99)
            ),
            description="All methods.",
        ),
        Panel(
            title="How long a call takes, 95 %, by method", unit="s", queries=(ask(_quantile(0.95, "metanode_rpc_request_duration_seconds", "method"), "{{method}}"),),
            description="From reading to answering.",
        ),
        Panel(
            title="Refused a second", queries=(ask(_rate("metanode_rpc_refused_total", "kind"), "{{kind}}"),),
            description="By limits and rules of access.",
        ),
        Panel(
            title="Open", queries=(
                ask(f"sum(metanode_rpc_in_flight{{{NODE}}})", "calls"),
                ask(f"sum(metanode_rpc_http_connections{{{NODE}}})", "HTTP connections"),
                ask(f"sum(metanode_rpc_websocket_connections{{{NODE}}})", "WebSocket connections"),
                ask(f"sum by (type) (metanode_rpc_subscriptions{{{NODE}}})", "subscriptions to {{type}}"),
                ask(f"sum(metanode_rpc_filters{{{NODE}}})", "filters"),
            ),
            description="At this moment.",
        ),
        Panel(
            title="Calls in a batch, mean", queries=(ask(_mean("metanode_rpc_batch_size", "node"), "{{node}}"),),
            description="Single calls are none.",
        ),
    )  # fmt: skip
    pool = (
        Panel(
            title="In the pool", stacked=True, queries=(ask(f"max by (state, origin) (metanode_txpool_transactions{{{NODE}}})", "{{state}} {{origin}}"),),
            description="pending can run, queued waits for an earlier nonce.",
        ),
        Panel(
            title="Size of the pool", unit="bytes", queries=(ask(f"metanode_txpool_size_bytes{{{NODE}}}", "{{node}}"),),
            description="Encoded length.",
        ),
        Panel(
            title="Taken in a second", queries=(ask(_rate("metanode_txpool_added_total", "origin"), "{{origin}}"),),
            description="local came through the node's own RPC.",
        ),
        Panel(
            title="Refused a second, by reason", stacked=True, queries=(ask(_rate("metanode_txpool_rejected_total", "reason"), "{{reason}}"),),
            description="Transactions.",
        ),
        Panel(
            title="Gone a second, by reason", stacked=True, queries=(ask(_rate("metanode_txpool_removed_total", "reason"), "{{reason}}"),),
            description="mined is the way it should be.",
        ),
        Panel(
            title="Until it is included, 95 %", unit="s", queries=(ask(_quantile(0.95, "metanode_txpool_inclusion_delay_seconds", "node"), "{{node}}"),),
            description="From arrival in the pool to the block.",
        ),
        Panel(
            title="Oldest that could run", unit="s", steps=((thresholds.TRANSACTION_STUCK_S, "orange"),),
            queries=(ask(f"metanode_txpool_oldest_pending_age_seconds{{{NODE}}}", "{{node}}"),),
            description="A transaction that waits while blocks come is stuck.",
        ),
        Panel(
            title="Senders", queries=(ask(f"metanode_txpool_senders{{{NODE}}}", "{{node}}"),),
            description="Accounts with transactions in the pool.",
        ),
    )  # fmt: skip
    return Dashboard(
        uid="metanode-rpc",
        title="Metanode: RPC, gateway and transaction pool",
        rows=(("Calls", calls), ("Gateway", gateway_panels()), ("Transaction pool", pool)),
    )
