"""The ten funded accounts of local networks: those of the mnemonic that every Ethereum tool knows.

Anybody can compute these keys. Only local presets fund them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

MNEMONIC = "test test test test test test test test test test test junk"
ACCOUNT_COUNT = 10
BALANCE_WEI = 10_000 * 10**18
"""What anvil and Hardhat give each account too."""


@dataclass(frozen=True, slots=True)
class FundedAccount:
    """A well-known account of local networks."""

    address: str
    """With its EIP-55 checksum."""
    private_key: str
    """0x and 64 digits; public knowledge."""


@cache
def funded_accounts() -> tuple[FundedAccount, ...]:
    """The accounts at m/44'/60'/0'/0/0 to 9. Source: BIP-32, BIP-39, BIP-44."""
    from eth_account import Account  # noqa: PLC0415 - takes half a second to import, and is needed here only

    Account.enable_unaudited_hdwallet_features()
    accounts = [
        Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{n}") for n in range(ACCOUNT_COUNT)
    ]
    return tuple(
        FundedAccount(account.address, "0x" + account.key.hex().removeprefix("0x")) for account in accounts
    )
