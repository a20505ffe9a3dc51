"""A file with the addresses that are told of alerts. They hold secrets, so the file is for its owner only, and no message repeats one.

# One receiver a line.
https://alerts.example.org/hook
slack https://hooks.slack.com/services/…
slack info https://hooks.slack.com/services/…
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from metanode.errors import InvalidInput
from sdk.testnet.monitoring.alerts.catalogue import AlertSeverity
from sdk.testnet.monitoring.alerts.webhooks import USUAL, WEBHOOKS_MAX, Form, Webhook

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HEAD: Final = (
    "# Who is told of alerts: one http or https address a line, after the word slack where it is one of Slack's, and after the word info where it\n"
    "# is told, beside what is critical or a warning, what is worth knowing: who joined or left, milestones, other settings.\n"
    "# What Alertmanager sends is sent. Read when the services start.\n"
)
INFORMED: Final = "info"
"""Before an address that is told everything."""
_FORMS: Final[dict[str, Form]] = {form: form for form in get_args(Form)}


def format_webhooks(lines: Iterable[str]) -> str:
    """The content of a file with these receivers, each as it stands in a line."""
    return HEAD + "".join(f"{line}\n" for line in lines)


def listed_webhooks(text: str) -> list[str]:
    """The lines of a file that name receivers."""
    return [line.strip() for line in text.splitlines() if _names_one(line)]


def read_webhooks(path: Path) -> tuple[Webhook, ...]:
    """The receivers of a file; raises InvalidInput with the number of a line that names none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: expected a file with addresses: {error}") from None
    found = [
        parse_webhook(line, f"{path}: line {number}")
        for number, line in enumerate(text.splitlines(), start=1)
        if _names_one(line)
    ]
    if len(found) > WEBHOOKS_MAX:
        raise InvalidInput(f"{path}: found {len(found)} addresses; expected at most {WEBHOOKS_MAX}")
    return tuple(found)


def parse_webhook(line: str, where: str) -> Webhook:
    """One receiver; raises InvalidInput, which begins with `where` and does not repeat the line."""
    *words, url = line.split() or [""]
    forms = [_FORMS[word] for word in words if word in _FORMS]
    is_informed = INFORMED in words
    if len(forms) > 1 or len(forms) + is_informed != len(words):
        raise InvalidInput(
            f"{where}: expected an address, and before it one of {', '.join(_FORMS)}, {INFORMED}, both or neither (it is not repeated here)"
        )
    try:
        return Webhook(
            url=url,
            form=forms[0] if forms else "alertmanager",
            severities=USUAL | {AlertSeverity.INFO} if is_informed else USUAL,
        )
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None


def _names_one(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")
