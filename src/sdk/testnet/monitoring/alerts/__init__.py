"""Alerts: what there are, what holds now, since when, and who is told."""
