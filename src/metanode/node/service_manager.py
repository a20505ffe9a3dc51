"""What systemd is told: ready with a line of status, and stopping. Nothing when there is no systemd. Source: sd_notify(3)."""

from __future__ import annotations

import os
import socket


def notify_ready(status: str) -> None:
    """Say that the node serves."""
    _notify(f"READY=1\nSTATUS={status}")


def notify_stopping() -> None:
    """Say that the node is ending."""
    _notify("STOPPING=1")


def _notify(text: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    # A leading @ is the abstract namespace.
    path = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(1.0)
        try:
            channel.sendto(text.encode(), path)
        except OSError:
            # The manager does not listen: its fault, and nothing that the chain should stop for.
            return
