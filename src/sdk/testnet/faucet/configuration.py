"""`FaucetConfig`: what an operator may set. Amounts in gwei, times in seconds, as the toolkit's document has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from metanode.errors import InvalidInput
from sdk.testnet.faucet.proof_of_work import BITS_MAX, BITS_MIN

DAY_S: Final = 86_400
TOKENS_PER_REQUEST_GWEI: Final = 100_000_000_000
"""100 tokens of 18 decimals."""
PRIVATE_KEY_VARIABLE: Final = "FAUCET_PRIVATE_KEY"
_AMOUNT_GWEI_MAX: Final = 2**63 - 1
"""What a database's integer holds: 9.2 billion tokens."""
_WINDOW_S_MAX: Final = 366 * DAY_S
"""The ledger keeps what counts in a window; a year of it is enough for anybody."""
_BACKUPS_MAX: Final = 10
_COUNT_MAX: Final = 1_000_000
"""Of requests in a window."""


@dataclass(frozen=True, slots=True)
class FaucetConfig:
    """How much a faucet gives, how often, and from where.

    Raises:
        InvalidInput: when made with impossible values; one line for each.
    """

    tokens_per_request: int = TOKENS_PER_REQUEST_GWEI
    """Gwei."""
    max_requests_per_address: int = 3
    """Payouts to an address within `cooldown_period`."""
    max_requests_per_ip: int = 5
    """Payouts to an IPv4 address, or to an IPv6 /64, which is what one customer has, within `cooldown_period`."""
    cooldown_period: int = 3600
    """Length of the sliding window in which the maxima count, in seconds; not a pause after each request."""
    daily_limit: int = 1000
    """Payouts in all, each day of UTC."""
    max_requests_per_network: int = 15
    """Payouts to an IPv4 /24, or to an IPv6 /48, within `cooldown_period`."""
    max_requests_per_address_weekly: int | None = None
    """Payouts to an address within seven days; None sets no such limit."""
    max_recipient_balance: int | None = None
    """Gwei; who has this much gets nothing. None asks nobody."""
    refuse_contracts: bool = False
    """Whether an address with code gets nothing; a delegation (EIP-7702) is no contract."""
    rpc_url: str | None = None
    """JSON-RPC of the network to pay on; None starts a chain of its own."""
    backup_rpc_urls: tuple[str, ...] = ()
    """Further nodes of the same network: the first that answers is asked, and transactions are given to one more."""
    keystore: Path | None = None
    """Key file of the account that pays; None reads a hexadecimal key from the environment, `private_key_variable`."""
    password_file: Path | None = None
    """Password of `keystore`; None expects it beside it, with the suffix `.password`."""
    private_key_variable: str = PRIVATE_KEY_VARIABLE
    """Name of the environment variable; the key itself is never an argument."""
    database_url: str | None = None
    """`sqlite:///PATH` or `postgresql://…`; None is `faucet.db` in the working directory, or memory where the chain is the faucet's own."""
    spread_over_the_day: bool = False
    """Whether the day's payouts go out evenly, a tenth of them at once."""
    one_at_a_time: bool = False
    """Whether an address with a payout that is not final gets no second one, and a client with two of them no third."""
    scale_with_balance: bool = False
    """Whether it pays less below a quarter of `target_balance`, and nothing below a twentieth."""
    target_balance: int | None = None
    """Gwei that `scale_with_balance` measures by; None takes the most that the account ever had."""
    refuse_validators: bool = False
    """Whether the network's validators get nothing."""
    proof_of_work: bool = False
    """Whether who asks over the web has to compute for it; `request_tokens` of this program has not."""
    proof_of_work_bits: int = 8
    """Difficulty in quiet times: 8 * 2**bits hashes of scrypt."""
    datacenter_networks: Path | None = None
    """File with a network such as 198.51.100.0/24 a line, whose puzzles are eight times as hard."""
    batching: bool = True
    """Whether five waiting payouts or more are paid by one transaction, where the chain has the deterministic deployment factory."""
    max_in_flight: int = 16
    """Signed transactions that are not final yet: one that is stuck holds up no more than these."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keystore", _path(self.keystore))
        object.__setattr__(self, "password_file", _path(self.password_file))
        object.__setattr__(self, "datacenter_networks", _path(self.datacenter_networks))
        if isinstance(self.backup_rpc_urls, list):
            object.__setattr__(self, "backup_rpc_urls", tuple(self.backup_rpc_urls))
        if problems := self._problems():
            raise InvalidInput("\n".join(problems))

    @classmethod
    def public(cls, **settings: Any) -> Self:
        """The limits for a faucet that anybody on the internet can reach; `settings` override them."""
        amount = settings.get("tokens_per_request", TOKENS_PER_REQUEST_GWEI)
        strict: dict[str, Any] = {
            "max_requests_per_address": 1,
            "max_requests_per_ip": 3,
            "max_requests_per_network": 15,
            "cooldown_period": DAY_S,
            "max_requests_per_address_weekly": 3,
            "max_recipient_balance": 5 * amount,
            "refuse_contracts": True,
            "refuse_validators": True,
            "spread_over_the_day": True,
            "one_at_a_time": True,
            "scale_with_balance": True,
            "proof_of_work": True,
        }
        return cls(**(strict | settings))

    def _problems(self) -> list[str]:
        ranges = {
            "tokens_per_request": (1, _AMOUNT_GWEI_MAX),
            "max_requests_per_address": (1, _COUNT_MAX),
            "max_requests_per_ip": (1, _COUNT_MAX),
            "max_requests_per_network": (1, _COUNT_MAX),
            "cooldown_period": (1, _WINDOW_S_MAX),
            "daily_limit": (1, _COUNT_MAX),
            "max_in_flight": (1, 256),
            "proof_of_work_bits": (BITS_MIN, BITS_MAX),
        }
        optional = {
            "max_requests_per_address_weekly": (1, _COUNT_MAX),
            "max_recipient_balance": (1, _AMOUNT_GWEI_MAX),
            "target_balance": (1, _AMOUNT_GWEI_MAX),
        }
        ranges |= {name: bounds for name, bounds in optional.items() if getattr(self, name) is not None}
        problems = [
            f"{name}: expected a whole number from {low:,} to {high:,}, found {getattr(self, name)!r:.60}"
            for name, (low, high) in ranges.items()
            if type(getattr(self, name)) is not int or not low <= getattr(self, name) <= high
        ]
        if self.rpc_url is not None and not _is_http(self.rpc_url):
            problems.append(f"rpc_url: expected http://HOST:PORT or https://…, found {self.rpc_url!r:.80}")
        backup_urls: Any = self.backup_rpc_urls
        if not isinstance(backup_urls, tuple) or len(backup_urls) > _BACKUPS_MAX:
            problems.append(f"backup_rpc_urls: expected a list of at most {_BACKUPS_MAX} URLs")
        else:
            problems += [
                f"backup_rpc_urls[{place}]: expected http://HOST:PORT or https://…, found {url!r:.80}"
                for place, url in enumerate(self.backup_rpc_urls)
                if not _is_http(url)
            ]
            if self.backup_rpc_urls and self.rpc_url is None:
                problems.append(
                    "backup_rpc_urls: give rpc_url too; a chain of the faucet's own has no other nodes"
                )
        if self.database_url is not None and not _is_database(self.database_url):
            problems.append(
                f"database_url: expected sqlite:///PATH or postgresql://HOST/NAME, found {_without_password(self.database_url)!r:.80}"
            )
        return problems


def _path(value: Any) -> Path | None:
    return None if value is None else Path(value)


def _is_http(url: Any) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def _is_database(url: Any) -> bool:
    return isinstance(url, str) and url.startswith(("sqlite://", "postgresql://", "postgres://"))


def _without_password(url: Any) -> Any:
    """The URL with nothing between its first colon after the scheme and its last @."""
    if not isinstance(url, str) or "@" not in url:
        return url
    scheme, _, rest = url.partition("://")
    credentials, _, host = rest.rpartition("@")
    return f"{scheme}://{credentials.partition(':')[0]}:…@{host}"
