from random import Random

from metanode.p2p import protocol
from metanode.p2p.ports import Priority
from metanode.p2p.queue import Outbound, OutboundLarge, OutboundQueue
from metanode.primitives.types import Hash32


def outbound(priority: Priority, number: int = 0, size: int = 10) -> Outbound:
    return Outbound(priority=priority, code=number, compressed=bytes(size))


def large(
    number: int, parts: int = 3, *, priority: Priority = Priority.PROPOSAL, size: int = 10
) -> OutboundLarge:
    """A large message whose head has the code 10 * number, and its parts the codes after that."""
    return OutboundLarge(
        digest=Hash32(bytes([number]) * 32),
        head=outbound(priority, 10 * number, size),
        parts=tuple(outbound(Priority.PART, 10 * number + 1 + index, size) for index in range(parts)),
    )


def drain(queue: OutboundQueue) -> list[Outbound]:
    drained = []
    while (item := queue.pop()) is not None:
        drained.append(item)
    return drained


def test_messages_leave_by_priority_and_then_by_age() -> None:
    random = Random(7)
    items = [outbound(random.choice(list(Priority)), number) for number in range(200)]
    queue = OutboundQueue()
    for item in items:
        assert queue.push(item)
    assert drain(queue) == sorted(items, key=lambda item: item.priority)
    assert queue.bytes == len(queue) == 0


def test_a_vote_overtakes_a_large_answer() -> None:
    queue = OutboundQueue()
    assert queue.push_all([outbound(Priority.SYNC, 1, 65_536)] * 100)
    assert queue.push(outbound(Priority.VOTE, 2))
    assert [item.code for item in drain(queue)[:2]] == [2, 1]


def test_when_votes_do_not_fit_the_oldest_go() -> None:
    queue = OutboundQueue(messages_max=3)
    for number in range(5):
        assert queue.push(outbound(Priority.VOTE, number))
    assert queue.dropped == 2
    assert [item.code for item in drain(queue)] == [2, 3, 4]


def test_when_other_messages_do_not_fit_the_newest_is_refused() -> None:
    queue = OutboundQueue(bytes_max=25)
    assert [queue.push(outbound(Priority.TRANSACTIONS, number)) for number in range(3)] == [True, True, False]
    assert queue.dropped == 1
    assert [item.code for item in drain(queue)] == [0, 1]


def test_of_several_parts_all_are_queued_or_none() -> None:
    queue = OutboundQueue(bytes_max=100, messages_max=4)
    assert not queue.push_all([outbound(Priority.PROPOSAL)] + [outbound(Priority.PART)] * 5)
    assert not queue.push_all([outbound(Priority.PART, size=60)] * 2)
    assert len(queue) == queue.bytes == 0
    assert queue.push_all([outbound(Priority.PROPOSAL)] + [outbound(Priority.PART)] * 4)


def test_the_head_of_a_third_large_message_waits_until_the_first_is_through() -> None:
    queue = OutboundQueue()
    for number in (1, 2, 3):
        assert queue.push_large(large(number))
    assert [item.code for item in drain(queue)] == [10, 20, 11, 12, 13, 30, 21, 22, 23, 31, 32, 33]
    assert queue.bytes == len(queue) == 0


def test_a_vote_and_a_small_proposal_overtake_the_parts_of_a_large_one() -> None:
    queue = OutboundQueue()
    assert queue.push_large(large(1))
    assert [queue.pop(), queue.pop()] == [large(1).head, large(1).parts[0]]
    assert queue.push(outbound(Priority.PROPOSAL, 7))
    assert queue.push(outbound(Priority.VOTE, 8))
    assert [item.code for item in drain(queue)] == [8, 7, 12, 13]


def test_a_large_message_on_its_way_is_not_sent_twice_and_after_that_it_is() -> None:
    queue = OutboundQueue()
    assert queue.push_large(large(1))
    assert queue.push_large(large(1))
    queue.pop()
    assert queue.push_large(large(1))
    assert [item.code for item in drain(queue)] == [11, 12, 13]
    assert queue.push_large(large(1))
    assert len(queue) == 4


def test_a_large_message_is_queued_whole_or_not_at_all_and_its_head_makes_room_for_nobody() -> None:
    queue = OutboundQueue(bytes_max=65, messages_max=5)
    assert queue.push_large(large(1))
    assert not queue.push_large(large(2))
    assert queue.dropped == 4
    assert queue.push(outbound(Priority.PROPOSAL, 7))
    assert queue.push(outbound(Priority.PROPOSAL, 8))
    assert queue.push(outbound(Priority.PROPOSAL, 9)), "takes the place of an older one"
    assert [item.code for item in drain(queue)] == [8, 9, 10, 11, 12, 13]


def test_at_no_time_are_more_large_messages_begun_than_a_peer_takes() -> None:
    random = Random(11)
    queue = OutboundQueue()
    begun: dict[int, int] = {}
    for step in range(3000):
        if random.randrange(12) == 0:
            number, parts = step % 250, random.randrange(1, 6)
            priority = random.choice([Priority.VOTE, Priority.PROPOSAL, Priority.CERTIFICATE])
            queue.push_large(large(number, parts, priority=priority))
        if random.randrange(4) == 0:
            queue.push(outbound(random.choice(list(Priority)), 10_000))
        item = queue.pop()
        if item is None or item.code == 10_000:
            continue
        number, place = divmod(item.code, 10)
        if place == 0:
            assert number not in begun
            begun[number] = 0
        else:
            assert place == begun[number] + 1, "in order"
            begun[number] = place
        if all(waiting.digest[0] != number for waiting in queue._begun):
            begun.pop(number, None)
        assert len(begun) <= protocol.LARGES_AT_A_TIME_MAX


def test_a_queue_never_holds_more_than_its_bounds() -> None:
    random = Random(3)
    queue = OutboundQueue(bytes_max=500, messages_max=8)
    for number in range(2000):
        item = outbound(random.choice(list(Priority)), number, random.randrange(200))
        if random.randrange(3):
            queue.push(item)
        else:
            queue.push_all([item] * random.randrange(1, 4))
        if not random.randrange(4):
            queue.pop()
        assert 0 <= queue.bytes <= 500
        assert len(queue) <= 8 * len(Priority)
    drain(queue)
    assert queue.bytes == 0
