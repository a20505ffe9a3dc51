"""The queue of submissions: bounded, kept over restarts, and worked on by one process at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from metanode.errors import Unavailable
from sdk.testnet.services.store import Store, VerificationState
from sdk.testnet.services.verification import jobs
from sdk.testnet.services.verification.submissions import Rejected, Submission, wrap_single_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDRESS = b"\xaa" * 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(f"sqlite:///{tmp_path}/index.db")
    yield found
    found.close()


def submission(name: str = "A") -> Submission:
    return wrap_single_file(
        f"contract {name} {{}}",
        language="Solidity",
        compiler_version="v0.8.30+commit.73712a01",
        contract=name,
    )


def submit(store: Store, number: int = 0, requester: str = "net:1") -> str:
    return jobs.submit(store, number.to_bytes(20, "big"), submission(), requester=requester)


def job_of(store: Store, job_id: str) -> jobs.Job:
    with store.look() as connection:
        found = jobs.get_job(connection, job_id)
    assert found is not None
    return found


def test_a_job_comes_out_as_it_was_put_in(store: Store) -> None:
    job_id = jobs.submit(store, ADDRESS, submission(), requester="net:1", creation_transaction=b"\x01" * 32)

    claimed = jobs.claim(store)

    assert claimed == jobs.Claimed(
        id=job_id, address=ADDRESS, submission=submission(), creation_transaction=b"\x01" * 32
    )
    assert job_of(store, job_id).state is VerificationState.RUNNING


def test_one_job_runs_at_a_time_and_the_oldest_first(store: Store) -> None:
    first = submit(store, 1)
    submit(store, 2)
    claimed = jobs.claim(store)

    assert claimed is not None
    assert jobs.claim(store) is None
    jobs.fail(store, claimed.id, "no_match", "other code")
    following = jobs.claim(store)
    assert following is not None
    assert {claimed.id, following.id} >= {first}
    assert following.id != claimed.id


def test_what_a_dead_process_left_is_taken_over_once_and_then_failed(store: Store) -> None:
    job_id = submit(store)
    assert jobs.claim(store, now_s=1_000) is not None

    assert jobs.claim(store, now_s=1_000 + jobs.LEASE_S - 1) is None
    assert jobs.claim(store, now_s=1_000 + jobs.LEASE_S) is not None
    assert jobs.claim(store, now_s=1_000 + 2 * jobs.LEASE_S) is None

    failed = job_of(store, job_id)
    assert failed.state is VerificationState.FAILED
    assert "interrupted twice" in (failed.error_message or "")


def test_a_job_that_is_given_back_costs_no_attempt(store: Store) -> None:
    submit(store)
    for _ in range(5):
        claimed = jobs.claim(store)
        assert claimed is not None
        jobs.give_back(store, claimed.id)


def test_the_queue_is_bounded_for_all_and_for_each(store: Store) -> None:
    for number in range(jobs.REQUESTER_MAX):
        submit(store, number)
    with pytest.raises(Rejected) as refused:
        submit(store, 99)
    assert refused.value.status == 429

    for number in range(jobs.REQUESTER_MAX, jobs.QUEUE_MAX):
        submit(store, number, requester=f"net:{number}")
    with pytest.raises(Unavailable, match="no more are taken"):
        submit(store, 99, requester="net:99")


def test_the_same_contract_waits_once(store: Store) -> None:
    submit(store)

    with pytest.raises(Rejected) as refused:
        submit(store)

    assert refused.value.code == "duplicate_verification_request"


def test_a_finished_job_forgets_its_sources_and_keeps_its_reason(store: Store) -> None:
    job_id = submit(store)
    assert jobs.claim(store) is not None

    jobs.fail(store, job_id, "no_match", "other code")

    found = job_of(store, job_id)
    assert (found.error_code, found.error_message, found.is_finished) == ("no_match", "other code", True)
    assert jobs.claim(store) is None


def test_an_unknown_job_is_none(store: Store) -> None:
    with store.look() as connection:
        assert jobs.get_job(connection, "nobody's") is None
