"""What is wrong with single nodes and validators: pure functions of the scene, each of which looks for one thing."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final, assert_never

from sdk.testnet.diagnosis.facts import Trouble
from sdk.testnet.diagnosis.findings import Finding, Severity, lasting, listed
from sdk.testnet.diagnosis.scene import GONE, shown, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk.testnet.diagnosis.scene import Scene

CLOCK_WARNING_MS: Final = 250
CLOCK_ERROR_MS: Final = 500
"""From here a validator loses its own turns: others hold proposals that are more than a second ahead (docs/spec/consensus.md, A round)."""
BACKLOG_MAX: Final = 2
"""Decided blocks that wait for the engine in a node that is well."""
BEHIND_MAX: Final = 2
"""Blocks that a node may be behind while one is on its way."""
REFUSED_LATELY_S: Final = 120.0
"""Who was refused longer ago has gone."""


def find_unusable_nodes(scene: Scene) -> Iterator[Finding]:
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
                    action = scene.remedy(node) or (log if local.is_supervised else local.start)
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


def find_other_chains(scene: Scene) -> Iterator[Finding]:
    """Nodes that are of another chain: those that were asked, and those that others have refused."""
    told: set[str] = set()
    for node in scene.strayed:
        view = view_of(node)
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
        for refused in view_of(node).refused:
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


def find_wrong_keys(scene: Scene) -> Iterator[Finding]:
    """Nodes that sign with a key that nobody counts, and members whose key nobody holds."""
    members = {member.address for member in scene.members}
    wrong = [
        node
        for node in scene.chain
        if (own := view_of(node).validator) is not None and own not in members and node.role != "candidate"
    ]
    missing = [
        address
        for address in sorted(members - set(scene.holders))
        if scene.viewers and not any(scene.hears(viewer, address) for viewer in scene.viewers)
    ]
    for node in wrong:
        own = view_of(node).validator
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
    strangers = sorted({stranger for node in scene.viewers for stranger in view_of(node).strangers})
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


def find_silent_validators(scene: Scene) -> Iterator[Finding]:
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


def find_mute_keys(scene: Scene) -> Iterator[Finding]:
    """Members whose node is up and does not vote, for a reason that it says."""
    for node in scene.viewers:
        view = view_of(node)
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


def find_engine_troubles(scene: Scene) -> Iterator[Finding]:
    """Execution engines that refuse blocks, or are late."""
    for node in scene.chain:
        view = view_of(node)
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


def find_nodes_behind(scene: Scene) -> Iterator[Finding]:
    """Nodes that have not come to the head."""
    for node in scene.viewers:
        view = view_of(node)
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


def find_wrong_clocks(scene: Scene) -> Iterator[Finding]:
    """Clocks that are off the median of the validators', by every node that measures them: a hiccup of one connection is none of a clock."""
    measured: dict[str, list[int]] = {}
    for node in scene.viewers:
        view = view_of(node)
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


def find_proven_lies(scene: Scene) -> Iterator[Finding]:
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


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
