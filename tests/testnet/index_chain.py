"""What happens on a chain that is indexed: transactions of one account, one after the other, and contracts."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
from eth_abi.abi import encode
from eth_account import Account

from metanode.crypto.hashing import keccak256

if TYPE_CHECKING:
    from sdk.testnet.deployment.apply.accounts import FundedAccount

GAS = 2_000_000


class Chain:
    """One account of a network, and the network's RPC."""

    def __init__(self, url: str, account: FundedAccount, *, chain_id: int = 1337) -> None:
        self._url = url
        self._account = account
        self._chain_id = chain_id
        self._http = httpx.Client(timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def rpc(self, method: str, *params: Any) -> Any:
        answer = self._http.post(
            self._url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        ).json()
        assert "error" not in answer, answer
        return answer["result"]

    def send(
        self, *, to: str | None = None, data: bytes = b"", value: int = 0, nonce: int | None = None
    ) -> str:
        """Send a transaction; its hash."""
        if nonce is None:
            nonce = int(self.rpc("eth_getTransactionCount", self._account.address, "pending"), 16)
        fields = {
            "chainId": self._chain_id,
            "nonce": nonce,
            "gas": GAS if data or to is None else 21_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
            "value": value,
            "data": data,
            **({} if to is None else {"to": bytes.fromhex(to[2:])}),
        }
        signed = Account.sign_transaction(fields, self._account.private_key)
        return str(self.rpc("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex()))

    def do(self, **transaction: Any) -> dict[str, Any]:
        """Send a transaction and return its receipt."""
        sent = self.send(**transaction)
        deadline = time.monotonic() + 60
        while self.rpc("eth_getTransactionReceipt", sent) is None:
            assert time.monotonic() < deadline, "no block takes it"
            time.sleep(0.05)
        receipt: dict[str, Any] = self.rpc("eth_getTransactionReceipt", sent)
        return receipt

    def halted_head(self) -> int:
        """The head of a chain whose nodes were stopped, once it has not moved for three periods of a second."""
        head, since = -1, time.monotonic()
        deadline = since + 60
        while (now_s := time.monotonic()) < since + 3:
            assert now_s < deadline, "the chain goes on"
            found = int(self.rpc("eth_blockNumber"), 16)
            if found != head:
                head, since = found, now_s
            time.sleep(0.1)
        return head

    def speaker(self, name: bytes, symbol: str, decimals: int, *, value: int = 0) -> str:
        """Make a Speaker; its address."""
        arguments = encode(["bytes", "string", "uint8"], [name, symbol, decimals])
        receipt = self.do(data=speaker_code() + arguments, value=value)
        assert receipt["status"] == "0x1"
        return str(receipt["contractAddress"])


def call_of(signature: str, *arguments: Any) -> bytes:
    """The input that calls a function: `pay(address,uint256)`."""
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak256(signature.encode())[:4] + encode([one for one in types if one], list(arguments))


def word(value: int | str | bytes) -> bytes:
    """32 bytes of a number, or of an address."""
    if isinstance(value, str):
        value = int(value, 16)
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


@cache
def speaker_code() -> bytes:
    import vyper  # type: ignore[import-untyped]  # noqa: PLC0415 - the compiler takes a second to import

    source = (Path(__file__).parent / "contracts" / "Speaker.vy").read_text()
    return bytes.fromhex(vyper.compile_code(source, output_formats=["bytecode"])["bytecode"][2:])
