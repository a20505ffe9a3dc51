"""Snapshots: a node's state at one decided height in a file, and a new node that begins from it. See docs/spec/snapshots.md."""
