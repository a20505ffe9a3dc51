"""The rows of docs/evidence/bad-inputs.md that are about a node's callers, its disk and its clock: which test asserts each.

Rows 15 and 16 are about an Engine API that nobody offers yet; every way to break 19 to 29 is in tests/integration/p2p and tests/unit/p2p, 30 to 33 in tests/integration/floods
and in tests/integration/faults, 30 to 35 and 38 in tests/unit/consensus and tests/simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HERE: Final = "tests/integration/hostile"
FAULTS: Final = "tests/integration/faults"
SERVER: Final = "rust/rpc/tests"
DECODING: Final = "rust/rpc/src"
POOL: Final = "rust/engine/src/pool/tests"


@dataclass(frozen=True)
class Row:
    """One row."""

    bad_input: str
    safe_result: str
    processes: tuple[str, ...]
    """Tests on real nodes, each holding the common bar: that of `bar.py`, or of tests/integration/faults/bar.py, where a node may have to end."""
    units: tuple[str, ...] = ()
    """Tests of the parts alone, with the limits made small."""


ROWS: Final = {
    1: Row(
        "JSON `[` x 100,000", "-32700 within 100 ms",
        (f"{HERE}/test_bodies.py::test_row_01_deep_json_is_refused_at_once",),
        (f"{SERVER}/calls.rs::deep_json_is_refused", f"{DECODING}/envelope.rs::a_hostile_body_takes_work_in_proportion_to_its_size"),
    ),
    2: Row(
        "a number of a million digits, NaN, lone surrogates", "-32700 or -32602, no load",
        (f"{HERE}/test_bodies.py::test_row_02_what_is_no_number_and_no_text_is_refused_without_work",),
        (
            f"{SERVER}/calls.rs::hostile_numbers_and_strings_are_refused",
            f"{DECODING}/router/own.rs::a_hostile_parameter_takes_work_in_proportion_to_its_size",
        ),
    ),
    3: Row(
        "a batch of 10,000, of none, of batches", "one -32600; nested ones refused",
        (f"{HERE}/test_bodies.py::test_row_03_a_batch_has_at_most_a_hundred_calls_and_no_batches",),
        (f"{SERVER}/calls.rs::a_batch_over_the_limit_is_one_error",),
    ),
    4: Row(
        "a body of 100 MiB, in chunks, without a length; a gzip bomb", "413 at the limit, 415 for gzip, closed",
        (f"{HERE}/test_bodies.py::test_row_04_a_body_over_the_limit_is_not_read",),
        (f"{SERVER}/limits.rs::a_body_over_the_limit_is_refused_and_the_connection_closed",),
    ),
    5: Row(
        "slow heads, slow bodies, slow reading, 500 sockets", "closed within 15 s, others served",
        (
            f"{HERE}/test_slow_clients.py::test_row_05_five_hundred_slow_clients_are_closed_and_others_served",
            f"{HERE}/test_slow_clients.py::test_row_05_large_requests_are_bounded_in_sum",
            f"{HERE}/test_slow_clients.py::test_row_05_small_answers_that_nobody_reads_are_bounded_in_sum",
            f"{HERE}/test_slow_clients.py::test_row_05_clients_that_do_not_read_are_closed_and_cost_no_memory",
        ),
        (
            f"{SERVER}/limits.rs::slow_peers_are_closed",
            f"{SERVER}/limits.rs::who_does_not_take_an_answer_is_closed",
            f"{SERVER}/limits.rs::slow_peers_hold_nobody_up",
            f"{SERVER}/limits.rs::who_never_asks_anything_is_closed_like_a_slow_head",
            f"{SERVER}/limits.rs::an_address_that_does_not_read_leaves_room_for_the_answers_of_others",
            f"{SERVER}/limits.rs::a_large_request_whose_caller_is_gone_keeps_its_place_until_its_turn_has_come",
            f"{SERVER}/websocket.rs::requests_in_flight_are_bounded_in_bytes_and_batches_weigh_more_than_they_have",
        ),
    ),
    6: Row(
        "another Host, another Origin of the web", "403, no CORS header",
        (f"{HERE}/test_browsers.py::test_row_06_another_host_and_another_origin_are_forbidden",),
        (f"{SERVER}/access.rs::a_host_that_is_not_ours_is_forbidden", f"{SERVER}/access.rs::origins_are_told_apart"),
    ),
    7: Row(
        "a POST that a form can send", "415",
        (f"{HERE}/test_browsers.py::test_row_07_what_a_form_can_send_is_not_read",),
        (f"{SERVER}/access.rs::only_json_content_types_are_read",),
    ),
    8: Row(
        "admin_, debug_, personal_, votes on the public port", "-32601, the text of an unknown method",
        (f"{HERE}/test_browsers.py::test_row_08_what_is_not_offered_reads_like_what_does_not_exist",),
        (f"{SERVER}/access.rs::each_listener_offers_its_namespaces_and_hides_the_rest",),
    ),
    9: Row(
        "eth_getLogs over everything, 10,000 addresses, backwards, 2^256", "-32602 or a limit within 200 ms",
        (f"{HERE}/test_costly_calls.py::test_row_09_searches_without_bounds_are_refused_at_once",),
    ),
    10: Row(
        "eth_call without an end, 2^64 - 1 gas, 2^40 memory, 1,024 calls deep", "out of gas or time within 5 s; other calls go on",
        (
            f"{HERE}/test_costly_calls.py::test_row_10_code_without_an_end_runs_out_of_gas_or_time_and_others_are_served",
            f"{HERE}/test_costly_calls.py::test_row_10_answers_of_megabytes_are_bounded_in_sum",
            f"{HERE}/test_costly_calls.py::test_row_10_calls_that_take_much_memory_are_bounded_in_sum",
            f"{HERE}/test_costly_calls.py::test_row_10_deep_memory_takes_no_more_where_traces_have_been",
        ),
        (
            f"{SERVER}/limits.rs::an_address_with_many_costly_calls_does_not_hold_up_others",
            f"{SERVER}/limits.rs::what_calls_hold_while_they_run_is_bounded_in_sum",
        ),
    ),
    11: Row(
        "10,000 overrides in estimates, access lists, simulations", "a limit",
        (f"{HERE}/test_costly_calls.py::test_row_11_ten_thousand_overrides_are_refused",),
    ),
    12: Row(
        "10,000 subscriptions on a socket, 1,000 sockets", "refused after the limit, memory back",
        (
            f"{HERE}/test_websockets.py::test_row_12_ten_thousand_subscriptions_on_one_socket_end_at_the_limit",
            f"{HERE}/test_websockets.py::test_row_12_a_thousand_sockets_are_held_to_the_limit_and_leave_nothing",
            f"{HERE}/test_websockets.py::test_row_12_filters_without_number_take_bounded_memory",
        ),
        (
            f"{SERVER}/subscriptions.rs::a_connection_has_a_limited_number_of_subscriptions",
            f"{SERVER}/limits.rs::large_log_filters_share_a_bounded_memory_and_small_ones_are_always_there",
        ),
    ),
    13: Row(
        "a subscriber that never reads", "queue bounded, closed; others hear everything",
        (f"{HERE}/test_websockets.py::test_row_13_who_never_reads_is_closed_and_who_reads_hears_everything",),
        (
            f"{SERVER}/subscriptions.rs::a_subscriber_that_never_reads_is_closed_and_others_hear_everything",
            f"{SERVER}/subscriptions.rs::a_block_with_more_logs_than_the_queue_has_places_is_told_whole",
        ),
    ),
    14: Row(
        "a frame of 64 MiB, 10^5 empty fragments, floods of pings, a deflate bomb",
        "closed: 1009 for the frame and the fragments, 1002 for the bomb, 1008 for pings",
        (
            f"{HERE}/test_websockets.py::test_row_14_frames_that_are_wrong_end_the_connection",
            f"{HERE}/test_websockets.py::test_row_14_floods_of_pings_and_of_empty_fragments_are_closed",
        ),
        (
            f"{SERVER}/websocket.rs::broken_and_oversized_frames_close_with_their_code",
            f"{SERVER}/websocket.rs::floods_of_small_frames_are_closed_with_their_code",
            f"{DECODING}/fragments.rs::a_hundred_empty_fragments_are_a_message_and_one_more_is_a_flood",
            f"{SERVER}/websocket.rs::pings_without_end_are_no_request_that_grows",
        ),
    ),
    17: Row(
        "transactions that are none: bad RLP, trailing bytes, leading zeros, high s, other chains, unknown types, 129 KB",
        "the standard text, the pool as it was",
        (f"{HERE}/test_transactions.py::test_row_17_transactions_that_are_wrong_are_refused_with_the_standard_text",),
        (f"{POOL}/refusals.rs::a_refused_transaction_gets_the_text_of_geth",),
    ),
    18: Row(
        "10,000 transactions of the future from 1,000 senders, replacements of 9 %, delegations", "pool capped, what can run is kept",
        (f"{HERE}/test_transactions.py::test_row_18_a_flood_of_the_future_is_capped_and_what_can_run_is_kept",),
    ),
    19: Row(
        "first packets of RLPx cut anywhere, of no or of too much length", "closed within 5 s, nothing said",
        (f"{HERE}/test_peers.py::test_row_19_first_packets_that_are_none_are_closed_in_time",),
    ),
    20: Row(
        "points that are not on the curve", "refused like a bad MAC",
        (f"{HERE}/test_peers.py::test_row_19_first_packets_that_are_none_are_closed_in_time",),
    ),
    21: Row(
        "hellos with too many capabilities, of another version or identity", "a disconnect with the reason that fits",
        (f"{HERE}/test_peers.py::test_row_21_hellos_that_lie_are_told_why", f"{HERE}/test_peers.py::test_row_21_and_22_hellos_and_frames_without_measure_cost_nothing"),
    ),
    22: Row(
        "frames of 16 MiB, snappy of 4 GiB, no frames", "a disconnect before anything is allocated",
        (f"{HERE}/test_peers.py::test_row_21_and_22_hellos_and_frames_without_measure_cost_nothing",),
    ),
    23: Row(
        "a status of another chain, or twice", "a disconnect",
        (f"{HERE}/test_peers.py::test_row_23_peers_of_another_chain_are_let_go",),
    ),
    24: Row(
        "questions for no or too many blocks", "a disconnect",
        (f"{HERE}/test_peers.py::test_row_24_to_26_questions_answers_and_claims_beyond_measure_end_the_connection_or_are_ignored",),
    ),
    25: Row(
        "answers that nobody asked for", "ignored and charged",
        (f"{HERE}/test_peers.py::test_row_24_to_26_questions_answers_and_claims_beyond_measure_end_the_connection_or_are_ignored",),
    ),
    26: Row(
        "a claimed head that is lowered", "the peer is let go",
        (f"{HERE}/test_peers.py::test_row_24_to_26_questions_answers_and_claims_beyond_measure_end_the_connection_or_are_ignored",),
    ),
    27: Row(
        "datagrams that are expired, too long, without a good hash or signature", "no answer",
        (f"{HERE}/test_peers.py::test_row_27_to_29_datagrams_without_a_proof_of_their_sender_are_not_answered",),
    ),
    28: Row(
        "findnode and pongs without an endpoint proof", "not a byte",
        (f"{HERE}/test_peers.py::test_row_27_to_29_datagrams_without_a_proof_of_their_sender_are_not_answered",),
    ),
    29: Row(
        "thousands of node ids from one address", "no room for them",
        (f"{HERE}/test_peers.py::test_row_27_to_29_datagrams_without_a_proof_of_their_sender_are_not_answered",),
    ),
    36: Row(
        "disk full, read-only at the start or from some moment on, EIO, torn tails, flipped bits", "a clean stop with the cause, or repaired; never served",
        (
            f"{FAULTS}/test_disks.py::test_a_node_whose_disk_takes_no_more_ends_with_a_sentence_and_loses_nothing",
            f"{FAULTS}/test_failing_disks.py::test_a_node_whose_disk_fails_ends_and_one_whose_disk_is_slow_costs_its_own_turns",
            f"{FAULTS}/test_damage.py::test_damaged_files_are_repaired_or_refused_and_never_served",
        ),
    ),
    37: Row(
        "a clock a day ahead, an hour behind, set while the node runs",
        "no halt of others; own proposals refused while it is ahead; said in its log",
        (f"{FAULTS}/test_clocks.py::test_a_wrong_clock_costs_its_own_turns_and_nothing_else",),
    ),
}  # fmt: skip
