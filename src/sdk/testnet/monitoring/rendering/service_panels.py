"""The dashboard of the services: faucet, index, pages, the monitor itself. It asks what `service_metrics` says. Pure."""

from __future__ import annotations

from sdk.testnet.monitoring.rendering.panels import NETWORK, Dashboard, Panel, ask


def _quantile(share: float, name: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({name}_bucket{{{NETWORK}}}[$interval])))"


def _faulty() -> str:
    """The share of a site's answers with a status of 5xx; 0 while there was none."""
    answers = "sum by (site) (rate(metanode_http_requests_total{%s}[$interval]))"
    every, ours = answers % NETWORK, answers % f'{NETWORK},status_class="5xx"'
    return f"({ours} or {every} * 0) / ({every} > 0)"


def services_dashboard() -> Dashboard:
    """Faucet, explorer and pages."""
    faucet = (
        Panel(
            title="Balance", kind="stat", width=6, height=4,
            queries=(ask(f"max(metanode_faucet_balance_ether{{{NETWORK}}})"),), description="Tokens of the account that pays.",
        ),
        Panel(
            title="Days of budget left", kind="stat", width=6, height=4, unit="d",
            queries=(ask(f"max(metanode_faucet_balance_ether{{{NETWORK}}}) / max(metanode_faucet_daily_budget_ether{{{NETWORK}}})"),),
            description="If every day pays all it may.",
        ),
        Panel(
            title="Today's budget left", kind="stat", width=6, height=4, unit="percentunit",
            queries=(ask(f"max(metanode_faucet_budget_remaining_ratio{{{NETWORK}}})"),), description="Share of today's payouts.",
        ),
        Panel(
            title="Payouts that wait", kind="stat", width=6, height=4, steps=((20, "orange"),),
            queries=(ask(f"sum(metanode_faucet_queue{{{NETWORK}}})"),), description="Promised, and not over.",
        ),
        Panel(
            title="Requests a second, by result", stacked=True, width=12,
            queries=(ask(f"sum by (result) (rate(metanode_faucet_claims_total{{{NETWORK}}}[$interval]))", "{{result}}"),),
            description="Of the faucet's ledger.",
        ),
        Panel(
            title="Tokens paid an hour", width=12,
            queries=(ask(f"3600 * sum(rate(metanode_faucet_paid_ether_total{{{NETWORK}}}[$interval]))", "paid"),
                     ask(f"sum(metanode_faucet_daily_budget_ether{{{NETWORK}}}) / 24", "the daily budget, spread evenly")),
            description="Above the line the day's budget ends early.",
        ),
        Panel(
            title="Refused, by reason", kind="bars", stacked=True,
            queries=(ask(f"sum by (reason) (increase(metanode_faucet_rejections_total{{{NETWORK}}}[$interval]))", "{{reason}}"),),
            description="Limits, an empty faucet, recipients that get nothing, wrong proofs of work.",
        ),
        Panel(
            title="Promised, by way", kind="bars", stacked=True,
            queries=(ask(f"sum by (channel) (increase(metanode_faucet_promises_total{{{NETWORK}}}[$interval]))", "{{channel}}"),),
            description="Over the web, with vouchers and keys (pass), to programs.",
        ),
        Panel(
            title="Until the coins are there", unit="s",
            queries=(ask(_quantile(0.5, "metanode_faucet_time_to_funds_seconds"), "half"), ask(_quantile(0.95, "metanode_faucet_time_to_funds_seconds"), "95 %"),
                     ask(f"max(metanode_faucet_oldest_queued_age_seconds{{{NETWORK}}})", "the oldest that waits")),
            steps=((60, "orange"),), description="From promise to final block.",
        ),
        Panel(
            title="Work that is asked", queries=(ask(f"max(metanode_faucet_pow_bits{{{NETWORK}}})", "bits"),),
            description="Difficulty of a puzzle for somebody new: one bit more is twice the work; 0 where none is asked.",
        ),
        Panel(
            title="Until a puzzle is solved", unit="s",
            queries=(ask(f"sum(metanode_faucet_pow_solve_seconds_sum{{{NETWORK}}}) / clamp_min(sum(metanode_faucet_pow_solve_seconds_count{{{NETWORK}}}), 1)", "mean"),),
            description="From handing it out to its right proof, since the faucet began.",
        ),
        Panel(
            title="Transactions sent again, replaced, and not ours",
            queries=(ask(f"sum(metanode_faucet_rebroadcasts_total{{{NETWORK}}})", "sent again"), ask(f"sum(metanode_faucet_replacements_total{{{NETWORK}}})", "with a higher fee"),
                     ask(f"sum(metanode_faucet_nonce_conflicts_total{{{NETWORK}}})", "nonces used by others")),
            description="The last must be 0: something else has the key.",
        ),
    )  # fmt: skip
    pages = (
        Panel(
            title="Index behind", queries=(ask(f"metanode_explorer_lag_blocks{{{NETWORK}}}", "blocks"),), steps=((5, "orange"),),
            description="Blocks that the node has and the index has not.",
        ),
        Panel(
            title="Newest block in the index", queries=(ask(f"metanode_explorer_indexed_block_number{{{NETWORK}}}", "indexed"),),
            description="It should rise as the chain does.",
        ),
        Panel(
            title="Time in a stage of indexing, 95 %", unit="s",
            queries=(ask(f"histogram_quantile(0.95, sum by (stage, le) (rate(metanode_explorer_index_duration_seconds_bucket{{{NETWORK}}}[$interval])))", "{{stage}}"),),
            description="Of a group of blocks; one block at the head.",
        ),
        Panel(
            title="Attempts of the index that failed", kind="bars", stacked=True,
            queries=(ask(f"sum by (stage) (increase(metanode_explorer_errors_total{{{NETWORK}}}[$interval]))", "{{stage}}"),),
            description="What a node told can't be indexed, the database, or the node.",
        ),
        Panel(
            title="Answers that are our fault", unit="percentunit",
            queries=(ask(_faulty(), "{{site}}"),),
            description="Share of the answers with a status of 5xx.",
        ),
        Panel(
            title="Open streams", stacked=True, queries=(ask(f"sum by (site) (metanode_sse_clients{{{NETWORK}}})", "{{site}}"),),
            description="Browsers that watch live.",
        ),
        Panel(
            title="Requests a second, by site and result", stacked=True,
            queries=(ask(f"sum by (site, status_class) (rate(metanode_http_requests_total{{{NETWORK}}}[$interval]))", "{{site}} {{status_class}}"),),
            description="5xx is ours, 4xx the caller's.",
        ),
        Panel(
            title="Calls of the API a second, by key", stacked=True,
            queries=(ask(f"sum by (caller) (rate(metanode_api_requests_total{{{NETWORK}}}[$interval]))", "{{caller}}"),),
            description="Without a key, with one, and with one that is not known: many of the last are guesses.",
        ),
        Panel(
            title="Answers within, 95 %, by site", unit="s",
            queries=(ask(f"histogram_quantile(0.95, sum by (site, le) (rate(metanode_http_request_duration_seconds_bucket{{{NETWORK}}}[$interval])))", "{{site}}"),),
            description="Streams are long by their nature.",
        ),
        Panel(
            title="Slowest routes, 95 %", unit="s",
            queries=(ask(f"topk(10, histogram_quantile(0.95, sum by (site, route, le) (rate(metanode_http_request_duration_seconds_bucket{{{NETWORK}}}[$interval]))))", "{{site}} {{route}}"),),
            description="Routes as they are written in the code.",
        ),
    )  # fmt: skip
    monitor = (
        Panel(
            title="Verdict of the monitor", kind="state-timeline",
            queries=(ask(f"metanode_monitor_verdict{{{NETWORK}}} == 1", "{{verdict}}"),), words={1.0: ("here", "blue")},
            description="It goes by signed messages, and by weight.",
        ),
        Panel(
            title="Alerts of the monitor", kind="bars", stacked=True,
            queries=(ask(f"sum by (severity) (metanode_alerts_active{{{NETWORK}}})", "{{severity}}"),), description="Firing.",
        ),
        Panel(
            title="Age of its data", unit="s", steps=((8, "red"),),
            queries=(ask(f"metanode_monitor_data_age_seconds{{{NETWORK}}}", "age"),), description="Over eight seconds it is UNKNOWN.",
        ),
        Panel(
            title="Alerts to webhooks", queries=(ask(f"sum by (result) (metanode_webhook_alerts_total{{{NETWORK}}})", "{{result}}"),),
            description="Delivered, and dropped after six tries or because a queue was full.",
        ),
        Panel(
            title="Parts that answer", kind="state-timeline", queries=(ask(f"metanode_services_part_up{{{NETWORK}}}", "{{part}}"),),
            words={0.0: ("no", "red"), 1.0: ("yes", "green")}, description="Parts of the services that could be asked for their numbers.",
        ),
        Panel(
            title="Memory", unit="bytes", queries=(ask(f'process_resident_memory_bytes{{{NETWORK},job="metanode-services"}}', "{{node}}"),),
            description="Of the services' processes.",
        ),
    )  # fmt: skip
    return Dashboard(
        uid="metanode-services",
        title="Metanode: faucet, explorer and pages",
        rows=(("Faucet", faucet), ("Explorer and pages", pages), ("Monitor", monitor)),
    )
