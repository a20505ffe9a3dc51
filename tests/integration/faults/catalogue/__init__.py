"""Every fault of the table, in files by what is hurt."""

from tests.integration.faults.catalogue import (
    clocks,
    damage,
    disks,
    failing_disks,
    kills,
    liars,
    members,
    packets,
    partitions,
    pauses,
)
from tests.integration.faults.catalogue.case import Group

GROUPS: dict[str, Group] = {
    group.name: group
    for group in (
        partitions.GROUP,
        pauses.GROUP,
        kills.GROUP,
        packets.GROUP,
        members.GROUP,
        liars.GROUP,
        damage.GROUP,
        clocks.GROUP,
        disks.GROUP,
        failing_disks.GROUP,
        packets.RELAYED,
    )
}
"""In the order in which they begin, the long ones first."""

__all__ = ["GROUPS"]
