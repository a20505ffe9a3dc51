"""Measures how long the phases of consensus take, seen from this node. Looks on; nothing depends on it.

The driver says after each input where the core stands, and of each COMMIT whose it is. Times are the event loop's.
"""

from collections import Counter
from typing import Final, Protocol

from metanode.consensus.height import Phase
from metanode.consensus.tip import Tip
from metanode.primitives.types import Address, Height, Round
from metanode.telemetry.metrics import DELAY_BUCKETS_S
from metanode.telemetry.tally import Tally

PHASES: Final = ("waiting", "awaiting", "preprepared", "prepared", "committed", "round_change")
"""The words of the metrics: before the slot; until there is a proposal; until a quorum has prepared it; until a quorum has committed to it;
decided and on its way to disk and execution client; in a later round, until there is a proposal."""

_NAMES: Final = {Phase.WAITING: "waiting", Phase.PREPARE: "preprepared", Phase.COMMIT: "prepared"}


def name_phase(phase: Phase, round_: Round, *, is_final: bool) -> str:
    """Return the metrics' word for where a round stands; `is_final` when all that is decided is visible."""
    if phase is Phase.WAITING and not is_final:
        return "committed"
    if phase is Phase.PROPOSAL:
        return "round_change" if round_ > 0 else "awaiting"
    return _NAMES[phase]


class Core(Protocol):
    """What is looked at: `consensus.machine.Consensus`."""

    @property
    def height(self) -> Height:
        """The height that is being decided."""
        ...

    @property
    def round(self) -> Round:
        """The current round."""
        ...

    @property
    def phase(self) -> Phase:
        """Where the round stands."""
        ...

    @property
    def own(self) -> Address | None:
        """This node's validator."""
        ...

    @property
    def tip(self) -> Tip:
        """The latest decided block."""
        ...


class RoundWatch:
    """One node's observer. Owner: the driver."""

    def __init__(self) -> None:
        self.phases = {name: Tally(DELAY_BUCKETS_S) for name in PHASES}
        self.quorum_prepare_delay = Tally(DELAY_BUCKETS_S)
        """From the proposal to a quorum of prepares."""
        self.quorum_commit_delay = Tally(DELAY_BUCKETS_S)
        """From the proposal to a quorum of commits."""
        self.full_commit_delay = Tally(DELAY_BUCKETS_S)
        """From the proposal to the last validator's commit."""
        self.late_commits: Counter[Address] = Counter()
        """Commits that came after their height was decided."""
        self.phase = PHASES[0]
        """Where the round stands."""
        self._place: tuple[Height, Round] | None = None
        self._phase = Phase.WAITING
        self._since = 0.0
        self._proposed_at: float | None = None
        self._committed: set[Address] = set()
        """Who has committed at the height that is open."""
        self._missing: set[Address] = set()
        """Whose commit of the height before has not come."""
        self._last_proposed_at: float | None = None

    def observe(self, core: Core, *, final: Height, now: float) -> None:
        """Note where the core stands; `final` is the height up to which all is visible."""
        height, round_, phase = core.height, core.round, core.phase
        name = name_phase(phase, round_, is_final=final >= height - 1)
        place = (height, round_)
        if (place, phase, name) == (self._place, self._phase, self.phase):
            return
        if self._place is None:
            # Where a life begins: nothing was measured before.
            self._place, self._phase, self.phase, self._since = place, phase, name, now
            return
        self.phases[self.phase].observe(now - self._since)
        self.phase, self._since = name, now
        was, self._place = self._place, place
        if height > was[0]:
            self._upon_decided(core, now, is_next=height == was[0] + 1)
        elif round_ > was[1]:
            self._proposed_at = None
        if phase in {Phase.PREPARE, Phase.COMMIT} and self._proposed_at is None:
            self._proposed_at = now
        if phase is Phase.COMMIT and (place != was or self._phase is not Phase.COMMIT):
            assert self._proposed_at is not None
            self.quorum_prepare_delay.observe(now - self._proposed_at)
        self._phase = phase

    def upon_commit(self, author: Address, height: Height, now: float) -> None:
        """Note a COMMIT that has come, of the open height or the one before."""
        if self._place is None:
            return
        if height == self._place[0]:
            self._committed.add(author)
        elif height == self._place[0] - 1 and author in self._missing:
            self._missing.discard(author)
            self.late_commits[author] += 1
            if not self._missing and self._last_proposed_at is not None:
                self.full_commit_delay.observe(now - self._last_proposed_at)

    def _upon_decided(self, core: Core, now: float, *, is_next: bool) -> None:
        proposed_at, committed = self._proposed_at, self._committed
        self._proposed_at, self._committed, self._missing = None, set(), set()
        self._last_proposed_at = proposed_at
        if proposed_at is None or not is_next:
            # Imported, or told by a certificate before there was a proposal.
            return
        self.quorum_commit_delay.observe(now - proposed_at)
        self._missing = set(core.tip.state.last_validators.addresses) - committed - {core.own}
        if not self._missing:
            self.full_commit_delay.observe(now - proposed_at)
