"""Appliers: what makes a planned network real. `local` runs it as processes on this machine."""
