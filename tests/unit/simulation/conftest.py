"""Simulations print nothing of the nodes' own log."""

import structlog


def pytest_configure() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
