"""The examples in the texts of standards, read out of the texts: checksums, fork identifiers, node records, derived keys."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.conformance.suites.keys import extended_key, judge_checksum
from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal

from metanode.chain.forks import Activation, ForkId, calculate_fork_id, validate_fork_id
from metanode.crypto.hashing import keccak256
from metanode.crypto.mnemonics import derive
from metanode.crypto.secp256k1 import recover_public_key
from metanode.errors import InvalidInput
from metanode.primitives import rlp

MAINNET_GENESIS: Final = bytes.fromhex("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3")
MAINNET_FORKS: Final = (1_150_000, 1_920_000, 2_463_000, 2_675_000, 4_370_000, 7_280_000)
"""Heights at which the mainnet of EIP-2124's time changes its rules."""


def judge_eip_55(file: Path) -> Iterator[Verdict]:
    """Addresses with their checksums."""
    addresses = sorted(set(re.findall(r"^0x[0-9a-fA-F]{40}$", file.read_text(), re.MULTILINE)))
    return each(((address, address) for address in addresses), judge_checksum, counts=False)


def judge_eip_2124(file: Path) -> Iterator[Verdict]:
    """Identifiers of the mainnet, and which of them are accepted."""
    forks = [Activation(at=at, by_height=True, content=b"") for at in MAINNET_FORKS]
    mainnet, checks = file.read_text().split("different states a Mainnet node might be in")
    mainnet = mainnet[: mainnet.index("0x30c7ddbc")]
    creations = re.findall(r"\{(\d+), ID\{Hash: 0x([0-9a-f]{8}), Next: (\d+)\}\}", mainnet)
    validations = re.findall(r"\{(\d+), ID\{Hash: 0x([0-9a-f]{8}), Next: ([\w.]+)\}, (\w+)\}", checks)

    def create(case: tuple[str, ...]) -> None:
        height, expected, following = case
        found = calculate_fork_id(MAINNET_GENESIS, forks, height=int(height), timestamp=0)
        expect_equal("identifier", found, ForkId(hash=bytes.fromhex(expected), next=int(following)))

    def validate(case: tuple[str, ...]) -> None:
        height, identifier, following, expected = case
        announced = 2**64 - 1 if following == "math.MaxUint64" else int(following)
        remote = ForkId(hash=bytes.fromhex(identifier), next=announced)
        try:
            validate_fork_id(remote, MAINNET_GENESIS, forks, height=int(height), timestamp=0)
        except InvalidInput as error:
            if expected == "nil":
                raise Mismatch(f"refused: {error}") from error
            return
        if expected != "nil":
            raise Mismatch(f"accepted, expected {expected}")

    yield from each(((f"create {case[0]}", case) for case in creations), create, counts=False)
    yield from each(((f"validate {' '.join(case)}", case) for case in validations), validate, counts=False)


def judge_eip_778(file: Path) -> Iterator[Verdict]:
    """The example record: its encoding is ours, and its signature is that of the key in it."""
    text = re.search(r"^enr:([\w-]+)$", file.read_text(), re.MULTILINE)
    assert text is not None

    def judge(encoded: str) -> None:
        raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        record = rlp.decode(raw)
        assert isinstance(record, list)
        signature, *content = record
        assert isinstance(signature, bytes)
        expect_equal("encoding", rlp.encode(record), raw)
        digest = keccak256(rlp.encode(content))
        public = content[content.index(b"secp256k1") + 1]
        keys = [recover_public_key(digest, signature + bytes((recovery_id,))) for recovery_id in (0, 1)]
        compressed = [bytes((2 + key[63] % 2,)) + key[:32] for key in keys]
        if public not in compressed:
            raise Mismatch("the signature is not that of the key in the record")

    return each([("record", text[1])], judge, counts=False)


def judge_bip_32(file: Path) -> Iterator[Verdict]:
    """Seeds with the extended keys along a path."""
    text = file.read_text()
    cases = []
    for block in re.split(r"===Test vector \d===", text)[1:]:
        seed = re.search(r"Seed \(hex\): ([0-9a-f]+)", block)
        if seed:
            chains = re.findall(r"Chain (m\S*)\n.*?ext prv: (xprv\w+)", block, re.DOTALL)
            cases += [(f"{seed[1][:8]} {unsubscripted(path)}", (seed[1], path, key)) for path, key in chains]

    def judge(case: tuple[str, str, str]) -> None:
        seed, path, expected = case
        found = derive(bytes.fromhex(seed), unsubscripted(path))
        expect_equal("extended key", (found.chain_code, found.key.secret), extended_key(expected))

    return each(cases, judge, counts=False)


def unsubscripted(path: str) -> str:
    """A path as the text writes it, with the mark of hardened steps that tools take."""
    return re.sub(r"<sub>H</sub>", "'", path)
