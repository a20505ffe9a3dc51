"""`metanode evidence verify` on files: what holds is told in a sentence, what does not is refused with its entry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from metanode.chain.genesis import Genesis, make_genesis, parse_genesis
from metanode.chain.signing import SigningDomain
from metanode.chain.validators import ValidatorSet
from metanode.cli.program import app
from metanode.consensus.evidence import Evidence, Rule, Statement
from metanode.consensus.messages import Step
from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput
from metanode.primitives.types import ZERO_HASH, Hash32, Height, Round
from metanode.rpc.evidence import evidence_to_json

if TYPE_CHECKING:
    from pathlib import Path

KEY = PrivateKey(b"\x05" * 32)
DOCUMENT = make_genesis(
    network_name="proofs", chain_id=7, genesis_time=1_700_000_000, validators=ValidatorSet.of_addresses([KEY.address]), balances={}
)  # fmt: skip
GENESIS: Genesis = parse_genesis(json.dumps(DOCUMENT))


def proof(domain: SigningDomain = GENESIS.rules.domain) -> dict[str, Any]:
    block = Hash32(b"\x0a" * 32)
    commit = Statement(
        step=Step.COMMIT,
        round=Round(0),
        block_hash=block,
        signature=KEY.sign(domain.commit(height=Height(3), round=Round(0), block_hash=block)),
    )
    change = Statement(
        step=Step.ROUND_CHANGE,
        round=Round(1),
        block_hash=ZERO_HASH,
        signature=KEY.sign(domain.round_change(height=Height(3), round=Round(1), prepared=None)),
    )
    evidence = Evidence(height=Height(3), author=KEY.address, first=commit, second=change)
    members = ValidatorSet.of_addresses([KEY.address])
    return evidence_to_json(evidence, Rule.FORGOTTEN_COMMIT, domain=domain, validators=members)


def verify(tmp_path: Path, document: object, *options: str) -> Any:
    (tmp_path / "proof.json").write_text(json.dumps(document))
    (tmp_path / "genesis.json").write_text(json.dumps(DOCUMENT))
    return CliRunner().invoke(app, ["evidence", "verify", str(tmp_path / "proof.json"), *options])


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [one], lambda one: {"id": 1, "result": [one]}])
def test_a_proof_that_holds_is_told_in_a_sentence(tmp_path: Path, wrap: Any) -> None:
    result = verify(tmp_path, wrap(proof()), "--genesis", str(tmp_path / "genesis.json"))
    assert result.exit_code == 0, result.output
    assert (
        f"{format_address(KEY.address)} is guilty of forgotten commit at height 3 of chain 7" in result.output
    )
    assert "a commit for 0x0a0a" in result.output
    assert "a round change to 1 claiming nothing prepared" in result.output
    assert "--genesis" not in result.output


def test_without_a_genesis_it_is_said_what_is_not_known(tmp_path: Path) -> None:
    assert "warning: which chain that is" in verify(tmp_path, proof()).output


def test_a_proof_of_another_chain_is_refused(tmp_path: Path) -> None:
    other = SigningDomain(chain_id=8, genesis_hash=GENESIS.hash)
    result = verify(tmp_path, [proof(), proof(other)], "--genesis", str(tmp_path / "genesis.json"))
    assert result.exit_code == 1
    assert "entry 1: evidence.domain: of chain 8" in str(result.exception)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda one: one["first"]["message"].update(round="0x1"), "entry 0: evidence.first: signed by"),
        (lambda one: one.pop("second"), "expected an object with height"),
        (lambda one: one.update(second=one["first"]), "an honest validator may sign both"),
    ],
)
def test_a_proof_that_does_not_hold_is_refused_with_the_reason(
    tmp_path: Path, change: Any, reason: str
) -> None:
    document = proof()
    change(document)
    result = verify(tmp_path, document)
    assert result.exit_code == 1
    assert reason in str(result.exception)


@pytest.mark.parametrize(("document", "reason"), [([], "holds no proof"), ("x", "expected an object")])
def test_a_file_without_proofs_is_refused(tmp_path: Path, document: object, reason: str) -> None:
    assert reason in str(verify(tmp_path, document).exception)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 500_000, "expected JSON"),
        (b'{"result":' * 100_000, "expected JSON"),
        (b"\xff\xfe", "expected JSON"),
        (b"", "expected JSON"),
        (b"[1e400]", "expected an object"),
        (b" " * (1 << 21), "expected at most 1048576 bytes"),
        (b'[{"height":"0x' + b"f" * 1_000_000 + b'"}]', "expected an object"),
    ],
    ids=["deep", "deep objects", "no text", "empty", "a number", "long", "a long number"],
)
def test_garbage_is_refused_in_a_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "proof.json").write_bytes(content)
    result = CliRunner().invoke(app, ["evidence", "verify", str(tmp_path / "proof.json")])
    assert result.exit_code == 1
    assert isinstance(result.exception, InvalidInput), result.exception
    assert reason in str(result.exception)
    assert len(str(result.exception)) < 1_000
