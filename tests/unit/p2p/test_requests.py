import pytest

from metanode.p2p import protocol
from metanode.p2p.errors import PeerFault
from metanode.p2p.protocol import Response
from metanode.p2p.requests import Requests, UnaskedResponse

ANSWER = bytes(range(256)) * 600


def parts(request_id: int, answer: bytes = ANSWER) -> list[Response]:
    return [
        Response(
            request_id=request_id,
            size=len(answer),
            index=index,
            data=answer[index * protocol.PART_BYTES : (index + 1) * protocol.PART_BYTES],
        )
        for index in range(protocol.part_count(len(answer)))
    ]


@pytest.mark.parametrize("answer", [b"", b"a", bytes(65_536), ANSWER])
def test_an_answer_is_put_together_from_its_parts(answer: bytes) -> None:
    requests = Requests()
    request_id = requests.open(2**20)
    results = [requests.upon_response(part) for part in parts(request_id, answer)]
    assert results == [None] * (len(results) - 1) + [(request_id, answer)]
    assert len(requests) == 0


def test_row_25_an_answer_that_nobody_asked_for_is_told_apart() -> None:
    requests = Requests()
    request_id = requests.open(2**20)
    with pytest.raises(UnaskedResponse, match=f"number {request_id + 1}"):
        requests.upon_response(parts(request_id + 1)[0])
    for part in parts(request_id):
        requests.upon_response(part)
    with pytest.raises(UnaskedResponse):
        requests.upon_response(parts(request_id)[0])


def test_an_answer_that_comes_too_late_is_nobodys_fault() -> None:
    requests = Requests()
    request_id = requests.open(2**20)
    first, *rest = parts(request_id)
    requests.upon_response(first)
    requests.give_up(request_id)
    assert [requests.upon_response(part) for part in rest] == [None] * len(rest)


def test_an_answer_longer_than_its_question_allows_is_a_fault() -> None:
    requests = Requests()
    request_id = requests.open(100)
    with pytest.raises(PeerFault, match="153600 bytes, expected at most 100"):
        requests.upon_response(parts(request_id)[0])


def test_parts_out_of_order_or_of_changed_size_are_a_fault() -> None:
    first, second, *_ = parts(1)
    for wrong in (
        second,
        Response(request_id=1, size=first.size, index=0, data=first.data[:-1]),
        Response(request_id=1, size=0, index=0, data=b"x"),
    ):
        requests = Requests()
        requests.open(2**20)
        with pytest.raises(PeerFault):
            requests.upon_response(wrong)
    requests = Requests()
    requests.open(2**20)
    requests.upon_response(first)
    with pytest.raises(PeerFault):
        requests.upon_response(Response(request_id=1, size=first.size + 1, index=1, data=second.data))
