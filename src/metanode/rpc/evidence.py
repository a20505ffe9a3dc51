"""How a proof against a validator looks in JSON, and how it is read again: everything that a stranger needs to check it, and no more.

Each statement is a message of EIP-712 with its digest and its signature; a library for typed data recovers the signer from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from metanode.chain.signing import DOMAIN_NAME, DOMAIN_VERSION, SigningDomain
from metanode.consensus.evidence import Evidence, InvalidEvidence, Statement
from metanode.consensus.messages import Step
from metanode.primitives.hexadecimal import decode_data, decode_quantity, encode_data, encode_quantity
from metanode.primitives.types import (
    ADDRESS_BYTES,
    HASH_BYTES,
    SIGNATURE_BYTES,
    Address,
    Hash32,
    Height,
    Round,
)

if TYPE_CHECKING:
    from metanode.chain.validators import ValidatorSet
    from metanode.consensus.evidence import Rule

_TYPES: Final = {
    Step.PROPOSAL: "Proposal",
    Step.PREPARE: "Prepare",
    Step.COMMIT: "Commit",
    Step.ROUND_CHANGE: "RoundChange",
}
"""Names of EIP-712 types (docs/spec/chain.md)."""
_STEPS: Final = {name: step for step, name in _TYPES.items()}


def evidence_to_json(
    evidence: Evidence, rule: Rule, *, domain: SigningDomain, validators: ValidatorSet
) -> dict[str, Any]:
    """A verified proof; `validators` are those of its height."""
    return {
        "rule": rule.value,
        "height": encode_quantity(evidence.height),
        "validator": encode_data(evidence.author),
        "power": encode_quantity(validators.weight([evidence.author])),
        "totalPower": encode_quantity(validators.total_power),
        "domain": {
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": encode_quantity(domain.chain_id),
            "salt": encode_data(domain.genesis_hash),
        },
        "first": _statement_to_json(evidence.first, evidence.height, domain),
        "second": _statement_to_json(evidence.second, evidence.height, domain),
    }


def evidence_from_json(document: object) -> tuple[Evidence, SigningDomain]:
    """The proof of an entry of `ibft_getEvidence`, and the chain that it is of; nothing is verified.

    Raises:
        InvalidInput: when a field is missing or not what it should be; the sentence names it.
    """
    match document:
        case {
            "height": str(height),
            "validator": str(author),
            "domain": {"name": name, "version": version, "chainId": str(chain_id), "salt": str(salt)},
            "first": dict(first),
            "second": dict(second),
        }:
            pass
        case _:
            raise InvalidEvidence(
                "evidence: expected an object with height, validator, domain, first and second, as ibft_getEvidence gives it"
            )
    if (name, version) != (DOMAIN_NAME, DOMAIN_VERSION):
        raise InvalidEvidence(
            f"evidence.domain: expected {DOMAIN_NAME!r} of version {DOMAIN_VERSION!r}, found {name!r:.80} and {version!r:.80}"
        )
    evidence = Evidence(
        height=Height(decode_quantity(height, field="evidence.height", bits=63)),
        author=Address(decode_data(author, field="evidence.validator", length=ADDRESS_BYTES)),
        first=_statement_from_json(first, height, "first"),
        second=_statement_from_json(second, height, "second"),
    )
    genesis_hash = Hash32(decode_data(salt, field="evidence.domain.salt", length=HASH_BYTES))
    chain = decode_quantity(chain_id, field="evidence.domain.chainId", bits=64)
    return evidence, SigningDomain(chain_id=chain, genesis_hash=genesis_hash)


def _statement_to_json(statement: Statement, height: Height, domain: SigningDomain) -> dict[str, Any]:
    message = {"height": encode_quantity(height), "round": encode_quantity(statement.round)}
    if statement.step is Step.ROUND_CHANGE:
        message["preparedRound"] = encode_quantity(statement.prepared_round)
        message["preparedHash"] = encode_data(statement.block_hash)
    else:
        message["blockHash"] = encode_data(statement.block_hash)
    return {
        "primaryType": _TYPES[statement.step],
        "message": message,
        "digest": encode_data(statement.digest(domain, height)),
        "signature": encode_data(statement.signature),
    }


def _statement_from_json(document: dict[str, Any], height: str, where: str) -> Statement:
    match document:
        case {
            "primaryType": "RoundChange",
            "message": {
                "height": str(own),
                "round": str(round_),
                "preparedRound": str(prepared_round),
                "preparedHash": str(block_hash),
            },
            "signature": str(signature),
        } if own == height:
            step = Step.ROUND_CHANGE
        case {
            "primaryType": ("Proposal" | "Prepare" | "Commit") as kind,
            "message": {"height": str(own), "round": str(round_), "blockHash": str(block_hash)},
            "signature": str(signature),
        } if own == height:
            step, prepared_round = _STEPS[kind], "0x0"
        case _:
            raise InvalidEvidence(
                f"evidence.{where}: expected primaryType, message and signature of a message of height {height}"
            )
    place = f"evidence.{where}"
    return Statement(
        step=step,
        round=Round(decode_quantity(round_, field=f"{place}.round", bits=63)),
        block_hash=Hash32(decode_data(block_hash, field=f"{place}.message", length=HASH_BYTES)),
        prepared_round=Round(decode_quantity(prepared_round, field=f"{place}.preparedRound", bits=63)),
        signature=decode_data(signature, field=f"{place}.signature", length=SIGNATURE_BYTES),
    )
