"""From a network's specification to running nodes: plan, render, apply."""
