"""`metanode validators` on a node's answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from metanode.cli import validators
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import NetworkSpec, plan_network

if TYPE_CHECKING:
    from pathlib import Path


OLD, NEW = "0x" + "11" * 20, "0x" + "22" * 20


def test_who_has_just_joined_is_listed_although_it_had_no_turn_and_a_validator_of_elsewhere_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = NetworkDirectory(tmp_path)
    where.save_plan(plan_network(NetworkSpec()))
    where.node("validator-2").mkdir(parents=True)
    (where.node("validator-2") / "validator.json").write_text(json.dumps({"address": OLD}))
    asked: list[Any] = []

    def answer(_: str, calls: list[Any]) -> list[Any]:
        asked.extend(calls)
        signers = [{"address": OLD, "proposedBlockCount": "0x9", "lastProposedBlockNumber": "0x1f"}]
        return [[OLD, NEW], signers]

    monkeypatch.setattr(validators, "batch", answer)

    validators.list_validators(directory=tmp_path, json=True)

    assert asked[0] == ("ibft_getValidatorsByBlockNumber", ["pending"])
    assert json.loads(capsys.readouterr().out) == [
        {"address": OLD, "name": "validator-2", "proposed_blocks": 9, "last_proposed_block": 31},
        {"address": NEW, "name": None, "proposed_blocks": 0, "last_proposed_block": 0},
    ]


def test_a_wish_that_is_fulfilled_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    NetworkDirectory(tmp_path).save_plan(plan_network(NetworkSpec(validator_count=1)))
    answers = {"ibft_getPendingVotes": {OLD: True, NEW: True}, "ibft_getValidatorsByBlockNumber": [OLD]}
    monkeypatch.setattr(validators, "call", lambda _url, method, *_params: answers[method])

    validators.votes(directory=tmp_path)

    assert capsys.readouterr().out == f"validator-1: add {OLD} (done), add {NEW}\n"


@pytest.mark.parametrize("is_forced", [True, False])
def test_a_forced_vote_says_what_it_risks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, is_forced: bool
) -> None:
    NetworkDirectory(tmp_path).save_plan(plan_network(NetworkSpec(validator_count=1)))
    asked: list[Any] = []

    def answer(_url: str, method: str, *params: Any) -> Any:
        asked.append((method, params))
        return [OLD] if method == "ibft_getValidatorsByBlockNumber" else True

    monkeypatch.setattr(validators, "call", answer)
    monkeypatch.setattr(NetworkDirectory, "validator_address", lambda *_: bytes.fromhex(OLD[2:]))

    validators.add(address=NEW, directory=tmp_path, force=is_forced)

    shown = capsys.readouterr()
    assert shown.out == f"validator-1 votes to add {NEW}\n"
    assert ("warning: the vote is forced" in shown.err) is is_forced
    assert asked[-1] == ("ibft_proposeValidatorVote", (NEW, True, *([{"force": True}] if is_forced else [])))
