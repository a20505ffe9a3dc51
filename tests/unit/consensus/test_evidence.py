"""Evidence: what proves a lie, and that nobody can make a proof against somebody honest out of what that one has signed."""

import dataclasses
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.chain.signing import SigningDomain
from metanode.chain.validators import ValidatorSet
from metanode.consensus.evidence import (
    Evidence,
    InvalidEvidence,
    Rule,
    Statement,
    find_rule,
    verify_evidence,
)
from metanode.consensus.messages import Step
from metanode.crypto.secp256k1 import ORDER, PrivateKey
from metanode.errors import InvalidInput
from metanode.primitives.types import ZERO_HASH, Hash32, Height, Round
from metanode.rpc.evidence import evidence_from_json, evidence_to_json

KEY, OTHER = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
DOMAIN = SigningDomain(chain_id=1337, genesis_hash=Hash32(b"\x0c" * 32))
MEMBERS = ValidatorSet.of_addresses([KEY.address, OTHER.address])
HEIGHT = Height(7)
X, Y = Hash32(b"\xaa" * 32), Hash32(b"\xbb" * 32)


def said(
    step: Step,
    round_: int,
    block_hash: Hash32 = X,
    *,
    prepared_round: int = 0,
    key: PrivateKey = KEY,
    domain: SigningDomain = DOMAIN,
    height: Height = HEIGHT,
) -> Statement:
    bare = Statement(
        step=step,
        round=Round(round_),
        block_hash=block_hash,
        prepared_round=Round(prepared_round),
        signature=b"",
    )
    return dataclasses.replace(bare, signature=key.sign(bare.digest(domain, height)))


def change(round_: int, prepared: tuple[int, Hash32] | None, **kwargs: object) -> Statement:
    prepared_round, block_hash = prepared or (0, ZERO_HASH)
    return said(Step.ROUND_CHANGE, round_, block_hash, prepared_round=prepared_round, **kwargs)  # type: ignore[arg-type]


def pair(first: Statement, second: Statement, **changes: object) -> Evidence:
    return dataclasses.replace(
        Evidence(height=HEIGHT, author=KEY.address, first=first, second=second),
        **changes,  # type: ignore[arg-type] # the tests' own
    )


def verify(evidence: Evidence, **changes: object) -> Rule:
    return verify_evidence(evidence, **{"domain": DOMAIN, "validators": MEMBERS, **changes})  # type: ignore[arg-type]


GUILTY = [
    (said(Step.PREPARE, 0, X), said(Step.PREPARE, 0, Y), Rule.EQUIVOCATION),
    (said(Step.PROPOSAL, 1, X), said(Step.PROPOSAL, 1, Y), Rule.EQUIVOCATION),
    (said(Step.PROPOSAL, 1, X), said(Step.PREPARE, 1, Y), Rule.EQUIVOCATION),
    (said(Step.COMMIT, 2, X), said(Step.COMMIT, 2, Y), Rule.EQUIVOCATION),
    (change(3, None), change(3, (0, X)), Rule.EQUIVOCATION),
    (change(3, (0, X)), change(3, (1, X)), Rule.EQUIVOCATION),
    (change(3, (1, X)), change(3, (1, Y)), Rule.EQUIVOCATION),
    (said(Step.COMMIT, 0, X), change(1, None), Rule.FORGOTTEN_COMMIT),
    (said(Step.COMMIT, 2, X), change(5, (1, Y)), Rule.FORGOTTEN_COMMIT),
]


@pytest.mark.parametrize(("first", "second", "rule"), GUILTY)
def test_two_statements_that_no_honest_validator_signs_prove_a_lie_in_either_order(
    first: Statement, second: Statement, rule: Rule
) -> None:
    assert verify(pair(first, second)) is rule
    assert verify(pair(second, first)) is rule


HONEST = [
    (said(Step.PREPARE, 0, X), said(Step.PREPARE, 0, X)),
    (said(Step.PROPOSAL, 0, X), said(Step.PREPARE, 0, X)),
    (said(Step.PREPARE, 0, X), said(Step.PREPARE, 1, Y)),
    (said(Step.COMMIT, 0, X), said(Step.COMMIT, 1, Y)),
    # Who learns of a decision signs its seal, also after a prepare of another block.
    (said(Step.PREPARE, 0, X), said(Step.COMMIT, 0, Y)),
    (change(1, None), change(2, None)),
    (change(1, None), change(2, (1, X))),
    # It has committed in the round that it claims, or later than the round that it asked for.
    (said(Step.COMMIT, 0, X), change(1, (0, X))),
    (said(Step.COMMIT, 0, X), change(2, (1, Y))),
    (said(Step.COMMIT, 1, X), change(1, None)),
    (said(Step.COMMIT, 3, X), change(2, (0, Y))),
    (said(Step.PREPARE, 0, X), change(1, None)),
]


@pytest.mark.parametrize(("first", "second"), HONEST)
def test_statements_that_an_honest_validator_may_sign_prove_nothing(
    first: Statement, second: Statement
) -> None:
    for one, two in ((first, second), (second, first)):
        with pytest.raises(InvalidEvidence, match="may sign both"):
            verify(pair(one, two))


def test_what_was_prepared_in_round_0_is_not_taken_for_nothing() -> None:
    assert find_rule(said(Step.COMMIT, 0, X), change(1, (0, X))) is None
    assert change(1, (0, X)).digest(DOMAIN, HEIGHT) != change(1, None).digest(DOMAIN, HEIGHT)


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (pair(said(Step.PREPARE, 0, X), said(Step.PREPARE, 0, Y, key=OTHER)), "signed by"),
        (pair(said(Step.PREPARE, 0, X), said(Step.PREPARE, 0, Y), author=OTHER.address), "signed by"),
        (pair(said(Step.PREPARE, 0, X), said(Step.PREPARE, 0, Y), height=Height(8)), "signed by"),
        (
            pair(
                said(Step.PREPARE, 0, X),
                said(
                    Step.PREPARE,
                    0,
                    Y,
                    domain=SigningDomain(chain_id=1, genesis_hash=DOMAIN.genesis_hash),
                ),
            ),
            "signed by",
        ),
        (
            pair(
                said(Step.PREPARE, 0, X),
                said(Step.PREPARE, 0, Y, domain=SigningDomain(chain_id=1337, genesis_hash=X)),
            ),
            "signed by",
        ),
        (
            pair(
                said(Step.PREPARE, 0, X),
                dataclasses.replace(said(Step.PREPARE, 0, Y), round=Round(1 << 63)),
            ),
            "a round is from 0",
        ),
        (pair(said(Step.PREPARE, 0, X), dataclasses.replace(said(Step.PREPARE, 0, Y), signature=b"")), "65"),
    ],
)
def test_a_signature_that_is_not_the_accused_s_for_this_place_and_chain_proves_nothing(
    evidence: Evidence, reason: str
) -> None:
    with pytest.raises(InvalidEvidence, match=reason):
        verify(evidence)


def test_who_is_no_validator_of_the_height_is_not_accused() -> None:
    lie = pair(said(Step.PREPARE, 0, X), said(Step.PREPARE, 0, Y))
    with pytest.raises(InvalidEvidence, match="no validator of height 7"):
        verify(lie, validators=ValidatorSet.of_addresses([OTHER.address]))


# --- framing -----------------------------------------------------------------------------------------------------------------------------

HONEST_LIFE = [
    said(Step.PROPOSAL, 0, X),
    said(Step.COMMIT, 0, X),
    change(1, (0, X)),
    said(Step.PREPARE, 1, X),
    change(2, (0, X)),
    said(Step.PREPARE, 2, Y),
    said(Step.COMMIT, 2, Y),
    change(5, (2, Y)),
]
"""What an honest validator may sign at one height: it prepared X, others justified Y in round 2, and it followed."""

HASHES = st.sampled_from([X, Y, ZERO_HASH, Hash32(b"\x01" + bytes(31))])
ROUNDS = st.integers(min_value=0, max_value=6).map(Round)


@st.composite
def forgeries(draw: st.DrawFn) -> Statement:
    """A statement made of one that was signed, by somebody who has no key: other fields, another signature of the same life, bent bytes."""
    statement = draw(st.sampled_from(HONEST_LIFE))
    signature = draw(st.sampled_from(HONEST_LIFE)).signature if draw(st.booleans()) else statement.signature
    match draw(st.sampled_from(["whole", "negated", "bent", "cut"])):
        case "negated":
            s = ORDER - int.from_bytes(signature[32:64], "big")
            signature = signature[:32] + s.to_bytes(32, "big") + bytes([signature[64] ^ 1])
        case "bent":
            position = draw(st.integers(min_value=0, max_value=64))
            signature = (
                signature[:position] + bytes([signature[position] ^ draw(st.integers(1, 255))])
            ) + signature[position + 1 :]
        case "cut":
            signature = signature[: draw(st.integers(min_value=0, max_value=64))]
        case _:
            pass
    return Statement(
        step=draw(st.sampled_from(list(Step))) if draw(st.booleans()) else statement.step,
        round=draw(ROUNDS) if draw(st.booleans()) else statement.round,
        block_hash=draw(HASHES) if draw(st.booleans()) else statement.block_hash,
        prepared_round=draw(ROUNDS) if draw(st.booleans()) else statement.prepared_round,
        signature=signature,
    )


def test_no_two_statements_of_an_honest_life_prove_anything() -> None:
    for first, second in itertools.product(HONEST_LIFE, repeat=2):
        with pytest.raises(InvalidEvidence):
            verify(pair(first, second))


@settings(max_examples=500)
@given(first=forgeries(), second=forgeries(), height=st.sampled_from([Height(6), HEIGHT, Height(8)]))
def test_an_honest_validator_s_signatures_cannot_be_bent_into_a_proof(
    first: Statement, second: Statement, height: Height
) -> None:
    for key in (KEY, OTHER):
        with pytest.raises(InvalidEvidence):
            verify(pair(first, second, height=height, author=key.address))


# --- bytes and JSON -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second", "rule"), GUILTY)
def test_a_proof_is_the_same_after_its_way_through_bytes_and_json(
    first: Statement, second: Statement, rule: Rule
) -> None:
    evidence = pair(first, second)
    assert Evidence.decode(evidence.encode()) == evidence

    shown = json.loads(json.dumps(evidence_to_json(evidence, rule, domain=DOMAIN, validators=MEMBERS)))

    assert (shown["rule"], shown["power"], shown["totalPower"]) == (rule.value, "0x1", "0x2")
    read, domain = evidence_from_json(shown)
    assert (read, domain) == (evidence, DOMAIN)
    assert verify(read, domain=domain) is rule


def test_a_stranger_checks_a_proof_with_a_library_for_typed_data() -> None:
    """By docs/reference/json-rpc-server.md alone, with eth_account."""
    eth_account = pytest.importorskip("eth_account")
    from eth_account.messages import encode_typed_data  # noqa: PLC0415 - if it is there

    types = {
        "Commit": [("height", "uint64"), ("round", "uint64"), ("blockHash", "bytes32")],
        "RoundChange": [
            ("height", "uint64"),
            ("round", "uint64"),
            ("preparedRound", "uint64"),
            ("preparedHash", "bytes32"),
        ],
    }
    evidence = pair(said(Step.COMMIT, 2, X), change(5, (1, Y)))
    shown = evidence_to_json(evidence, Rule.FORGOTTEN_COMMIT, domain=DOMAIN, validators=MEMBERS)
    for half in (shown["first"], shown["second"]):
        kind = half["primaryType"]
        fields = [{"name": name, "type": type_} for name, type_ in types[kind]]
        message = {
            name: int(value, 16) if name not in {"blockHash", "preparedHash"} else bytes.fromhex(value[2:])
            for name, value in half["message"].items()
        }
        domain = {
            **shown["domain"],
            "chainId": int(shown["domain"]["chainId"], 16),
            "salt": bytes.fromhex(shown["domain"]["salt"][2:]),
        }
        signable = encode_typed_data(domain, {kind: fields}, message)
        signature = bytes.fromhex(half["signature"][2:])
        found = eth_account.Account.recover_message(
            signable, signature=signature[:64] + bytes([signature[64] + 27])
        )
        assert found.lower() == shown["validator"]


@given(data=st.binary(max_size=300))
def test_bytes_that_are_no_proof_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        Evidence.decode(data)


def test_a_proof_with_a_byte_less_or_more_is_refused() -> None:
    encoded = pair(*GUILTY[0][:2]).encode()
    for length in range(len(encoded)):
        with pytest.raises(InvalidInput):
            Evidence.decode(encoded[:length])
    with pytest.raises(InvalidInput):
        Evidence.decode(encoded + b"\x00")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@given(place=st.sampled_from(["height", "validator", "domain", "first", "second"]), value=JSON)
def test_json_that_is_no_proof_is_refused_with_the_field(place: str, value: object) -> None:
    shown = evidence_to_json(pair(*GUILTY[0][:2]), Rule.EQUIVOCATION, domain=DOMAIN, validators=MEMBERS)
    with pytest.raises(InvalidInput, match="evidence"):
        evidence_from_json({**shown, place: value})


@given(value=JSON)
def test_any_other_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="evidence"):
        evidence_from_json(value)
