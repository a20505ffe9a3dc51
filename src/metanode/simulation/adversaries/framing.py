"""Somebody who has every signature that honest validators ever made, no key of theirs, and wants them punished."""

import dataclasses
import random
from collections.abc import Sequence

from metanode.consensus.evidence import Evidence, Statement
from metanode.consensus.messages import Step
from metanode.crypto.secp256k1 import ORDER
from metanode.primitives.types import ZERO_HASH, Address, Hash32, Height, Round

Signed = tuple[Height, Address, Statement]


def frame(draw: random.Random, signed: Sequence[Signed]) -> Evidence:
    """Return a false proof against somebody: two statements bent out of signatures that exist, at a height that fits or not."""
    height, author, first = draw.choice(signed)
    others = [entry for entry in signed if entry[1] == author and (entry[0] == height or draw.random() < 0.2)]
    second = draw.choice(others)[2]
    if draw.random() < 0.1:
        author = draw.choice(signed)[1]
    if draw.random() < 0.1:
        height = Height(max(1, height + draw.choice((-1, 1))))
    return Evidence(
        height=height, author=author, first=_bend(draw, first, signed), second=_bend(draw, second, signed)
    )


def _bend(draw: random.Random, statement: Statement, signed: Sequence[Signed]) -> Statement:
    """Change nothing, a field, or the signature."""
    signature = statement.signature
    match draw.randrange(9):
        case 0:
            return dataclasses.replace(statement, step=draw.choice(list(Step)))
        case 1:
            return dataclasses.replace(statement, round=Round(draw.randrange(4)))
        case 2:
            hashes = [ZERO_HASH, Hash32(draw.randbytes(32)), draw.choice(signed)[2].block_hash]
            return dataclasses.replace(statement, block_hash=draw.choice(hashes))
        case 3:
            return dataclasses.replace(statement, prepared_round=Round(draw.randrange(4)))
        case 4:
            return dataclasses.replace(statement, signature=draw.choice(signed)[2].signature)
        case 5:
            # The other form of the same signature, as Ethereum had it once.
            s = (ORDER - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
            return dataclasses.replace(statement, signature=signature[:32] + s + bytes([signature[64] ^ 1]))
        case 6:
            position = draw.randrange(65)
            bent = bytes([signature[position] ^ draw.randrange(1, 256)])
            return dataclasses.replace(
                statement, signature=signature[:position] + bent + signature[position + 1 :]
            )
        case _:
            return statement
