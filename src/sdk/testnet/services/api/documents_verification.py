"""The documents of verification: what is sent in, how it goes, and the sources that were found to be a contract's."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sdk.testnet.services.api.documents import Data, Document, Party, Time

Match = Annotated[
    str | None,
    Field(
        description="exact_match: equal to the last byte, with the hash of the sources; match: only the code is equal."
    ),
]


class VerificationRequest(BaseModel):
    """Sources of a contract."""

    model_config = ConfigDict(extra="forbid")

    standard_json: dict[str, Any] = Field(
        description="The compiler's standard JSON input, with the content of every source: nothing is fetched.",
        examples=[{"language": "Solidity", "sources": {"Coins.sol": {"content": "..."}}, "settings": {}}],
    )
    compiler_version: str = Field(max_length=128, examples=["0.8.37+commit.f401782d"])
    contract: str = Field(
        max_length=1_000, description="Its file and its name.", examples=["src/Coins.sol:Coins"]
    )
    creation_transaction: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{64}$")] | None = Field(
        default=None, description="Needed only where the index does not know it."
    )


class VerificationError(Document):
    """Why sources were not found to be a contract's."""

    code: str
    message: str


class VerificationJob(Document):
    """A submission, and what came of it."""

    id: str = Field(examples=["5f2c8f0e-6f6e-4f0b-9a57-0d8f5a1c2b3d"])
    address: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    state: str = Field(description="queued, running, verified or failed.")
    is_finished: bool
    before: int = Field(description="How many are before it in the queue.")
    submitted_at: Time
    finished_at: Time | None
    language: str
    compiler_version: str
    contract: str = Field(examples=["src/Coins.sol:Coins"])
    match: Match
    runtime_match: Match
    creation_match: Match
    error: VerificationError | None


class ContractSource(Document):
    """What a verified contract was made of."""

    contract: Party
    match: str
    runtime_match: Match
    creation_match: Match
    verified_at: Time
    verified_name: str
    source_path: str | None
    compiler_version: str
    language: str
    constructor_arguments: Data | None
    standard_json: dict[str, Any] = Field(
        description="The compiler's input: language, sources with their content, settings."
    )
    metadata: dict[str, Any] | None = Field(description="Of the compiler.")
