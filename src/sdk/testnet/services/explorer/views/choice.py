"""The validator that somebody has chosen on the dashboard (`?validator=0x…`): what of the page is its own. Pure.

A page that is asked for with a choice is marked here, so that a link is enough and no script is needed. Live parts are rendered once for all who look, without
any choice, and marked in the browser by `choice.js`: a render for each viewer would make a thousand of them a thousand times as dear. What the module goes by
stands in the fragments: `data-of` has the name of the validator that an alert, an event, a row or a column is of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
NOBODY_OF_THE_SET: Final = ""
"""Whom an alert of a node is about that is no validator."""
PARTS_IN_BLOCKS: Final = {
    "p": ("own", "; proposed by it"),
    "-": ("outside", "; without its seal"),
    "?": ("unknown", "; seals unknown"),
}
"""By the letters of `in_blocks`, the class of a block's cell and what its title says further; a block that it sealed like the others is not marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody has asked for."""

    asked: str = ""
    """As it was written; empty where nobody asked."""
    address: str = ""
    """The validator's, lower case; empty while no validator has the address that was asked for."""
    name: str = ""

    @property
    def asked_address(self) -> str:
        """What was asked for where it is an address, of whomever; empty otherwise."""
        return self.asked.lower() if _ADDRESS.fullmatch(self.asked) else ""

    @property
    def query(self) -> str:
        """What keeps the choice in an address of a page; empty where there is none to keep."""
        return f"validator={self.asked_address}" if self.asked_address else ""


NOTHING: Final = Choice()
"""Everything is shown: what live parts are rendered with."""


def choice_of(asked: str, validators: Iterable[Mapping[str, Any]]) -> Choice:
    """Return the choice that a text means, whatever it is: what is no validator is for the page to say."""
    choice = Choice(asked=asked.strip())
    for each in validators:
        if each["address"] == choice.asked_address:
            return Choice(asked=choice.asked, address=each["address"], name=str(each["name"]))
    return choice


def address_of(asked: str) -> str:
    """Return an address of a query, lower case; raises InvalidInput."""
    if not _ADDRESS.fullmatch(asked):
        raise InvalidInput(f"validator: expected 0x and 40 hexadecimal digits, found {asked!r:.60}")
    return asked.lower()


def owners_of(validators: Iterable[Mapping[str, Any]], nodes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By the subject of an alert the name of the validator that it is about; empty of a node that is none. What is of all is not in it."""
    owners = {str(node["node_id"]): NOBODY_OF_THE_SET for node in nodes}
    for each in validators:
        # Before its node was known it was called by its address.
        owners[format_address(parse_address(each["address"]))] = str(each["name"])
        owners[str(each["name"])] = str(each["name"])
    return owners


def others_among(
    alerts: Sequence[Mapping[str, Any]], owners: Mapping[str, str], choice: Choice
) -> list[Mapping[str, Any]]:
    """Return the alerts that a choice leaves out: those of other validators and nodes."""
    if not choice.address:
        return []
    return [alert for alert in alerts if owners.get(alert["subject"], choice.name) != choice.name]
