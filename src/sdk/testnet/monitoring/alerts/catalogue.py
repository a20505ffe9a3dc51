"""Every alert by name: how grave it can be, who is hurt, and where its runbook is. Pure.

The monitor raises them by its conditions, Prometheus by its rules (`rendering.rules`); docs/guide/alerts.md has a heading for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class AlertSeverity(Enum):
    """Who is told."""

    CRITICAL = "critical"
    """Somebody is woken."""
    WARNING = "warning"
    """Somebody looks at it today."""
    INFO = "info"
    """It stands in the feed."""
    NONE = "none"
    """A heartbeat: silence is the alarm."""


CRITICAL: Final = AlertSeverity.CRITICAL
WARNING: Final = AlertSeverity.WARNING
INFO: Final = AlertSeverity.INFO

GUIDE: Final = "/docs/guide/alerts.html"
"""Where a network's pages serve the guide of alerts."""
RUNBOOK: Final = f"http://127.0.0.1:3000{GUIDE}"
"""Where the network's own pages serve the guide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertKind:
    """One alert."""

    name: str
    severities: tuple[AlertSeverity, ...]
    """The gravest first."""
    impact: str
    """Who is hurt, in a sentence."""
    in_monitor: bool = True
    """Whether `TestnetMonitor` raises it."""
    in_prometheus: bool = True
    """Whether a Prometheus rule raises it."""

    @property
    def anchor(self) -> str:
        """Its heading in the guide, as a link names it."""
        return self.name.lower()

    def runbook_url(self, pages: str = RUNBOOK) -> str:
        """The link to what is to be done."""
        return f"{pages}#{self.anchor}"


def _kind(
    name: str,
    *severities: AlertSeverity,
    impact: str,
    in_monitor: bool = True,
    in_prometheus: bool = True,
) -> AlertKind:
    return AlertKind(
        name=name,
        severities=severities,
        impact=impact,
        in_monitor=in_monitor,
        in_prometheus=in_prometheus,
    )


ALERTS: Final = (
    _kind("ChainHalted", CRITICAL, impact="No transaction is included, for anybody."),
    _kind("ChainLate", WARNING, impact="Transactions wait longer than they should."),
    _kind("QuorumLost", CRITICAL, impact="No block can be decided until validators come back."),
    _kind("QuorumMarginZero", WARNING, impact="If one more validator fails, the chain stands."),
    _kind("HighRound", CRITICAL, impact="A height has failed several times; each further round takes longer."),
    _kind("RoundRising", WARNING, impact="A height has failed twice."),
    _kind("FrequentRoundChanges", WARNING, impact="Blocks come late again and again."),
    _kind("RoundSkew", WARNING, impact="Validators in different rounds wait for each other."),
    _kind("BlockIntervalSlow", CRITICAL, WARNING, impact="Everybody waits longer for every transaction."),
    _kind("ConflictingHeads", CRITICAL, impact="Two blocks are decided at one height: the chain's promise is broken."),
    _kind("GenesisMismatch", CRITICAL, impact="A node runs another chain under this network's name."),
    _kind("Equivocation", CRITICAL, impact="A validator has signed two contradicting messages; a third of such can split the chain."),
    _kind("InvalidSeal", CRITICAL, impact="Nodes have taken a certificate that proves nothing: whether the block is decided is unknown."),
    _kind("BadSeal", WARNING, impact="No impact yet: forged messages are not counted. Somebody tries, or a node is damaged."),
    _kind("NodeHalted", CRITICAL, impact="A node has stopped for good rather than go on wrongly."),
    _kind("ValidatorSilent", CRITICAL, WARNING, impact="The chain goes on with less margin."),
    _kind("ProposalsMissed", WARNING, impact="Blocks come late at this validator's turns."),
    _kind("ValidatorSealsZero", INFO, impact="No impact: the validator takes part, its votes come last."),
    _kind("NodeBehind", CRITICAL, WARNING, impact="Who asks this node sees the past."),
    _kind("NodeDown", CRITICAL, WARNING, impact="The node answers nobody; if it is a validator, the margin is smaller."),
    _kind("NodeOverloaded", WARNING, impact="The node answers late, or is killed for its memory."),
    _kind("NodeRestarted", INFO, impact="A moment without this node."),
    _kind("CrashLoop", CRITICAL, impact="The node can't stay up, and is as good as down."),
    _kind("PeersLow", WARNING, impact="Messages of this validator take a way around, or none."),
    _kind("NoPeers", CRITICAL, impact="The node is alone: it neither hears nor is heard."),
    _kind("ClockSkew", CRITICAL, WARNING, impact="The validator loses its own turns."),
    _kind("EventLoopStalled", CRITICAL, WARNING, impact="The node answers its peers late; its votes may miss their round."),
    _kind("BlockExecutionSlow", WARNING, impact="Blocks come late once validating takes the time that voting needs."),
    _kind("DiskLow", CRITICAL, WARNING, impact="A node whose disk is full stops."),
    _kind("TxPoolFull", WARNING, impact="Users' transactions are refused."),
    _kind("TxStuck", WARNING, impact="A transaction that could run is not included."),
    _kind("RpcErrors", CRITICAL, WARNING, impact="Calls of users fail through no fault of theirs."),
    _kind("RpcSlow", WARNING, impact="Wallets and pages hang."),
    _kind("ServiceDown", WARNING, impact="People miss what it gives: tokens, pages, calls. And nobody hears its own alerts."),
    _kind("FaucetLow", CRITICAL, WARNING, impact="The faucet will soon have nothing to give."),
    _kind("FaucetQueueOld", CRITICAL, WARNING, impact="People wait for tokens that were promised."),
    _kind("FaucetNonceConflict", CRITICAL, impact="Somebody else may have the faucet's key, and its coins."),
    _kind("FaucetAbuse", INFO, impact="People may find the day's budget spent."),
    _kind("ExplorerLag", CRITICAL, WARNING, impact="Pages and API show the past."),
    _kind("ExplorerErrors", WARNING, impact="Pages and API will soon show the past."),
    _kind("CertExpiry", WARNING, impact="When it has ended, browsers and wallets refuse the site."),
    _kind("ValidatorJoined", INFO, impact="No impact: one more votes.", in_prometheus=False),
    _kind("ValidatorLeft", INFO, impact="One fewer votes; the margin may be smaller.", in_prometheus=False),
    _kind("ValidatorSetChanged", INFO, impact="Who votes is different from now on."),
    _kind("VotePending", INFO, impact="No impact yet: a validator has asked to change the set."),
    _kind("VersionMix", INFO, impact="No impact, while the versions agree on every block; an upgrade is half done."),
    _kind("ConfigChanged", INFO, impact="No impact, if somebody meant it: a node runs with other settings than before."),
    _kind("Milestone", INFO, impact="No impact: worth a word."),
    _kind("Watchdog", AlertSeverity.NONE, impact="When it stops, nobody is told of anything any more.", in_monitor=False),
)  # fmt: skip
"""In the order in which somebody looks at them."""

BY_NAME: Final = {kind.name: kind for kind in ALERTS}
