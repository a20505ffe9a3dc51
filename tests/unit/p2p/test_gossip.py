import pytest

from metanode.crypto.hashing import keccak256
from metanode.p2p import protocol
from metanode.p2p.enode import NodeId
from metanode.p2p.errors import PeerFault
from metanode.p2p.gossip import ASKED_PER_PEER_MAX, Assemblies, HashSet, Kept, RecentMessages
from metanode.p2p.ports import Priority
from metanode.p2p.protocol import Large, Part
from metanode.primitives.types import Hash32

A, B, C = (NodeId(bytes([number]) * 64) for number in (1, 2, 3))
RAW = bytes(range(256)) * 1000
DIGEST = keccak256(RAW)


def pieces(raw: bytes = RAW, digest: Hash32 | None = None) -> tuple[Large, list[Part]]:
    head, *parts = protocol.large_messages(Priority.PROPOSAL, digest or keccak256(raw), raw)
    assert isinstance(head, Large)
    return head, [part for part in parts if isinstance(part, Part)]


def begin(assemblies: Assemblies, peer: NodeId = A, *, is_wanted: bool = True) -> list[Part]:
    head, parts = pieces()
    assemblies.upon_large(peer, head, is_wanted=is_wanted, now=0.0)
    return parts


def test_parts_in_order_make_up_the_message() -> None:
    assemblies = Assemblies()
    parts = begin(assemblies)
    results = [assemblies.upon_part(A, part, 0.0) for part in parts]
    assert results == [None] * (len(parts) - 1) + [(Priority.PROPOSAL, RAW)]
    assert assemblies.bytes == 0


@pytest.mark.parametrize(
    "desc", ["never begun", "by another peer", "out of order", "twice", "too short", "too long"]
)
def test_a_part_out_of_place_is_a_fault(desc: str) -> None:
    assemblies = Assemblies()
    first, second, *_ = pieces()[1]
    peer, part = A, first
    if desc != "never begun":
        begin(assemblies, B if desc == "by another peer" else A)
    if desc == "out of order":
        part = second
    elif desc == "twice":
        assemblies.upon_part(A, first, 0.0)
    elif desc == "too short":
        part = Part(digest=DIGEST, index=0, data=first.data[:-1])
    elif desc == "too long":
        part = Part(digest=DIGEST, index=0, data=first.data + b"\x00")
    with pytest.raises(PeerFault):
        assemblies.upon_part(peer, part, 0.0)


def test_a_message_of_another_hash_is_a_fault() -> None:
    assemblies = Assemblies()
    head, parts = pieces(digest=keccak256(b"something else"))
    assemblies.upon_large(A, head, is_wanted=True, now=0.0)
    for part in parts[:-1]:
        assemblies.upon_part(A, part, 0.0)
    with pytest.raises(PeerFault, match="another hash"):
        assemblies.upon_part(A, parts[-1], 0.0)
    assert assemblies.bytes == 0


def test_a_peer_begins_two_messages_at_a_time_and_no_more() -> None:
    assemblies = Assemblies()
    for number in range(2):
        assemblies.upon_large(A, pieces(RAW + bytes([number]))[0], is_wanted=True, now=0.0)
    with pytest.raises(PeerFault, match="more than 2"):
        assemblies.upon_large(A, pieces(RAW + b"2")[0], is_wanted=True, now=0.0)
    with pytest.raises(PeerFault, match="on its way already"):
        assemblies.upon_large(A, pieces(RAW + b"0"[:0] + bytes([0]))[0], is_wanted=True, now=0.0)
    assemblies.upon_large(B, pieces(RAW + b"2")[0], is_wanted=True, now=0.0)


def test_a_promise_of_twelve_megabytes_costs_nothing_until_they_come() -> None:
    assemblies = Assemblies()
    for number in range(100):
        peer = NodeId(number.to_bytes(64, "big"))
        head = Large(priority=Priority.PROPOSAL, digest=DIGEST, size=protocol.LARGE_BYTES_MAX)
        assemblies.upon_large(peer, head, is_wanted=True, now=0.0)
    assert assemblies.bytes == 0


def test_all_peers_together_cannot_make_us_keep_more_than_the_bound(monkeypatch) -> None:
    monkeypatch.setattr("metanode.p2p.gossip.ASSEMBLIES_BYTES_MAX", 3 * protocol.PART_BYTES)
    assemblies = Assemblies()
    for number in range(6):
        peer = NodeId(number.to_bytes(64, "big"))
        head, parts = pieces(RAW + bytes([number]))
        assemblies.upon_large(peer, head, is_wanted=True, now=0.0)
        assert assemblies.upon_part(peer, parts[0], 0.0) is None
        assert assemblies.bytes <= 3 * protocol.PART_BYTES


def test_what_we_have_already_passes_without_being_kept() -> None:
    assemblies = Assemblies()
    parts = begin(assemblies, is_wanted=False)
    assert [assemblies.upon_part(A, part, 0.0) for part in parts] == [None] * len(parts)
    assert assemblies.bytes == 0


def test_a_message_that_has_come_from_elsewhere_is_not_kept_twice() -> None:
    assemblies = Assemblies()
    slow, fast = begin(assemblies, A), begin(assemblies, B)
    assemblies.upon_part(A, slow[0], 0.0)
    done = [assemblies.upon_part(B, part, 0.0) for part in fast][-1]
    assert done is not None
    assert assemblies.bytes == 0
    assert [assemblies.upon_part(A, part, 0.0) for part in slow[1:]] == [None] * (len(slow) - 1)


def test_one_announcer_is_asked_and_the_next_when_it_does_not_deliver() -> None:
    assemblies = Assemblies()
    assert assemblies.upon_announce(A, DIGEST, 0.0)
    assert not assemblies.upon_announce(B, DIGEST, 0.1)
    assert not assemblies.upon_announce(C, DIGEST, 0.1)
    assert assemblies.overdue(0.9) == []
    assert assemblies.overdue(1.0) == [(B, DIGEST)]
    assemblies.upon_gone(B)
    assert assemblies.overdue(1.1) == [(C, DIGEST)]
    assert assemblies.overdue(2.2) == []
    assert assemblies.upon_announce(A, DIGEST, 3.0), "after everybody failed it may be asked for again"


def test_a_peer_that_announces_without_end_takes_no_places_of_others() -> None:
    assemblies = Assemblies()
    invented = [keccak256(bytes([number % 256, number // 256])) for number in range(10_000)]
    asked = [digest for digest in invented if assemblies.upon_announce(A, digest, 0.0)]
    assert len(asked) == ASKED_PER_PEER_MAX
    assert assemblies.upon_announce(B, DIGEST, 0.0)
    assemblies.forget(asked[0])
    assert assemblies.upon_announce(A, invented[-1], 0.5), "its places are free again once something has come"
    assert assemblies.overdue(2.0) == []
    assert assemblies.upon_announce(A, invented[-2], 2.0), "or once it is given up"


def test_who_delivers_slowly_but_steadily_is_waited_for() -> None:
    assemblies = Assemblies()
    assert assemblies.upon_announce(A, DIGEST, 0.0)
    assemblies.upon_announce(B, DIGEST, 0.0)
    parts = begin(assemblies, A)
    for number, part in enumerate(parts[:-1]):
        assemblies.upon_part(A, part, 0.9 * (number + 1))
        assert assemblies.overdue(0.9 * (number + 1)) == []


def test_nobody_is_asked_for_what_is_being_pushed() -> None:
    assemblies = Assemblies()
    begin(assemblies, A)
    assert not assemblies.upon_announce(B, DIGEST, 0.0)


def test_recent_messages_are_bounded_in_number_and_bytes() -> None:
    recent = RecentMessages(messages_max=3, bytes_max=100)
    kept = [
        Kept(priority=Priority.VOTE, digest=keccak256(bytes([number])), raw=bytes(30)) for number in range(5)
    ]
    for item in [*kept, kept[-1]]:
        recent.add(item)
    assert [recent.get(item.digest) for item in kept] == [None, None, *kept[2:]]
    recent.add(Kept(priority=Priority.VOTE, digest=DIGEST, raw=bytes(90)))
    assert recent.bytes == 90


def test_a_hash_set_forgets_what_was_used_least_recently() -> None:
    hashes = HashSet(3)
    for name in (b"a", b"b", b"c", b"a", b"d"):
        hashes.add(keccak256(name))
    assert [keccak256(name) in hashes for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


def test_a_hash_set_forgets_what_was_not_added_between_two_looks() -> None:
    hashes = HashSet(3)
    hashes.add(keccak256(b"said once"))
    hashes.add(keccak256(b"repeated"))
    hashes.grow_old()
    assert keccak256(b"said once") in hashes
    hashes.add(keccak256(b"repeated"))
    hashes.grow_old()
    assert keccak256(b"said once") not in hashes
    assert keccak256(b"repeated") in hashes
    assert len(hashes) == 1


def test_old_and_new_hashes_share_the_same_bound() -> None:
    hashes = HashSet(3)
    for name in (b"a", b"b", b"c"):
        hashes.add(keccak256(name))
    hashes.grow_old()
    for name in (b"d", b"e"):
        hashes.add(keccak256(name))
    assert [keccak256(name) in hashes for name in (b"a", b"b", b"c", b"d", b"e")] == [
        False,
        False,
        True,
        True,
        True,
    ]
