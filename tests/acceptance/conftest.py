"""What the clients need to use the network of `tests/conftest.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk.testnet.deployment.apply.accounts import FundedAccount, funded_accounts


@pytest.fixture(scope="session")
def accounts() -> tuple[FundedAccount, ...]:
    return funded_accounts()


@pytest.fixture(scope="session")
def counter() -> dict[str, object]:
    """ABI and bytecode of contracts/Counter.vy."""
    import vyper  # noqa: PLC0415 - the compiler takes a second to import

    source = (Path(__file__).parent / "contracts" / "Counter.vy").read_text()
    compiled = vyper.compile_code(source, output_formats=["abi", "bytecode"])
    return {"abi": compiled["abi"], "bytecode": compiled["bytecode"]}
