"""A file with the addresses that are told of alerts. They hold secrets, so the file is for its owner only, and no message repeats one.

# One receiver a line.
https://alerts.example.org/hook
slack https://hooks.slack.com/services/…
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from metanode.errors import InvalidInput
from sdk.testnet.monitoring.alerts.webhooks import WEBHOOKS_MAX, Form, Webhook

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HEAD: Final = (
    "# Who is told of alerts: one http or https address a line, after the word slack where it is one of Slack's.\n"
    "# What Alertmanager sends is sent. Read when the services start.\n"
)
_FORMS: Final[dict[str, Form]] = {form: form for form in get_args(Form)}


def format_webhooks(lines: Iterable[str]) -> str:
    """The content of a file with these receivers, each as it stands in a line."""
    return HEAD + "".join(f"{line}\n" for line in lines)


def read_webhooks(path: Path) -> tuple[Webhook, ...]:
    """The receivers of a file; raises InvalidInput with the number of a line that names none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: expected a file with addresses: {error}") from None
    found = [
        parse_webhook(line, f"{path}: line {number}")
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if len(found) > WEBHOOKS_MAX:
        raise InvalidInput(f"{path}: found {len(found)} addresses; expected at most {WEBHOOKS_MAX}")
    return tuple(found)


def parse_webhook(line: str, where: str) -> Webhook:
    """One receiver; raises InvalidInput, which begins with `where` and does not repeat the line."""
    *form, url = line.split()
    if form and (len(form) > 1 or form[0] not in _FORMS):
        raise InvalidInput(
            f"{where}: expected an address, or one of {', '.join(_FORMS)} before it (it is not repeated here)"
        )
    try:
        return Webhook(url=url, form=_FORMS[form[0]] if form else "alertmanager")
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None
