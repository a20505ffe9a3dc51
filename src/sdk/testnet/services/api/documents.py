"""The documents of the API: what each field is, as OpenAPI shows it. Amounts are decimal strings, bytes 0x and lower-case digits, addresses EIP-55."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")

Amount = Annotated[
    str,
    Field(
        pattern=r"^[0-9]+$",
        description="An integer in decimal, of up to 256 bits.",
        examples=["1000000000000000000"],
    ),
]
Hash = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$", description="32 bytes.")]
Data = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$", description="Bytes.")]
Time = Annotated[str, Field(description="RFC 3339, UTC.", examples=["2026-11-21T12:00:00Z"])]


class Document(BaseModel):
    """Any of the API's documents: more fields may be added."""

    model_config = ConfigDict(frozen=True)


class AsOf(Document):
    """Which state an answer is of."""

    block: int = Field(description="Newest indexed block.")
    indexed_at: Time


class Party(Document):
    """An account."""

    address: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    name: str | None = Field(description="From the operator's configuration.")
    is_contract: bool


class ListOf(Document, Generic[Item]):
    """Some of a long list."""

    items: list[Item]
    next: str | None = Field(
        description="Cursor of the next page; null on the last one. `Link` has its whole URL."
    )
    as_of: AsOf
    total: int | None = Field(default=None, description="With include=total, where a counter is kept.")


class Block(Document):
    """A finalized block."""

    number: int
    hash: Hash
    parent_hash: Hash
    consensus_hash: Hash | None = Field(description="Hash of the consensus header.")
    timestamp: int = Field(description="Seconds since 1970.")
    time: Time
    proposer: Party | None
    fee_recipient: Party
    round: int | None = Field(description="Round in which it was decided; 0 is the first.")
    proposal_round: int | None = Field(description="Round in which it was made.")
    validators_count: int
    seals_count: int
    is_canonical: bool = Field(description="Whether the next block has fixed round and seals.")
    gas_used: int
    gas_limit: int
    base_fee_wei: Amount
    fees_wei: Amount
    burnt_wei: Amount
    transaction_count: int
    failed_count: int
    log_count: int
    transfer_count: int
    internal_count: int
    size_bytes: int
    has_traces: bool = Field(description="False when internal calls may be missing.")
    extra_data: Data
    state_root: Hash
    seals_invalid: int = Field(
        description="Commit seals that are not their validator's: none, unless something is badly wrong."
    )
    withdrawal_count: int = Field(description="Rewards that it paid.")
    logs_missing: int = Field(
        description="Transactions with more events than a node can tell: theirs are not in the index."
    )


class Seal(Document):
    """A commit seal."""

    validator: Party
    signature: Data
    is_valid: bool


class Skip(Document):
    """A round that did not decide."""

    number: int
    round: int
    validator: Party


class Vote(Document):
    """A vote on membership."""

    number: int
    voter: Party
    subject: Party
    add: bool


class SetChange(Document):
    """A validator that came or went."""

    number: int = Field(description="First block that the changed set decides.")
    validator: Party
    added: bool


class Consensus(Document):
    """How a block was decided."""

    number: int
    round: int | None
    proposer: Party | None
    is_canonical: bool = Field(description="While false, seals and round are what one node recorded.")
    seals: list[Seal]
    skipped: list[Skip]
    vote: Vote | None
    set_changes: list[SetChange]


class Transaction(Document):
    """A transaction of a finalized block."""

    hash: Hash
    block: int
    index: int
    timestamp: int
    time: Time
    sender: Party
    recipient: Party | None
    created: Party | None
    nonce: int
    value_wei: Amount
    method_id: Data | None
    type: int
    succeeded: bool
    gas_limit: int
    gas_used: int
    gas_price_wei: Amount
    fee_wei: Amount
    log_count: int
    transfer_count: int
    internal_count: int
    revert: Data | None = Field(description="What it returned when it failed, cut at 1,024 bytes.")
    direction: str | None = Field(default=None, description="In an account's list: out, in, self or created.")
    input: Data | None = Field(default=None, description="On the transaction's own page.")


class Log(Document):
    """An event of a contract."""

    block: int
    log_index: int
    transaction_index: int
    transaction_hash: Hash
    timestamp: int
    contract: Party
    topics: list[Hash]
    data: Data


class TokenRef(Document):
    """A token in another document. What it calls itself is said by its contract and nobody else."""

    contract: Party
    kind: str = Field(description="ERC-20, ERC-721 or ERC-1155.", examples=["ERC-20"])
    name: str | None
    symbol: str | None
    decimals: int | None


class Transfer(Document):
    """A move of tokens."""

    block: int
    log_index: int
    sub_index: int
    transaction_hash: Hash
    timestamp: int
    token: TokenRef
    sender: Party
    recipient: Party
    amount: Amount
    token_id: Amount | None
    direction: str | None = None


class InternalCall(Document):
    """Value that moved inside a transaction."""

    block: int
    transaction_hash: Hash
    timestamp: int
    trace_path: str
    kind: str = Field(description="transfer, create, create2 or self_destruct.", examples=["transfer"])
    sender: Party
    recipient: Party | None
    value_wei: Amount
    error: str | None
    direction: str | None = None


class Address(Document):
    """An account."""

    address: str
    name: str | None
    is_contract: bool
    balance_wei: Amount | None = Field(description="Now, as the node says; null while no node answers.")
    nonce: int | None
    creator: Party | None
    creation_transaction: Hash | None
    first_block: int | None
    last_block: int | None
    transaction_count: int
    transfer_count: int
    internal_count: int
    log_count: int
    proposed_count: int
    token_count: int


class Holding(Document):
    """Tokens that an account has."""

    token: TokenRef
    token_id: Amount | None
    amount: Amount
    is_consistent: bool = Field(description="False when the token's events do not add up.")


class Token(Document):
    """A contract that sent token events."""

    contract: Party
    kind: str = Field(description="ERC-20, ERC-721 or ERC-1155.", examples=["ERC-20"])
    name: str | None
    symbol: str | None
    decimals: int | None
    transfer_count: int
    holder_count: int
    supply: Amount
    is_consistent: bool
    first_block: int


class Holder(Document):
    """An account that holds a token."""

    account: Party
    token_id: Amount | None
    amount: Amount


class Contract(Document):
    """A contract that a transaction created."""

    contract: Party
    code_hash: Hash | None
    code_size_bytes: int | None
    created_at: int
    match: str | None = Field(description="null, match or exact_match.")
    verified_name: str | None
    compiler_version: str | None
    language: str | None


class Validator(Document):
    """A validator, of today or of the past."""

    account: Party
    is_member: bool
    since_number: int
    last_active: int
    proposed_count: int
    sealed_count: int
    seal_share: float | None = Field(
        description="A certificate holds a quorum, not everybody: below 1 is no fault."
    )
    missed_turns: int
    vote_count: int
    last_proposed: int | None
    last_sealed: int | None
    last_missed: int | None


class Versions(Document):
    """What these pages are served by. Versions of nodes are for operators."""

    api: str = Field(description="Of this API.", examples=["1.0.0"])
    software: str = Field(description="Of the program that serves it.", examples=["metanode/0.1.0"])


class Network(Document):
    """The network, and where to find it."""

    name: str
    chain_id: int
    genesis_hash: Hash | None
    currency_symbol: str
    block_time_s: int
    rpc_url: str
    ws_url: str = Field(description="JSON-RPC over WebSocket; empty where rpc_url is.")
    explorer_url: str
    faucet_url: str
    api_url: str
    reset_policy: str
    versions: Versions


class NetworkStatus(Document):
    """Whether the network moves, as far as the index and a node tell."""

    verdict: str = Field(description="ok, late, stalled, index behind, or unknown while no node answers.")
    reasons: list[str]
    head: int | None = Field(description="Newest block of the node.")
    indexed: int | None
    lag_blocks: int | None
    seconds_since_block: int | None = Field(description="Age of the node's newest block.")


class Chainlist(Document):
    """EIP-3085's object: what wallet_addEthereumChain takes."""

    chainId: str  # noqa: N815 - the standard's names
    chainName: str  # noqa: N815
    nativeCurrency: dict[str, Any]  # noqa: N815
    rpcUrls: list[str]  # noqa: N815
    blockExplorerUrls: list[str]  # noqa: N815


class Totals(Document):
    """Counts over the whole chain."""

    transactions: int
    failed_transactions: int
    accounts: int
    contracts: int
    verified_contracts: int
    tokens: int
    transfers: int
    internal_calls: int
    logs: int
    late_blocks: int
    invalid_seals: int
    untraced_blocks: int
    as_of: AsOf


class Point(Document):
    """Sums over an hour or a day."""

    start: int
    time: Time
    block_count: int
    transaction_count: int
    failed_count: int
    transfer_count: int
    contract_count: int
    new_account_count: int
    active_account_count: int
    gas_used: int
    gas_limit: int
    fees_wei: Amount
    base_fee_mean_wei: Amount
    block_time_s: float | None
    late_blocks: int


class Series(Document):
    """Points, oldest first."""

    interval: str
    items: list[Point]
    as_of: AsOf


class Gas(Document):
    """What a transaction has to pay now."""

    base_fee_wei: Amount
    tip_wei: Amount
    gas_price_wei: Amount


class Result(Document):
    """Something that a search found."""

    kind: str = Field(description="block, transaction, address, validator or token.", examples=["block"])
    key: str
    title: str | None
    is_exact: bool


class Results(Document):
    """What a search found."""

    items: list[Result]


class Signature(Document):
    """What a selector may mean."""

    selector: Data
    text: str
    source: str = Field(
        description="verified: of a contract here whose source is known; common: of a list that comes with the software."
    )


class Signatures(Document):
    """What a selector may mean; a guess, as others may have the same selector."""

    items: list[Signature]


class BalancePoint(Document):
    """A balance after a block."""

    block: int
    timestamp: int
    balance_wei: Amount | None = Field(
        description="null where the node keeps no state of that block any more."
    )


class BalanceHistory(Document):
    """Balances after the blocks in which coins of an account may have moved, newest first."""

    items: list[BalancePoint]
    next: int | None = Field(description="`before` of the next page; null on the last one.")
    as_of: AsOf


class ValidatorPerformance(Document):
    """What a validator did in the last blocks."""

    validator: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    first_block: int
    last_block: int
    proposed_count: int
    sealed_count: int
    certificate_count: int
    seal_share: float | None = Field(
        description="A certificate holds a quorum, not everybody: below 1 is no fault."
    )
    missed_turns: int


class NodeState(Document):
    """A node of the network, as its monitor last saw it."""

    name: str
    status: str
    role: str | None
    block: int
    sync_status: str
    peers: int


class Nodes(Document):
    """The nodes that are watched."""

    verdict: str = Field(description="HEALTHY, SLOW, DEGRADED, NO QUORUM, HALTED, STARTING or UNKNOWN.")
    sentence: str
    items: list[NodeState]


class AlertState(Document):
    """Something that somebody should know."""

    name: str
    subject: str
    severity: str = Field(description="critical, warning or info.")
    text: str = Field(description="Empty where it is about the inside of a node, which is for operators.")
    impact: str
    runbook_url: str
    since: Time
    resolved_at: Time | None


class Alerts(Document):
    """Alerts, the gravest or the newest first."""

    items: list[AlertState]


class ActivityPoint(Document):
    """What people did on a day of UTC."""

    start: int
    time: Time
    active_addresses: int = Field(description="Those that sent a transaction, each once.")
    new_addresses: int = Field(description="Those that no block had named before.")
    transactions: int
    is_over: bool = Field(description="False of the present day.")


class UserActivity(Document):
    """How the network is used."""

    unique_addresses: int = Field(description="All that a block has ever named.")
    transactions: int
    items: list[ActivityPoint] = Field(description="Days, oldest first.")
    as_of: AsOf


class GatewayCalls(Document):
    """JSON-RPC calls of the gateways' callers since the gateways were started, those too that no node was asked for."""

    total: int
    by_method: dict[str, int]
    websocket_connections: int


class Calls(Document):
    """JSON-RPC calls that the watched nodes have answered since they were started."""

    total: int
    by_method: dict[str, int]
    websocket_connections: int
    gateway: GatewayCalls | None = Field(
        description="The same at the RPC gateways, which nodes count as a caller like any other; null where no gateway tells."
    )


class RawTransaction(BaseModel):
    """A signed transaction."""

    model_config = ConfigDict(extra="forbid")

    raw: str = Field(
        pattern=r"^0x([0-9a-fA-F]{2})+$",
        max_length=262_146,
        description="As eth_sendRawTransaction takes it.",
    )


class Sent(Document):
    """A transaction that the network has."""

    hash: Hash


class WaitingTransaction(Document):
    """A transaction that no block has."""

    hash: Hash | None = Field(description="null where so much waits that only a summary of it was read.")
    sender: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    recipient: str | None = Field(pattern=r"^0x[0-9a-fA-F]{40}$", description="null of a new contract.")
    nonce: int
    value_wei: Amount
    max_fee_per_gas_wei: Amount
    method_id: Data | None
    is_executable: bool = Field(description="False while an earlier nonce of the sender is missing.")


class Pending(Document):
    """What waits in the pool of one node."""

    executable: int
    waiting: int = Field(description="For an earlier nonce.")
    items: list[WaitingTransaction] = Field(
        description="The first 100, those that are executable before the others."
    )


class Me(Document):
    """Who asks, and what is left."""

    key: str | None = Field(description="Id of the key; null without one.")
    limit: int
    remaining: int
    reset_s: int = Field(description="Seconds until the count begins anew.")
    scopes: list[str] = Field(description="What the key is for: read, faucet, verify.")
    expires_at: Time | None
    last_used_at: Time | None = Field(description="When the key was used before this, to the minute.")


class ProblemError(Document):
    """One wrong part of a request."""

    pointer: str
    message: str


class ProblemDocument(Document):
    """RFC 9457: what went wrong."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = Field(description="The request's id.")
    code: str
    hint: str | None = None
    retry_after: int | None = None
    errors: list[ProblemError] | None = None
