"""Tests of the faucet may be coroutines, as those of the services."""

from __future__ import annotations

from tests.unit.services.conftest import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
