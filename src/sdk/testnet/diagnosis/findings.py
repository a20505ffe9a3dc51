"""What a diagnosis says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(Enum):
    """How much a finding matters."""

    ERROR = "error"
    """Somebody has to act."""
    WARNING = "warning"
    """The network is worse off than it should be; it may mend by itself."""
    NOTE = "note"
    """Good to know; no fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence, and what to do about it."""

    code: str
    """Fixed; docs/guide/doctor.md has a paragraph for each."""
    severity: Severity
    text: str
    action: str | None = None
    """A command where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The answer to: why does the height move, or not?"""

    headline: str
    height: int | None
    """The open one; None when no node says."""
    is_moving: bool
    findings: tuple[Finding, ...]
    """The gravest first."""

    @property
    def is_healthy(self) -> bool:
        """Whether nobody has to look at anything."""
        return self.is_moving and all(finding.severity is Severity.NOTE for finding in self.findings)


def listed(words: Iterable[str]) -> str:
    """Words as an enumeration in a sentence."""
    found = list(words)
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def lasting(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
