"""The suite has teeth: a table of rules, how each is taken out, and the scenario that must notice. `make mutants` prints it.

Sources: `5.3` are the rules that came with docs/evidence/catalogue.md, `slots` those about time and turns, the others ours. A mutant
is a change of the running program, made with pytest's MonkeyPatch and undone after each run; it is killed when a scenario fails. The same
scenario holds for the same seed with the rule in place, or the kill would prove nothing.
"""

import dataclasses
import logging
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from metanode.chain import forks, proposal, timing
from metanode.chain.proposers import find_skipped, proposer_order
from metanode.chain.quorum import QuorumRule
from metanode.chain.state import ConsensusState
from metanode.chain.validators import ValidatorSet
from metanode.consensus import core as core_module
from metanode.consensus import justification, watermark
from metanode.consensus.core import Core
from metanode.consensus.effects import Effect, StartResendTimer
from metanode.consensus.height import HeightState
from metanode.consensus.inputs import VerdictGiven
from metanode.consensus.justification import Electorate
from metanode.consensus.messages import Justification, Proposal, RoundChange
from metanode.consensus.phases import accepting, rounds, signing, timers, voting
from metanode.consensus.record import ConsensusRecord
from metanode.consensus.tip import Tip
from metanode.consensus.votes import RoundChangeBook, VoteBook
from metanode.consensus.watermark import SignedStep
from metanode.execution.client import ExecutionPayload, Valid
from metanode.node.driver import Driver
from metanode.node.execution_worker import ExecutionWorker
from metanode.node.timers import Timers
from metanode.primitives.types import Address, Round
from metanode.simulation.cluster import Cluster
from metanode.simulation.playing import play
from metanode.storage import database
from metanode.storage.signer import FileSigner

Patch = pytest.MonkeyPatch

EVIDENCE: Final = Path(__file__).parents[2] / "docs" / "evidence" / "mutants.md"
SEEDS_DEFAULT: Final = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One rule, and the program without it."""

    name: str
    source: str
    """Where it is asked for."""
    rule: str
    """What holds in the program, as a sentence."""
    without: str
    """What the mutant does instead."""
    take_out: Callable[[Patch], None]
    scenario: str
    """Which scenario must notice."""
    noticed: str
    """What it must say, as a regular expression: another failure is no kill."""
    validators: int | None = None
    """In place of the scenario's own number."""
    seeds: int = SEEDS_DEFAULT
    """Seeds from 1 on, of which one must fail."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """How a mutant was noticed."""

    seed: int
    told: str
    """What the scenario or an invariant said."""
    took_s: float


def kill(mutant: Mutant) -> Kill | None:
    """Play the scenario without the rule until a seed fails; None when all hold."""
    for seed in range(1, mutant.seeds + 1):
        began_s = time.perf_counter()
        with pytest.MonkeyPatch.context() as patch:
            mutant.take_out(patch)
            try:
                play(mutant.scenario, seed, mutant.validators)
            except AssertionError as error:
                told = _sentence(str(error))
                if re.search(mutant.noticed, told):
                    return Kill(seed=seed, told=told, took_s=time.perf_counter() - began_s)
    return None


def _sentence(text: str) -> str:
    """Return the first sentence of what was noticed, without the group that an exception came in, and with short hashes."""
    inner = re.search(r"InvariantBroken\((['\"])(.*?)\1\)", text)
    sentence = (inner.group(2) if inner else text).partition("\n")[0].partition(". ")[0]
    return re.sub(r"0x([0-9a-f]{8})[0-9a-f]+", r"0x\1", sentence.partition(" at Snapshot")[0])


def replace_everywhere(patch: Patch, original: object, replacement: object) -> None:
    """Put something in the place of a function in every module that has imported it by name."""
    found = 0
    for name, module in sorted(sys.modules.items()):
        if not name.startswith("metanode."):
            continue
        for attribute, value in list(vars(module).items()):
            if value is original:
                patch.setattr(module, attribute, replacement)
                found += 1
    assert found, original


# --- the twelve ----------------------------------------------------------------------------------------------------------------------------


def _two_f_plus_one(patch: Patch) -> None:
    patch.setattr(QuorumRule, "is_quorum", lambda _self, weight, total: weight >= 2 * ((total - 1) // 3) + 1)


def _forget_prepared(patch: Patch) -> None:
    encode = ConsensusRecord.encode
    patch.setattr(ConsensusRecord, "encode", lambda self: encode(dataclasses.replace(self, prepared=None)))


def _forget_round(patch: Patch) -> None:
    """The record and the signer's file know of which height they are, and nothing of its rounds."""
    encode, mark = ConsensusRecord.encode, FileSigner.watermark.fget
    assert mark is not None

    def encode_height(self: ConsensusRecord) -> bytes:
        return encode(dataclasses.replace(self, round=Round(0), messages=()))

    def mark_of_height(self: FileSigner) -> SignedStep | None:
        known = mark(self)
        return None if known is None else dataclasses.replace(known, round=Round(0))

    patch.setattr(ConsensusRecord, "encode", encode_height)
    patch.setattr(FileSigner, "watermark", property(mark_of_height))
    replace_everywhere(patch, watermark.permits, lambda _mark, **_position: True)


def _accept_lower(patch: Patch) -> None:
    def lowest(round_changes: list[RoundChange]) -> Justification:
        prepared = [change.prepared for change in round_changes if change.prepared is not None]
        return Justification(
            claims=tuple(change.claim for change in round_changes),
            prepared=min(prepared, key=lambda certificate: certificate.round, default=None),
        )

    verify = justification.verify_justification

    def verify_any(proposal: Proposal, electorate: Electorate) -> None:
        why = proposal.justification
        if why is None or why.prepared is None:
            verify(proposal, electorate)
            return
        # Whatever somebody claims will do, the highest or not.
        claims = tuple(claim for claim in why.claims if claim.prepared is not None)
        assert (why.prepared.round, why.prepared.block_hash) in [claim.prepared for claim in claims]
        justification.verify_prepared(why.prepared, electorate, before=proposal.round)

    replace_everywhere(patch, justification.make_justification, lowest)
    replace_everywhere(patch, verify, verify_any)


def _no_jump(patch: Patch) -> None:
    patch.setattr(RoundChangeBook, "jump_target", lambda _self, _current, _electorate: None)


def _old_timer_on_jumps(patch: Patch) -> None:
    follow, arm = rounds.follow, timers.arm_round
    jumped: set[tuple[int, int, int]] = set()
    is_jumping = False

    def view(core: Core) -> tuple[int, int, int]:
        return id(core), core.height, core.current.round

    def jump(core: Core) -> None:
        nonlocal is_jumping
        is_jumping = True
        try:
            follow(core)
        finally:
            is_jumping = False

    def arm_others(core: Core) -> None:
        if is_jumping:
            jumped.add(view(core))
        if view(core) not in jumped:
            arm(core)

    patch.setattr(rounds, "follow", jump)
    patch.setattr(timers, "arm_round", arm_others)


def _count_duplicates(patch: Patch) -> None:
    def weigh_each(self: ValidatorSet, addresses: object) -> int:
        return sum(self.power(address) for address in addresses)

    patch.setattr(ValidatorSet, "weight", weigh_each)
    patch.setattr(justification, "_distinct_members", lambda _name, _authors, _electorate: None)


def _commit_before_prepared(patch: Patch) -> None:
    original = voting.upon_valid_proposal

    def commit_at_once(core: Core) -> None:
        original(core)
        accepted = core.current.accepted
        if core.takes_part and accepted is not None:
            signing.sign_commit(core, core.current.round, accepted.block_hash)

    patch.setattr(voting, "upon_valid_proposal", commit_at_once)


def _current_set(patch: Patch) -> None:
    original = proposal._validate_parent_certificate

    def with_current(block: object, state: ConsensusState, parent: object, rules: object) -> None:
        original(block, dataclasses.replace(state, last_validators=state.validators), parent, rules)

    patch.setattr(proposal, "_validate_parent_certificate", with_current)


def _forget_old_commits(patch: Patch) -> None:
    original = VoteBook.add

    def forgetful(self: VoteBook, vote: Any, *, current: int) -> object:
        return original(self, vote, current=current) if vote.round >= current else None

    patch.setattr(VoteBook, "add", forgetful)


def _judge_time_again(patch: Patch) -> None:
    original = accepting.upon_proposal

    def judge_again(core: Core, proposal: Proposal, peer: str) -> None:
        # A fresh block of a later round carries the time of its making; so must, here, one that is proposed again.
        if proposal.round > 0 and core.now_ms - 1000 * proposal.header.timestamp > timing.CLOCK_AHEAD_MAX_MS:
            core.refuse(proposal.round, proposal.block_hash, "the time is that of an earlier round")
            return
        original(core, proposal, peer)

    patch.setattr(accepting, "upon_proposal", judge_again)


def _syncing_is_invalid(patch: Patch) -> None:
    async def check_once(self: ExecutionWorker) -> bool:
        block = self._to_check.popleft()
        payload = ExecutionPayload(execution_rlp=block.execution_rlp, requests=block.requests)
        verdict = await self._verdict(payload)
        self._feed(VerdictGiven(block_hash=block.hash, is_valid=isinstance(verdict, Valid)))
        return True

    patch.setattr(ExecutionWorker, "_check_next", check_once)


def _float_timeouts(patch: Patch) -> None:
    """As GoQuorum had it (issue 1664): a float of nanoseconds, cast to 64 bits before it is capped."""

    def doubled(base_ms: int, round_: int, cap_ms: int) -> int:
        nanoseconds = base_ms * 1e6 * 2.0 ** min(round_, 1000)
        cast = int(nanoseconds) if nanoseconds < 2.0**63 else -(2**63)
        # A timer whose time is past fires at once, which is a millisecond here.
        return max(min(cast // 1_000_000, cap_ms), 1)

    patch.setattr(forks, "_doubled", doubled)


# --- the four of slots and skipping --------------------------------------------------------------------------------------------------------


def _schedule_by_local_certificate(patch: Patch) -> None:
    """Whoever has a seal in the certificate that this node holds of its tip counts as active; other nodes hold other seals."""
    local: dict[int, tuple[ConsensusState, frozenset[Address]]] = {}
    original = core_module.begin_height

    def begin(tip: Tip, rules: object) -> HeightState:
        signers = tip.certificate.addresses(tip.state.last_validators) if tip.certificate else ()
        local[id(tip.state)] = (tip.state, frozenset(signers))
        return original(tip, rules)

    def order(self: ConsensusState, rule: QuorumRule) -> tuple[Address, ...]:
        state, seen = local.get(id(self), (self, frozenset()))
        assert state is self
        active: Mapping[Address, int] = {
            v.address: self.height if v.address in seen else standing.last_active
            for v, standing in zip(self.validators, self.standings, strict=True)
        }
        return proposer_order(
            validators=self.validators,
            last_active=active,
            last_proposer=self.last_proposer,
            height=self.height + 1,
            epoch_start=self.epoch_start,
            rule=rule,
        )

    replace_everywhere(patch, original, begin)
    patch.setattr(ConsensusState, "proposer_order", order)


def _quorum_of_the_awake(patch: Patch) -> None:
    """The weight of those who are skipped is not part of the total."""
    asleep: dict[tuple[int, bytes], int] = {}
    after = Electorate.after.__func__

    def electorate(cls: type[Electorate], state: ConsensusState, rule: QuorumRule) -> Electorate:
        made = after(cls, state, rule)
        active = {v.address: s.last_active for v, s in zip(state.validators, state.standings, strict=True)}
        skipped = find_skipped(state.validators, active, made.height)
        asleep[made.height, state.root] = state.validators.weight(skipped)
        asleep[made.height, b""] = asleep[made.height, state.root]
        return made

    def is_quorum(self: Electorate, signers: list[Address]) -> bool:
        total = self.total_power - asleep.get((self.height, b""), 0)
        return self.rule.is_quorum(self.validators.weight(signers), total)

    patch.setattr(Electorate, "after", classmethod(electorate))
    patch.setattr(Electorate, "is_quorum", is_quorum)


def _deadline_stays(patch: Patch) -> None:
    patch.setattr(Timers, "extend_round", lambda _self, _effect: None)


def _due_is_parent_plus_period(patch: Patch) -> None:
    def due(*, parent_timestamp: int, genesis_time: int, period_s: int) -> int:
        del genesis_time
        return parent_timestamp + period_s

    replace_everywhere(patch, timing.calculate_due, due)


# --- and ours ------------------------------------------------------------------------------------------------------------------------------


def _forgetful_disk(patch: Patch) -> None:
    start, made = Cluster.start, Cluster.__init__

    def forget(cluster: Cluster, index: int) -> None:
        cluster.nodes[index].disk.forgets = True
        start(cluster, index)

    def make(self: Cluster, **arguments: Any) -> None:
        made(self, **arguments)
        self.checker.checks_keys = False

    patch.setattr(Cluster, "start", forget)
    patch.setattr(Cluster, "__init__", make)


def _unsynced_commits(patch: Patch) -> None:
    original = database.connect_file

    def connect_without_sync(path: Path) -> sqlite3.Connection:
        connection = original(path)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    patch.setattr(database, "connect_file", connect_without_sync)


def _no_later_timers(patch: Patch) -> None:
    start = Timers.start_round
    patch.setattr(
        Timers, "start_round", lambda self, effect: start(self, effect) if effect.round == 0 else None
    )


def _ignore_prepared(patch: Patch) -> None:
    original = rounds.enter

    def forget(core: Core, round_: Round) -> None:
        core.current.prepared = None
        original(core, round_)

    patch.setattr(rounds, "enter", forget)


def _alone_ahead(patch: Patch) -> None:
    def share_with_nobody(core: Core) -> None:
        if not core.current.is_shared:
            core.current.is_shared = True
            timers.arm_round(core)

    patch.setattr(rounds, "share", share_with_nobody)


def _handed_on_once(patch: Patch) -> None:
    perform = Driver._perform

    def forget_nothing(driver: Driver, effect: Effect) -> None:
        if isinstance(effect, StartResendTimer):
            driver._timers.start_resend(effect)
        else:
            perform(driver, effect)

    patch.setattr(Driver, "_perform", forget_nothing)


def _half_decides(patch: Patch) -> None:
    patch.setattr(QuorumRule, "is_quorum", lambda _self, weight, total: 2 * weight >= total)


def _poor_certificates(patch: Patch) -> None:
    """The certificate in a block holds the seals that decided its parent, and none that came later."""
    from metanode.consensus.phases import past  # noqa: PLC0415 - beside its only use

    original = past.upon_message

    def ignore_seals(core: Core, message: Any, peer: str) -> None:
        seals = dict(core.tip.seals)
        original(core, message, peer)
        core.tip.seals.clear()
        core.tip.seals.update(seals)

    patch.setattr(past, "upon_message", ignore_seals)


def _one_moves_all(patch: Patch) -> None:
    def highest(self: RoundChangeBook, current: Round, _electorate: Electorate) -> Round | None:
        return max((wanted for wanted in self.highest_rounds().values() if wanted > current), default=None)

    patch.setattr(RoundChangeBook, "jump_target", highest)


def _skipped_at_once(patch: Patch) -> None:
    """Whoever has no seal in the certificate of the last block, and did not propose it, is skipped."""

    def silent(
        validators: ValidatorSet, last_active: Mapping[Address, int], height: int
    ) -> frozenset[Address]:
        return frozenset(address for address in validators.addresses if height - last_active[address] > 1)

    replace_everywhere(patch, find_skipped, silent)


MUTANTS: Final[tuple[Mutant, ...]] = (
    Mutant(
        name="two-f-plus-one",
        source="5.3 (i)",
        rule="a quorum is two thirds, rounded up",
        without="a quorum is 2F + 1",
        take_out=_two_f_plus_one,
        scenario="partition-in-halves",
        noticed="its weight is 3 of 6",
        validators=6,
    ),
    Mutant(
        name="no-prepared-on-disk",
        source="5.3 (ii)",
        rule="a prepared certificate is durable before the commit that rests on it",
        without="the record on the disk leaves it out",
        take_out=_forget_prepared,
        scenario="forgotten-block",
        noticed="before its prepared certificate is durable",
    ),
    Mutant(
        name="no-round-on-disk",
        source="5.3 (ii)",
        rule="a restart enters no round before one that was left",
        without="record and signer's file know the height only",
        take_out=_forget_round,
        scenario="crash-at-boundaries",
        noticed="before the message itself is durable|signed two messages|forgot",
        seeds=30,
    ),
    Mutant(
        name="lower-certificate",
        source="5.3 (iii)",
        rule="of several prepared certificates the one of the highest round is proposed again",
        without="the one of the lowest round is, and is accepted",
        take_out=_accept_lower,
        scenario="two-prepared-blocks",
        noticed="two blocks are decided|fork at height",
    ),
    Mutant(
        name="no-jump",
        source="5.3 (iv)",
        rule="F + 1 round changes take a node along",
        without="a node leaves a round by its own deadline only",
        take_out=_no_jump,
        scenario="different-rounds",
        noticed="is not reached|have not met",
    ),
    Mutant(
        name="old-timer-on-jumps",
        source="5.3 (v)",
        rule="every round that is entered has its own deadline",
        without="a jump keeps the deadline of the round before",
        take_out=_old_timer_on_jumps,
        scenario="different-rounds",
        noticed="without a deadline",
    ),
    Mutant(
        name="count-duplicates",
        source="5.3 (vi)",
        rule="a signer counts once",
        without="one signer three times is a quorum",
        take_out=_count_duplicates,
        scenario="doubled-claims",
        noticed="two blocks are decided|fork at height",
    ),
    Mutant(
        name="commit-before-prepared",
        source="5.3 (vii)",
        rule="a commit is signed when a quorum has prepared",
        without="a commit is signed with the prepare",
        take_out=_commit_before_prepared,
        scenario="prepared-by-one",
        noticed="before its prepared certificate is durable",
    ),
    Mutant(
        name="current-set",
        source="5.3 (viii)",
        rule="a certificate is verified with the set of its own height",
        without="it is verified with the current set",
        take_out=_current_set,
        scenario="vote-in-and-out",
        noticed="is not reached",
    ),
    Mutant(
        name="forget-old-commits",
        source="5.3 (ix)",
        rule="commits of rounds that were left still decide",
        without="they are dropped",
        take_out=_forget_old_commits,
        scenario="commits-after-two-rounds",
        noticed="is not reached",
    ),
    Mutant(
        name="judge-time-again",
        source="5.3 (x)",
        rule="a block that is proposed again keeps its time",
        without="its time is judged as that of a fresh block",
        take_out=_judge_time_again,
        scenario="prepared-by-all",
        noticed="is not reached",
    ),
    Mutant(
        name="syncing-is-invalid",
        source="5.3 (xi)",
        rule="a client that is away has given no verdict",
        without="it has said: invalid",
        take_out=_syncing_is_invalid,
        scenario="engines-hiccup",
        noticed="cost a round",
    ),
    Mutant(
        name="float-timeouts",
        source="5.3 (xii)",
        rule="deadlines are whole milliseconds, and stay at their cap",
        without="they are floats that overflow",
        take_out=_float_timeouts,
        scenario="different-rounds",
        noticed="messages a second",
    ),
    Mutant(
        name="local-certificate",
        source="slots",
        rule="who proposes follows from decided blocks only",
        without="the schedule reads the tip's local certificate",
        take_out=_schedule_by_local_certificate,
        scenario="returning-validator",
        noticed="header.proposer|more than round 0",
        validators=4,
        seeds=60,
    ),
    Mutant(
        name="quorum-of-the-awake",
        source="slots",
        rule="quorums count those who are skipped",
        without="the total is that of the validators that are not skipped",
        take_out=_quorum_of_the_awake,
        scenario="dead-proposers",
        noticed="its weight is",
    ),
    Mutant(
        name="deadline-stays",
        source="slots",
        rule="a proposal replaces the first deadline by the second",
        without="the first deadline stays",
        take_out=_deadline_stays,
        scenario="engines-hiccup",
        noticed="cost a round",
    ),
    Mutant(
        name="due-is-parent-plus-period",
        source="slots",
        rule="a block is due at the first slot after its parent",
        without="it is due one period after its parent",
        take_out=_due_is_parent_plus_period,
        scenario="dead-proposers",
        noticed="has the timestamp",
    ),
    Mutant(
        name="poor-certificates",
        source="ours",
        rule="the certificate in a block holds every seal that has come",
        without="seals that come after the decision are not taken",
        take_out=_poor_certificates,
        scenario="returning-validator",
        noticed="has sealed nothing",
        seeds=20,
    ),
    Mutant(
        name="one-moves-all",
        source="ours",
        rule="one liar's round changes take nobody along",
        without="a single round change does",
        take_out=_one_moves_all,
        scenario="silencing",
        noticed="the victim lost its turn",
        seeds=20,
    ),
    Mutant(
        name="skipped-at-once",
        source="ours",
        rule="a validator is skipped after two rotations without a sign of life",
        without="it is skipped when one certificate leaves it out",
        take_out=_skipped_at_once,
        scenario="silencing",
        noticed="passed over",
        seeds=20,
    ),
    Mutant(
        name="alone-ahead",
        source="ours",
        rule="a later round ends only when a quorum has come to it",
        without="its deadline runs from its entry",
        take_out=_alone_ahead,
        scenario="one-left-alone",
        noticed="is not reached",
    ),
    Mutant(
        name="handed-on-once",
        source="ours",
        rule="in a later round what is repeated is handed on again",
        without="it is handed on once",
        take_out=_handed_on_once,
        scenario="sentries-cut-apart",
        noticed="is not reached",
        seeds=20,
    ),
    Mutant(
        name="half-decides",
        source="ours",
        rule="a quorum is two thirds",
        without="it is a half",
        take_out=_half_decides,
        scenario="partition-in-halves",
        noticed="its weight is 2 of 4",
    ),
    Mutant(
        name="forgetful-disk",
        source="ours",
        rule="record and watermark survive a crash",
        without="every crash loses both, and nobody looks at what keys sign",
        take_out=_forgetful_disk,
        scenario="forgotten-block",
        noticed="fork at height",
    ),
    Mutant(
        name="unsynced-commits",
        source="ours",
        rule="a commit of node.db waits for the disk",
        without="it is with the operating system (`PRAGMA synchronous = NORMAL`)",
        take_out=_unsynced_commits,
        scenario="forgotten-block",
        noticed="forgot it in round 1",
    ),
    Mutant(
        name="no-later-timers",
        source="ours",
        rule="every round has a deadline",
        without="rounds after the first have none",
        take_out=_no_later_timers,
        scenario="silent-proposer",
        noticed="without a deadline",
    ),
    Mutant(
        name="ignore-prepared",
        source="ours",
        rule="a prepared block is claimed in every later round",
        without="entering a round forgets it",
        take_out=_ignore_prepared,
        scenario="prepared-by-all",
        noticed="forgot",
    ),
)


def table(kills: Mapping[str, Kill | None]) -> str:
    """Return the evidence as Markdown."""
    lines = [
        "| mutant | asked for by | rule that is taken out | scenario | seed | what was noticed |",
        "|---|---|---|---|---|---|",
    ]
    for mutant in MUTANTS:
        found = kills[mutant.name]
        sized = f" ({mutant.validators} validators)" if mutant.validators else ""
        seen = f"{found.seed} | {found.told}" if found else "- | **survives**"
        lines.append(
            f"| {mutant.name} | {mutant.source} | {mutant.rule}; instead: {mutant.without} | {mutant.scenario}{sized} | {seen} |"
        )
    return "\n".join(lines)


PAGE: Final = """# Mutants

Each row is a rule of the protocol that a test tool takes out of the running program, and the scenario of the simulator that then fails,
at its first failing seed. With the rule in place the same scenario holds for the same seed (`tests/simulation/test_mutants.py`).
Written by `make mutants` on {date}, of the code at commit {commit}.

{table}
"""


def main() -> int:
    """Kill every mutant, print and write the table; return 1 if one survives."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    wanted = sys.argv[1:]
    kills: dict[str, Kill | None] = {}
    for mutant in MUTANTS:
        if wanted and mutant.name not in wanted:
            continue
        found = kills[mutant.name] = kill(mutant)
        seen = (
            f"killed by {mutant.scenario} seed {found.seed} in {found.took_s:.1f} s: {found.told}"
            if found
            else "SURVIVES"
        )
        print(f"{mutant.name}: {seen}", flush=True)
    if not wanted:
        EVIDENCE.parent.mkdir(exist_ok=True)
        EVIDENCE.write_text(
            PAGE.format(table=table(kills), date=time.strftime("%Y-%m-%d", time.gmtime()), commit=_commit())
        )
        print(f"\n{table(kills)}")
    return 1 if None in kills.values() else 0


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=EVIDENCE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
