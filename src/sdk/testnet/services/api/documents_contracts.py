"""The documents of calls: which function of a contract is meant, what it answered, and what a call of it is written as."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sdk.testnet.services.api.documents import Data, Document

ARGUMENTS_MAX = 256
"""As many as a function's interface may have here."""


class FunctionCall(BaseModel):
    """A function of a contract, and what it is given."""

    model_config = ConfigDict(extra="forbid")

    function: str = Field(
        min_length=1,
        max_length=2_000,
        description="Its name, its signature where several have the name, or its selector.",
        examples=["balanceOf"],
    )
    arguments: list[Any] = Field(
        default=[],
        max_length=ARGUMENTS_MAX,
        description=(
            "As its parameters are: numbers as JSON or as text in decimal or 0x-hexadecimal, true and false, addresses and bytes as 0x and "
            "digits, arrays and tuples as lists. 32 KiB of JSON at most."
        ),
        examples=[["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"]],
    )


class ReturnedValue(Document):
    """One of the values that a function returns."""

    name: str = Field(description="As the interface has it; mostly empty.", examples=[""])
    type: str = Field(examples=["uint256"])
    value: Any = Field(
        description="Numbers as decimal text, bytes as 0x and digits, addresses EIP-55, arrays and tuples as lists.",
        examples=["1000000000000000000"],
    )


class CallAnswer(Document):
    """What a reading function answered, on the newest state."""

    contract: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    signature: str = Field(examples=["balanceOf(address)"])
    interface: str = Field(
        description="Where the function is known from: verified, same code (of a verified contract), or guess (of the token's standard).",
        examples=["verified"],
    )
    call: Data = Field(description="What the contract was called with.")
    succeeded: bool
    values: list[ReturnedValue] | None = Field(
        description="null when it refused, or returned something else than it promises."
    )
    error: str | None = Field(description="Why there are no values.", examples=[None])
    returned: Data = Field(description="What it returned, cut at 32 KiB.")
    returned_bytes: int = Field(description="How much that was.")


class EncodedCall(Document):
    """A call, to be signed and sent by whoever wants it."""

    to: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    data: Data
    signature: str = Field(examples=["transfer(address,uint256)"])
    selector: Data
    state_mutability: str = Field(
        description="pure, view, nonpayable or payable: only the last takes coins.", examples=["nonpayable"]
    )
