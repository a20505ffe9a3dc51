from random import Random

from metanode.p2p.ports import Priority
from metanode.p2p.queue import Outbound, OutboundQueue


def outbound(priority: Priority, number: int = 0, size: int = 10) -> Outbound:
    return Outbound(priority=priority, code=number, compressed=bytes(size))


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
