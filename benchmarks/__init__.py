"""Benchmarks: method and results in README.md. `make bench` runs them all."""
