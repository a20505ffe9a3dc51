"""Every event that a node logs: its name, levels, facts and meaning. Names are an interface; people search and alert by them.

A test compares this with every call of a logger in `metanode`, and `docs/reference/logs.md` is made from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event."""

    name: str
    levels: tuple[str, ...]
    """More than one where it depends on how grave it is."""
    fields: tuple[str, ...]
    """Beside `event`, `level`, `timestamp`, and `exception` where there is a trace. Not every line has all of them."""
    meaning: str


def _event(name: str, levels: str, fields: str, meaning: str) -> Event:
    return Event(name, tuple(levels.split()), tuple(fields.split()), meaning)


GROUPS: Final[dict[str, tuple[Event, ...]]] = {
    "The node": (
        _event(
            "node_starting", "info", "role kind network chain_id genesis validator",
            "The configuration is read and the data is about to be opened. `validator` is its address, or nothing in a follower.",
        ),
        _event(
            "node_ready", "info", "enode rpc ws private metrics api dashboard",
            "The node listens; each field is the address of a listener that is configured.",
        ),
        _event(
            "node_failed", "error", "reason",
            "The node ends with an exit code that is not 0: a part of it, such as its disk, does not do its work. `reason` says which and what to do.",
        ),
        _event("node_stopped", "info", "", "Everything is written and closed. Without this line the process was killed."),
        _event("configuration_warning", "warning", "text", "The configuration can be followed, but is probably not meant so."),
        _event(
            "clock_offset", "info warning error", "state offset_ms than",
            "This clock is off the validators' median: from 250 ms a warning, from 500 ms an error; info when it is well again. Set the clock (NTP).",
        ),
        _event("service_reachable", "info", "service address", "PostgreSQL or Redis answers, at the start or again."),
        _event("service_unreachable", "warning", "service address reason", "PostgreSQL or Redis does not answer. The node goes on without it."),
    ),
    "Blocks and consensus": (
        _event("block_finalized", "info", "height round hash transactions gas seals proposer", "A block is durable, executed and visible."),
        _event(
            "round_entered", "info", "height round proposer",
            "A later round has begun, because the one before brought no decision. Now and then harmless; often or high: look at the proposers before.",
        ),
        _event("mode_changed", "info", "mode height", "How far the node takes part: syncing, catching up or live."),
        _event(
            "consensus_recovered", "info", "height head",
            "After a start: the decided height in node.db, and the height that the execution engine has.",
        ),
        _event(
            "consensus_halted", "error", "reason fork",
            "Going on could contradict what is decided. The node signs nothing more, and stays up to show why; an operator must look.",
        ),
        _event(
            "evidence_found", "error", "rule height round author step",
            "A validator has signed two messages that no honest one signs: two contents in one place (equivocation), or a round change that forgets "
            "its own commit. The proof is kept; `ibft_getEvidence` shows it. One line for each height of a liar, however many proofs there are.",
        ),
        _event(
            "certificate_refused", "warning", "peer reason",
            "A peer has sent a certificate that proves nothing.",
        ),
        _event("block_refused", "warning", "height round reason", "A proposal, or a certified block, breaks a rule of consensus, or its execution does. Once for each round that the node is in, and once at a height for all other rounds."),
        _event("block_invalid", "warning", "height reason", "The execution engine finds a proposed block invalid, and why."),
        _event(
            "proposal_ahead_of_clock", "warning", "height ms",
            "A proposal's time is so many milliseconds ahead of this clock; it is held back as long. One of the two clocks is wrong.",
        ),
        _event("body_malformed", "warning", "height reason", "A peer has answered the request for a block with something else."),
        _event(
            "watermark_lost", "warning", "address",
            "signer.log is missing: the key signs nothing until that cannot contradict what it has signed before.",
        ),
        _event(
            "validator_key_in_use", "error", "height round",
            "Another process signs with this validator's key. This one signs nothing more: stop one of the two, then start this one again.",
        ),
        _event(
            "validator_key_met", "error", "peer",
            "A peer has proven to hold this validator's key, and this node has just started: it signs nothing. Stop one of the two.",
        ),
        _event("signing_begins", "info", "height", "From this height on the key signs, after a lost watermark."),
        _event("consensus_message_malformed", "debug", "peer reason", "A consensus message could not be decoded, or its signature is none."),
    ),
    "Execution and sync": (
        _event("build_failed", "warning", "height round reason", "No block could be built in time; the round is left to the next proposer."),
        _event("execution_unavailable", "warning", "height reason", "The execution client did not answer about a decided block; it is asked again."),
        _event(
            "execution_replay_incomplete", "warning", "head tip",
            "Decided blocks above `head` are in no store of this node; they are fetched from peers.",
        ),
        _event(
            "execution_blocks_lost", "warning", "head was",
            "The execution client has restarted without its last blocks; it is given them again, and the node signs nothing meanwhile.",
        ),
        _event("verdict_unavailable", "debug", "height reason", "The execution client cannot judge a proposal yet; it is asked again."),
        _event("import_interrupted", "debug", "height reason", "The client did not take several decided blocks in one go; they are given one by one."),
        _event("sync_started", "info", "height target", "The node is behind and fetches blocks."),
        _event("sync_progress", "info", "height", "So far blocks are imported; logged at round heights."),
        _event("sync_paused", "debug", "height reason", "No peer could give the next blocks; tried again soon."),
        _event("sync_unanswered", "debug", "peer height reason", "A peer did not give the blocks that it was asked for; it rests."),
        _event("sync_overtaken", "info", "peer height", "A peer was slow, and another one asked later sent the same blocks sooner."),
        _event("sync_refused", "warning", "peer height reason", "A peer has given blocks that are not the decided ones."),
    ),
    "Peers": (
        _event("network_listening", "info", "enode listening", "Peers can connect: the address that others configure, and the one that is listened on."),
        _event(
            "advertised_address_chosen", "info", "address because hint",
            "No address for others is configured: this one is told to them, and why; peers have to reach it.",
        ),
        _event("advertised_address_unknown", "warning", "because hint", "No address can be told to others: nobody calls this node until one is configured."),
        _event("advertised_name_unresolved", "warning", "host error", "The name that is told to others does not resolve; tried again."),
        _event(
            "peer_session", "info debug", "node address client inbound seconds reason by detail lines_left_out",
            "A connection has ended, and why. Debug when it never became one of our network, or when peers that nobody needs have filled their share of the log: "
            "`lines_left_out` counts what was left out of it before this line.",
        ),
        _event(
            "peer_offence", "warning", "peer offence detail lines_left_out",
            "A peer has broken the protocol; enough of it and it is banned for a while. Of peers that nobody needs a line in two seconds is said; metrics count all.",
        ),
        _event(
            "peer_dial_failed", "warning debug", "address error",
            "A peer could not be reached. Warning for configured peers and validators, debug for found ones; tried again.",
        ),
        _event("peer_pinned", "info", "address node_id", "An address without a key has answered; from now on only this key is accepted there."),
        _event("peer_pin_mismatch", "error", "address error", "Another key answers at an address than before: a new node, or somebody in between."),
        _event("dial_target_is_ourselves", "debug", "address", "A configured address is this node's own."),
        _event("inbound_refused", "debug", "reason", "A connection was closed before a word was said, because of a limit."),
        _event("peer_request_unanswered", "warning", "peer error", "A peer's request could not be answered."),
        _event("transactions_not_taken", "warning", "error", "The pool could not look at transactions of a peer."),
        _event("stored_record_ignored", "warning", "error", "A stored address of a validator is not readable; it is gossiped again."),
        _event("record_not_saved", "warning", "error", "A validator's address could not be stored."),
        _event("discovery_node", "debug", "node ip", "Discovery has found a node that answers."),
        _event("discovery_not_sent", "debug", "ip error", "The system does not send to an address that somebody named."),
        _event("discovery_socket_error", "debug", "error", "Nobody listens at an address that discovery has tried."),
    ),
    "Mistakes of ours": (
        _event("peer_message_failed", "error", "peer code", "A message of a peer met a defect; the connection is closed. Please report it."),
        _event("peer_session_failed", "error", "peer error", "A connection met a defect and is closed. Please report it."),
        _event("peer_gone_not_handled", "error", "peer", "The end of a connection met a defect. Please report it."),
        _event("transactions_not_handled", "error", "peer", "Transactions of a peer met a defect. Please report it."),
        _event("dial_loop_failed", "error", "address", "Calling an address met a defect; it is not called any more. Please report it."),
        _event("rpc_handler_failed", "error", "method listener peer", "A JSON-RPC call met a defect and was answered with an internal error. Please report it."),
        _event(
            "rpc_handler_unavailable", "warning", "method listener peer error",
            "A JSON-RPC call could not be answered now: the storage or the engine is not available.",
        ),
    ),
}  # fmt: skip
"""By what an operator looks for."""

EVENTS: Final[dict[str, Event]] = {event.name: event for group in GROUPS.values() for event in group}
