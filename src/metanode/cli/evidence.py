"""`metanode evidence verify`: check proofs against validators without a node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from metanode.chain.genesis import Genesis, parse_genesis
from metanode.chain.validators import ValidatorSet
from metanode.cli.options import AsJson
from metanode.cli.output import print_json, print_warning
from metanode.consensus.evidence import InvalidEvidence, Statement, verify_evidence
from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput
from metanode.primitives.json_text import parse_json
from metanode.rpc.evidence import evidence_from_json

FILE_BYTES_MAX = 1 << 20
"""100 proofs, as many as a node shows at once, have some 100 KB."""

app = typer.Typer(help="Proofs that a validator lied.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Proofs that a validator lied."""


@app.command()
def verify(
    file: Annotated[
        Path,
        typer.Argument(help="What `ibft_getEvidence` has answered: the response, its result, or one entry."),
    ],
    genesis: Annotated[
        Path | None, typer.Option(help="The network's genesis file: the proofs must be of its chain.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Check proofs with nothing but their signatures, and say who did what; exit code 1 when one does not hold."""
    known = None if genesis is None else _genesis(genesis)
    found = [_verify(entry, known, f"{file}: entry {index}") for index, entry in enumerate(_entries(file))]
    if json:
        print_json(found)
        return
    for proof in found:
        typer.echo(
            f"{proof['validator']} is guilty of {proof['rule']} at height {proof['height']} of chain {proof['chain_id']}, genesis "
            f"{proof['genesis_hash']}: it signed {proof['first']} and {proof['second']}"
        )
    if known is None:
        print_warning(
            "which chain that is, and who its validators were, the proofs cannot say: give --genesis"
        )


def _genesis(file: Path) -> Genesis:
    try:
        return parse_genesis(file.read_bytes())
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None


def _entries(file: Path) -> list[Any]:
    with file.open("rb") as opened:
        data = opened.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise InvalidInput(f"{file}: expected at most {FILE_BYTES_MAX} bytes, found more")
    try:
        document = parse_json(data)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file}: expected JSON: {error}") from None
    if isinstance(document, dict) and "result" in document:
        document = document["result"]
    entries = document if isinstance(document, list) else [document]
    if not entries:
        raise InvalidInput(f"{file}: holds no proof")
    return entries


def _verify(entry: object, genesis: Genesis | None, where: str) -> dict[str, Any]:
    try:
        evidence, domain = evidence_from_json(entry)
        if genesis is not None and domain != genesis.rules.domain:
            raise InvalidEvidence(
                f"evidence.domain: of chain {domain.chain_id} with the genesis 0x{domain.genesis_hash.hex()}, the file makes "
                f"{genesis.chain_id} and 0x{genesis.hash.hex()}"
            )
        rule = verify_evidence(
            evidence, domain=domain, validators=ValidatorSet.of_addresses([evidence.author])
        )
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None
    if genesis is not None and evidence.author not in genesis.state.validators:
        print_warning(
            f"{format_address(evidence.author)} is not in the genesis's validator set; "
            f"ibft_getValidatorsByBlockNumber({hex(evidence.height)}) says whether it was in that height's"
        )
    return {
        "validator": format_address(evidence.author),
        "rule": rule.value,
        "height": evidence.height,
        "chain_id": domain.chain_id,
        "genesis_hash": "0x" + domain.genesis_hash.hex(),
        "first": _describe(evidence.first),
        "second": _describe(evidence.second),
    }


def _describe(statement: Statement) -> str:
    """A statement in words."""
    kind = statement.step.name.replace("_", " ").lower()
    if kind == "round change":
        claimed = statement.claimed_round
        prepared = (
            "claiming nothing prepared"
            if claimed < 0
            else f"claiming 0x{statement.block_hash.hex()} prepared in round {claimed}"
        )
        return f"a round change to {statement.round} {prepared}"
    return f"a {kind} for 0x{statement.block_hash.hex()} in round {statement.round}"
