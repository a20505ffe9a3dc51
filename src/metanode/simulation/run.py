"""One simulation: what it is, as a command line can say it, and what came of it, as a journal keeps it."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A scenario of a seed. Equal runs of equal code give equal traces."""

    scenario: str
    seed: int
    validators: int | None = None
    """In place of the scenario's own number."""
    rule: str | None = None
    """"authority" or "stake", in place of what the seed says."""
    calm: bool = False
    """Links without loss, repetition or much delay."""
    without: tuple[int, ...] = ()
    """Faults of the drawn schedule that are left out, by their number in it."""

    @property
    def arguments(self) -> str:
        """What follows `python -m metanode.simulation` to play it."""
        words = [f"--seed {self.seed}", f"--scenario {self.scenario}"]
        if self.validators is not None:
            words.append(f"--validators {self.validators}")
        if self.rule is not None:
            words.append(f"--rule {self.rule}")
        if self.calm:
            words.append("--calm")
        if self.without:
            words.append("--without " + ",".join(str(number) for number in self.without))
        return " ".join(words)

    @property
    def command(self) -> str:
        """The one command that plays it again and shows the nodes' log."""
        return f"{sys.executable} -m metanode.simulation {self.arguments} --verbose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run."""

    run: Run
    rule: str
    """By which votes counted: "authority" or "stake"."""
    validators: int
    heights: int
    events: int
    """Events in the trace: messages delivered, lost and held, blocks decided, lives begun and ended."""
    seconds: float
    """Of the processor's time."""
    trace_hash: str
    problem: str | None
    """What was broken; None if the claim held."""

    @property
    def held(self) -> bool:
        """Tell whether the scenario's claim and every invariant held."""
        return self.problem is None
