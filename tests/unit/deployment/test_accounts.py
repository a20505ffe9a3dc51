from __future__ import annotations

from sdk.testnet.deployment.apply.accounts import funded_accounts


def test_the_accounts_are_those_every_tool_knows() -> None:
    accounts = funded_accounts()

    assert len(accounts) == 10
    assert accounts[0].address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert accounts[0].private_key == "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    assert accounts[9].address == "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"
