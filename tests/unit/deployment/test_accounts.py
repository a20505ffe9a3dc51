"""The accounts of local networks are the ones that every Ethereum tool knows."""

from eth_account import Account

from sdk.testnet.deployment.apply.accounts import MNEMONIC, funded_accounts


def test_the_accounts_are_those_of_the_well_known_mnemonic() -> None:
    Account.enable_unaudited_hdwallet_features()
    derived = [Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{n}") for n in range(10)]

    assert [(account.address, account.private_key) for account in funded_accounts()] == [
        (account.address, "0x" + account.key.hex().removeprefix("0x")) for account in derived
    ]
