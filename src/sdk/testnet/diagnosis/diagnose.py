"""From facts to findings: a pure function, tested with a table. What may be wrong is looked for one thing after another, each in a function.

A validator is silent when nothing with its signature was heard; that it is down, or of another chain, is said where that is known. Nothing is
concluded from what a peer merely claims, but for clocks.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final, assert_never

from sdk.testnet.diagnosis.facts import Trouble
from sdk.testnet.diagnosis.findings import Diagnosis, Finding, Severity, lasting, listed
from sdk.testnet.diagnosis.scene import GONE, Scene, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk.testnet.diagnosis.facts import ConsensusView, NetworkFacts, NodeFacts

STALLED_AFTER_S: Final = 4.0
"""And two periods without a block: one missed turn costs a second, two in a row three."""
CLOCK_WARNING_MS: Final = 250
CLOCK_ERROR_MS: Final = 500
"""PROTOCOL section 1: from here a validator loses its own turns."""
BACKLOG_MAX: Final = 2
"""Decided blocks that wait for the engine in a node that is well."""
BEHIND_MAX: Final = 2
"""Blocks that a node may be behind while one is on its way."""
REFUSED_LATELY_S: Final = 120.0
"""Who was refused longer ago has gone."""


def diagnose(facts: NetworkFacts) -> Diagnosis:
    """Return why the open height moves or does not, and everything that somebody should look at."""
    scene = Scene(facts)
    if facts.local is not None and all(node.trouble is Trouble.NOT_RUNNING for node in facts.nodes):
        return _stopped(facts)
    quorum = list(_quorum(scene))
    findings = [
        *_conflicts(scene),
        *_halts(scene),
        *quorum,
        *_partition(scene),
        *_starting(scene),
        *_nodes(scene),
        *_chains(scene),
        *_keys(scene),
        # Who is missing for the quorum is named there.
        *([] if quorum else _silent(scene)),
        *_mute_keys(scene),
        *_engines(scene),
        *_behind(scene),
        *_clocks(scene),
        *_evidence(scene),
        *_waiting(scene),
        *_connections(scene),
    ]
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    is_moving = scene.reference is not None and not _is_stalled(scene.reference)
    return Diagnosis(
        headline=_headline(scene, findings),
        height=None if scene.reference is None else scene.reference.height,
        is_moving=is_moving,
        findings=tuple(findings),
    )


def _headline(scene: Scene, findings: list[Finding]) -> str:
    view = scene.reference
    causes = [finding for finding in findings if finding.severity is Severity.ERROR] or findings
    if view is None:
        return causes[0].text if causes else "no node was asked"
    serious = [finding for finding in findings if finding.severity is not Severity.NOTE]
    if _is_stalled(view):
        cause = causes[0].text if causes else "nothing that is seen from here keeps it"
        return f"height {view.height} has not moved for {lasting(view.since_decision_s)}: {cause}{_next_round(view)}"
    moves = f"height {view.height} moves: block {view.head} came {lasting(view.since_decision_s)} ago"
    if view.head == 0:
        moves = f"height {view.height} is open, no block has come yet"
    if serious:
        return f"{moves}; but {serious[0].text}"
    starting = [finding for finding in findings if finding.code == "starting"]
    if starting:
        return f"{moves}; {starting[0].text}"
    return f"{moves}, and all {len(scene.members)} validators take part"


def _is_stalled(view: ConsensusView) -> bool:
    return view.since_decision_s > STALLED_AFTER_S + 2 * view.period_s


def _next_round(view: ConsensusView) -> str:
    if view.mode != "live" or view.round_ms is None:
        return ""
    return f"; round {view.round} ends in {lasting(view.round_ms / 1000)}"


def _stopped(facts: NetworkFacts) -> Diagnosis:
    local = facts.local
    assert local is not None
    text = f"the network in {local.path} is stopped: none of its {len(facts.nodes)} nodes runs"
    action = local.command.format("up")
    if local.is_supervised:
        # `metanode up` would find it started already.
        ended = next((node for node in facts.nodes if node.process and node.process.last_words), None)
        words = (
            f"; the log of {ended.name} ends with: {ended.process.last_words}"
            if ended and ended.process
            else ""
        )
        text = f"none of the {len(facts.nodes)} nodes of the network in {local.path} runs, and its supervisor starts them again{words}"
        action = f"repair what their logs name, and they go on by themselves: {local.command.format('logs')}"
    finding = Finding(code="network-stopped", severity=Severity.ERROR, text=text, action=action)
    return Diagnosis(headline=finding.text, height=None, is_moving=False, findings=(finding,))


# --- what stops a network ----------------------------------------------------------------------------------------------------------------


def _conflicts(scene: Scene) -> Iterator[Finding]:
    """Two decided blocks at one height: the gravest thing that can happen."""
    forked = [node for node in scene.chain if _view(node).fork is not None]
    if not forked:
        return
    fork = _view(forked[0]).fork
    assert fork is not None
    liars = listed(scene.name(address) for address in fork.sealed_both)
    yield Finding(
        code="conflicting-certificates",
        severity=Severity.ERROR,
        text=(
            f"two blocks are decided at height {fork.height}, and {listed(node.name for node in forked)} halted: a weight of "
            f"{fork.sealed_both_weight} of {fork.total_weight} has sealed both{f' ({liars})' if liars else ''}"
        ),
        action=(
            "agree with the other operators on the block that stands; stop every node that holds the other one and remove node.db and engine/ of "
            "its data directory, never signer.log; on each node that keeps its chain stop it, run `metanode node recover DIRECTORY`, and start it"
        ),
    )


def _halts(scene: Scene) -> Iterator[Finding]:
    for node in scene.answering:
        view = _view(node)
        if view.halted is not None and view.fork is None:
            yield Finding(
                code="halted",
                severity=Severity.ERROR,
                text=f"{node.name} has halted: {view.halted}",
                action="the reason says what to do; `metanode node recover DIRECTORY` rewinds an engine that is ahead of every certificate",
            )


def _quorum(scene: Scene) -> Iterator[Finding]:
    """Too little weight together: who is missing, and why."""
    view = scene.reference
    if view is None or not view.validators:
        return
    weight = sum(member.power for member in scene.counted)
    here = {member.address for member in scene.counted}
    if weight + scene.coming_weight >= view.quorum_weight:
        return
    missing = [member.address for member in scene.members if member.address not in here]
    named = listed(f"{scene.name(address)} ({scene.why_missing(address)})" for address in missing)
    yield Finding(
        code="quorum-missing",
        severity=Severity.ERROR,
        text=f"validators with a weight of {weight} of {view.total_weight} take part, and {view.quorum_weight} are needed; missing: {named}",
        action=_bring_back(scene, missing),
    )


def _bring_back(scene: Scene, missing: list[str]) -> str:
    """The one command that starts them, where there is one."""
    local = scene.facts.local
    forgetful = [node for node in scene.forgetful if _view(node).validator in missing]
    if forgetful:
        return (
            f"{listed(node.name for node in forgetful)} can't know what they have signed: docs/guide/lost-disks.md says how many of them may be "
            "started with --sign-without-watermark"
        )
    nodes = [scene.holders[address] for address in missing if address in scene.holders]
    suspended = [
        str(node.process.pid) for node in nodes if node.trouble is Trouble.SUSPENDED and node.process
    ]
    if suspended:
        return f"kill -CONT {' '.join(suspended)}"
    remedies = [found for node in nodes if (found := scene.remedy(node)) is not None]
    if remedies:
        return "; ".join(dict.fromkeys(remedies))
    if local is not None and any(node.trouble is Trouble.NOT_RUNNING for node in nodes):
        return (
            f"their logs say why they end: {local.command.format('logs')}"
            if local.is_supervised
            else local.command.format("up")
        )
    if local is not None and any(node in scene.failing for node in nodes):
        return f"their logs say why they end: {local.command.format('logs')}"
    return "start the nodes that are missing, or give them back their network: each has to reach the others' p2p ports"


def _partition(scene: Scene) -> Iterator[Finding]:
    """Validators that answer us and do not hear each other."""
    groups = scene.components
    if len(groups) < 2:
        return
    sides = [
        f"{listed(node.name for node in group)} (round {max(_view(node).round for node in group)})"
        for group in groups
    ]
    yield Finding(
        code="partition",
        severity=Severity.ERROR,
        text=f"validators that run do not hear each other: {', '.join(sides[:-1])} on one side, {sides[-1]} on the other"
        if len(sides) == 2
        else f"validators that run do not hear each other, these groups are apart: {'; '.join(sides)}",
        action="look at firewalls and routes between their p2p ports; `admin_peers` shows whom each of them reaches",
    )


def _starting(scene: Scene) -> Iterator[Finding]:
    """Nodes that take part by themselves in a few seconds."""
    if scene.starting:
        oldest_s = max(_view(node).up_s for node in scene.starting)
        names = listed(node.name for node in scene.starting)
        begin = "has" if len(scene.starting) == 1 else "have"
        yield Finding(
            code="starting",
            severity=Severity.NOTE,
            text=f"{names} {begin} started {lasting(oldest_s)} ago and will take part in a few seconds: nothing to do",
        )
    if scene.rising:
        oldest_s = max(
            node.process.up_s for node in scene.rising if node.process and node.process.up_s is not None
        )
        names = listed(node.name for node in scene.rising)
        words = ("process has", "does") if len(scene.rising) == 1 else ("processes have", "do")
        yield Finding(
            code="starting",
            severity=Severity.NOTE,
            text=f"{names}: the {words[0]} started {lasting(oldest_s)} ago and {words[1]} not listen yet: nothing to do",
        )


# --- one node after the other ------------------------------------------------------------------------------------------------------------


def _nodes(scene: Scene) -> Iterator[Finding]:
    """Nodes without a consensus state."""
    local = scene.facts.local
    for node in scene.facts.nodes:
        process = node.process
        if node in scene.rising:
            continue
        match node.trouble:
            case None:
                continue
            case Trouble.NOT_RUNNING:
                restarts = f", after {process.restarts} restarts" if process and process.restarts else ""
                words = f"; its log ends with: {process.last_words}" if process and process.last_words else ""
                text = f"{node.name} does not run{restarts}{words}"
                code = "node-down"
                action = None
                if local is not None:
                    log = f"{local.command.format('logs')} {node.name}"
                    action = scene.remedy(node) or (
                        log if local.is_supervised else local.command.format("up")
                    )
            case Trouble.SUSPENDED:
                pid = process.pid if process else None
                text, code = f"{node.name}, process {pid}, is suspended by a signal", "node-suspended"
                action = f"kill -CONT {pid}"
            case Trouble.UNREACHABLE | Trouble.MUTE:
                where = "" if node.name == node.url else f" at {node.url}"
                runs = f" although process {process.pid} runs" if process and process.pid else ""
                text, code = f"{node.name} does not answer{where}{runs}: {node.detail}", "node-unreachable"
                if process and node in scene.failing:
                    text = f"{node.name} ends soon after each start, and was started again {_times(process.restarts)}; its log says: {process.last_words}"
                    code = "node-down"
                action = scene.remedy(node) or (
                    f"{local.command.format('logs')} {node.name}"
                    if local is not None
                    else "see that the node runs, and that its RPC listens on this address"
                )
            case Trouble.NO_JSON_RPC:
                text, code = f"{node.url} does not speak JSON-RPC: {node.detail}", "not-json-rpc"
                action = "give the RPC address of a Metanode node, as `metanode status` shows it"
            case Trouble.OTHER_CLIENT:
                text, code = (
                    f"{node.url} is no Metanode node, it calls itself {node.detail!r}",
                    "other-client",
                )
                action = "give the RPC address of a Metanode node, as `metanode status` shows it"
            case Trouble.NOT_OFFERED:
                text, code = (
                    f"{node.url} is a Metanode node and does not offer ibft_getConsensusState here: {node.detail}",
                    "ibft-not-offered",
                )
                action = 'put "ibft" into server.namespaces of its configuration, or ask its private port'
            case Trouble.UNREADABLE:
                text, code = (
                    f"{node.url} describes its consensus in a form that this program does not know: {node.detail}",
                    "other-version",
                )
                action = "use the `metanode` of the node's own version"
            case _:
                assert_never(node.trouble)
        yield Finding(code=code, severity=Severity.ERROR, text=text, action=action)


def _chains(scene: Scene) -> Iterator[Finding]:
    """Nodes that are of another chain: those that were asked, and those that others have refused."""
    told: set[str] = set()
    for node in scene.strayed:
        view = _view(node)
        if view.validator is not None:
            told.add(view.validator)
        yield Finding(
            code="other-genesis",
            severity=Severity.ERROR,
            text=f"{node.name} runs another chain: its genesis is {view.genesis_hash}, the others' is {scene.genesis_hash}",
            action=(
                f"stop it, put the network's genesis.json into {node.home or 'its directory'}, remove node.db and engine/ of its data directory "
                "(never signer.log), and start it"
            ),
        )
    members = {member.address for member in scene.members}
    for node in scene.viewers:
        for refused in _view(node).refused:
            if refused.seconds_ago > REFUSED_LATELY_S or refused.validator in told:
                continue
            told.add(refused.validator or refused.address)
            is_member = refused.validator in members
            who = (
                f"{scene.name(refused.validator)}, a validator,"
                if is_member and refused.validator
                else "a node"
            )
            differs = {
                "genesis": f"with another genesis, {refused.genesis_hash}",
                "network": "with another network or chain id",
            }.get(refused.reason, "with other forks planned, or of an older version")
            yield Finding(
                code="other-genesis",
                severity=Severity.ERROR if is_member else Severity.NOTE,
                text=f"{who} comes from {refused.address} {differs}; {node.name} refuses it",
                action="give that node this network's genesis.json" if is_member else None,
            )


def _keys(scene: Scene) -> Iterator[Finding]:
    """Nodes that sign with a key that nobody counts, and members whose key nobody holds."""
    members = {member.address for member in scene.members}
    wrong = [
        node
        for node in scene.chain
        if (own := _view(node).validator) is not None and own not in members and node.role != "candidate"
    ]
    missing = [
        address
        for address in sorted(members - set(scene.holders))
        if scene.viewers and not any(scene.hears(viewer, address) for viewer in scene.viewers)
    ]
    for node in wrong:
        own = _view(node).validator
        assert own is not None
        orphans = f"; nobody signs for {listed(map(shown, missing))}, which is" if missing else ""
        yield Finding(
            code="wrong-key",
            severity=Severity.ERROR if missing or node.role == "validator" else Severity.NOTE,
            text=f"{node.name} holds the key of {shown(own)}, which is not in the validator set{orphans}",
            action=(
                f"put the validator's own keystore back (validator.json and validator.password in {node.home or 'its directory'}), or have it voted in: "
                f"metanode validators add {shown(own)}"
            ),
        )
    if wrong or not missing:
        return
    strangers = sorted({stranger for node in scene.viewers for stranger in _view(node).strangers})
    if strangers:
        yield Finding(
            code="wrong-key",
            severity=Severity.WARNING,
            text=(
                f"{listed(map(shown, missing))} is silent, while a node is connected that proves the key of {listed(map(shown, strangers))}, which is "
                "not in the validator set"
            ),
            action="if that node should be the validator, put its own keystore back",
        )


def _silent(scene: Scene) -> Iterator[Finding]:
    """Members that nobody hears, one finding for all whose node is not known to be down."""
    view = scene.reference
    if view is None:
        return
    silent = []
    for member in scene.members:
        node = scene.holders.get(member.address)
        if node is not None and (node.trouble in GONE or node.consensus is not None):
            continue
        if node in scene.rising or node in scene.failing:
            continue
        heard = [
            seconds
            for viewer in scene.viewers
            if (seconds := scene.heard_s(viewer, member.address)) is not None
        ]
        if heard and not any(scene.hears(viewer, member.address) for viewer in scene.viewers):
            silent.append((member, min(heard)))
    for member, seconds in silent:
        skipped = (
            f"; it last took part in block {member.last_active}, and its turns come last"
            if member.is_skipped
            else ""
        )
        yield Finding(
            code="validator-silent",
            severity=Severity.ERROR,
            text=f"{scene.name(member.address)} is silent: nothing signed by it was heard for {lasting(seconds)}{skipped}",
            action="see that its node runs, reaches the others, and holds its key: `metanode doctor` with its RPC address says more",
        )


def _mute_keys(scene: Scene) -> Iterator[Finding]:
    """Members whose node is up and does not vote, for a reason that it says."""
    for node in scene.viewers:
        view = _view(node)
        if view.silence == "key in use elsewhere":
            yield Finding(
                code="key-shared",
                severity=Severity.ERROR,
                text=f"{node.name} signs nothing: another process was seen to sign with its key, {shown(view.validator or '')}",
                action="find the other process and stop it, then start this node again: two signers of one key are proven liars sooner or later",
            )
        elif view.silence == "watermark lost":
            yield Finding(
                code="watermark-lost",
                severity=Severity.ERROR,
                text=f"{node.name} signs nothing: its signer.log was lost, and it does not know what its key has signed",
                action=(
                    "it signs again by itself once the height that was open has passed. If the network cannot go on without it, and no other process "
                    f"can have used the key: stop it and run it once with `metanode node {node.home or 'DIRECTORY'} --sign-without-watermark`; "
                    "docs/guide/lost-disks.md says when that is safe"
                ),
            )
        elif view.silence == "observing" and node not in scene.starting:
            yield Finding(
                code="observing",
                severity=Severity.WARNING,
                text=f"{node.name} signs nothing yet: it waits until nothing that its key may have signed before can matter",
                action=(
                    "it signs by itself two blocks after it has come to the head. If the others make no block without it, docs/guide/lost-disks.md "
                    "says when it may sign at once"
                ),
            )


def _engines(scene: Scene) -> Iterator[Finding]:
    for node in scene.chain:
        view = _view(node)
        if view.engine_trouble is not None:
            yield Finding(
                code="engine-trouble",
                severity=Severity.ERROR,
                text=(
                    f"the execution engine of {node.name} does not take blocks: {view.engine_trouble}; it is at {view.engine_head}, decided is "
                    f"{view.engine_head + view.engine_backlog}"
                ),
                action="repair what the reason names; the node asks again by itself",
            )
        elif view.engine_backlog > BACKLOG_MAX:
            yield Finding(
                code="engine-behind",
                severity=Severity.WARNING,
                text=f"the execution engine of {node.name} is {view.engine_backlog} blocks behind what is decided",
            )


def _behind(scene: Scene) -> Iterator[Finding]:
    for node in scene.viewers:
        view = _view(node)
        top = max(scene.head, view.sync_target)
        if (view.mode == "live" and top - view.head <= BEHIND_MAX) or node in scene.starting:
            continue
        if view.mode == "live":
            text = f"{node.name} is {top - view.head} blocks behind, at {view.head} of {top}"
        elif top > view.head:
            text = f"{node.name} is {view.mode}: at {view.head} of {top}"
        else:
            text = f"{node.name} is {view.mode} at {view.head}: it waits until it knows that nobody is ahead"
        yield Finding(
            code="behind",
            severity=Severity.WARNING,
            text=text,
            action="it goes on by itself; if its height does not rise, see whom it is connected with (`admin_peers`)",
        )


def _clocks(scene: Scene) -> Iterator[Finding]:
    """Clocks that are off the median of the validators', by every node that measures them: a hiccup of one connection is none of a clock."""
    measured: dict[str, list[int]] = {}
    for node in scene.viewers:
        view = _view(node)
        skews = {v.address: v.clock_skew_ms for v in view.validators if v.clock_skew_ms is not None}
        if view.validator is not None and any(v.is_own for v in view.validators):
            skews[view.validator] = 0
        if len(skews) == 2:
            yield from _two_clocks(scene, *skews.items())
            return
        if len(skews) > 2:
            median = statistics.median_low(skews.values())
            for address, skew in skews.items():
                measured.setdefault(address, []).append(skew - median)
    for address, offs in sorted(measured.items()):
        off = min(offs, key=abs)
        # A busy machine reads all clocks late, and takes its own for one that is ahead: one view alone warns of nothing small.
        if abs(off) >= (CLOCK_WARNING_MS if len(offs) > 1 else CLOCK_ERROR_MS):
            where = "ahead of" if off > 0 else "behind"
            yield _clock(
                abs(off),
                f"the clock of {scene.name(address)} is {lasting(abs(off) / 1000)} {where} the other validators'",
            )


def _two_clocks(scene: Scene, one: tuple[str, int], other: tuple[str, int]) -> Iterator[Finding]:
    """Of two clocks nobody knows which one is right."""
    off = abs(one[1] - other[1])
    if off >= CLOCK_ERROR_MS:
        names = listed([scene.name(one[0]), scene.name(other[0])])
        yield _clock(off, f"the clocks of {names} differ by {lasting(off / 1000)}")


def _clock(off_ms: int, text: str) -> Finding:
    return Finding(
        code="clock-off",
        severity=Severity.ERROR if off_ms >= CLOCK_ERROR_MS else Severity.WARNING,
        text=text,
        action="set it by NTP on that machine: timedatectl set-ntp true",
    )


def _evidence(scene: Scene) -> Iterator[Finding]:
    """Proven lies, one finding for each liar."""
    told: dict[str, tuple[str, int, str]] = {}
    for node in scene.chain:
        for accusation in node.accusations:
            told.setdefault(accusation.validator, (accusation.rule, accusation.height, node.url))
    for validator, (rule, height, url) in sorted(told.items()):
        did = (
            "has signed two different messages in one place"
            if rule == "equivocation"
            else "has changed rounds as if it had never committed"
        )
        yield Finding(
            code="evidence",
            severity=Severity.ERROR,
            text=f"{scene.name(validator)} {did}, at height {height}: ibft_getEvidence of {url} has the proof",
            action=(
                f"see whether two processes use its key, and stop one; if it lies on purpose, vote it out: metanode validators remove {shown(validator)}"
            ),
        )


# --- what a height waits for -------------------------------------------------------------------------------------------------------------


def _waiting(scene: Scene) -> Iterator[Finding]:
    """What the open round lacks: the cause while it stalls with a quorum at hand, else a note when it is past round 0."""
    view = scene.reference
    if view is None or view.mode != "live" or not (_is_stalled(view) or view.round > 0):
        return
    proposer = scene.name(view.proposer)
    place = f"round {view.round} of height {view.height}"
    voted = {"prepare": "prepare", "commit": "commit"}.get(view.phase)
    if view.phase == "waiting":
        text = f"{place} waits for its slot" + (
            f", {lasting(view.slot_ms / 1000)} from now" if view.slot_ms is not None else ""
        )
    elif view.is_block_missing:
        text = f"{place} has a block by its hash only, and nobody has sent it yet"
    elif view.phase == "proposal":
        changes = (
            f" ({view.round_change_weight} of {view.quorum_weight} have asked for this round)"
            if view.round
            else ""
        )
        text = f"{place} waits for the proposal of {proposer}{changes}"
    elif view.phase == "prepare" and not view.is_proposal_valid:
        text = f"{place} has a proposal of {proposer} that the execution engine refuses or has not judged yet"
    else:
        weight = view.prepare_weight if view.phase == "prepare" else view.commit_weight
        absent = [
            scene.name(member.address)
            for member in view.validators
            if voted
            and member.signed.get(voted) != view.round
            and not (voted == "prepare" and member.address == view.proposer)
        ]
        text = f"{place} has {voted}s with a weight of {weight} of {view.quorum_weight}; without one: {listed(absent)}"
    rounds = {node.name: _view(node).round for node in scene.viewers if _view(node).signs}
    if len(set(rounds.values())) > 1:
        text += "; rounds: " + ", ".join(f"{name} in {round_}" for name, round_ in sorted(rounds.items()))
    yield Finding(
        code="round-waits",
        severity=Severity.WARNING if _is_stalled(view) and scene.is_quorum_here else Severity.NOTE,
        text=text,
    )


def _connections(scene: Scene) -> Iterator[Finding]:
    """Validators that hear each other only through others."""
    for node in scene.viewers:
        view = _view(node)
        if not view.signs:
            continue
        far = [
            scene.name(member.address)
            for member in view.validators
            if not member.is_connected
            and not scene.is_out(member.address)
            and scene.heard_s(node, member.address) is not None
            and scene.hears(node, member.address)
        ]
        if far:
            yield Finding(
                code="not-connected",
                severity=Severity.NOTE,
                text=f"{node.name} has no connection of its own with {listed(far)}, and hears of it through others",
            )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _view(node: NodeFacts) -> ConsensusView:
    assert node.consensus is not None, node.name
    return node.consensus
