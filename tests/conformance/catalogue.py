"""Which suite judges which file of the archive. Every file has exactly one; a file that none claims is a failure, not a silence."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tests.conformance.archive import Archive, ManifestFile
from tests.conformance.suites import (
    absent,
    blocks,
    calls,
    chains,
    encodings,
    genesis,
    json_rpc,
    keys,
    messages,
    standards,
    states,
    transactions,
    tries,
    wycheproof,
)
from tests.conformance.verdicts import REASON_CHARACTERS_MAX, Status, Unusable, Verdict, crash

JudgeFile = Callable[[Path], Iterator[Verdict]]
JudgeFiles = Callable[[Sequence[Path]], Iterator[tuple[Path, Verdict]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A kind of cases: where they are, and who judges them. One of the last three is given."""

    name: str
    files: str
    """A shell pattern over the paths of the manifest; its stars match slashes too."""
    judge_file: JudgeFile | None = None
    judge_files: JudgeFiles | None = None
    """For cases that stand on one chain: all files together, in one process."""
    is_material: bool = False
    """Whether the files have no cases of their own: other suites or people read them."""


class Unclaimed(Exception):
    """A file of the manifest has no suite, or two."""


BY_FILE: Final[tuple[tuple[str, str, JudgeFile], ...]] = (
    ("state tests", "eest/state_tests/*", states.judge),
    ("blockchain tests (execution-spec-tests)", "eest/blockchain_tests/*", blocks.judge),
    ("blockchain tests, valid blocks", "ethereum-tests/BlockchainTests/ValidBlocks/*", blocks.judge),
    ("blockchain tests, invalid blocks", "ethereum-tests/BlockchainTests/InvalidBlocks/*", blocks.judge),
    ("transaction tests", "ethereum-tests/TransactionTests/*", transactions.judge),
    ("genesis blocks", "ethereum-tests/GenesisTests/*", genesis.judge),
    ("genesis hashes", "ethereum-tests/BasicTests/genesishashestest.json", genesis.judge_hashes),
    ("RLP, valid", "ethereum-tests/RLPTests/rlptest.json", encodings.judge_valid),
    ("RLP, invalid", "ethereum-tests/RLPTests/invalidRLPTest.json", encodings.judge_named),
    ("RLP, random", "ethereum-tests/RLPTests/RandomRLPTests/*", encodings.judge_named),
    ("RLP (ethers.js)", "vectors/ethers/rlp.json", encodings.judge_ethers),
    ("IBFT 2.0 extra data (Besu)", "vectors/ibft2/extradata.json", encodings.judge_extra_data),
    ("trie paths", "ethereum-tests/BasicTests/hexencodetest.json", encodings.judge_paths),
    ("trie roots", "ethereum-tests/TrieTests/trietest.json", tries.judge),
    ("trie roots, any order", "ethereum-tests/TrieTests/trieanyorder.json", tries.judge),
    ("trie roots, hashed keys", "ethereum-tests/TrieTests/trie*_secureTrie.json", tries.judge),
    ("trie roots, hex keys", "ethereum-tests/TrieTests/hex_encoded_securetrie_test.json", tries.judge),
    ("trie neighbours", "ethereum-tests/TrieTests/trietestnextprev.json", tries.judge_neighbours),
    ("key files", "ethereum-tests/KeyStoreTests/*", keys.judge_key_files),
    ("key files (go-ethereum)", "vectors/keystore/v3_test_vector.json", keys.judge_key_files),
    ("key file, light", "vectors/keystore/very-light-scrypt.json", keys.judge_light_key_file),
    ("wallets (ethers.js)", "vectors/ethers/wallets.json", keys.judge_wallets),
    ("addresses of keys", "ethereum-tests/BasicTests/keyaddrtest.json", keys.judge_seeds),
    ("accounts, EIP-55 (ethers.js)", "vectors/ethers/accounts.json", keys.judge_accounts),
    ("ciphers", "ethereum-tests/BasicTests/crypto.json", keys.judge_ciphers),
    ("mnemonics, BIP-39", "vectors/bip39/vectors.json", keys.judge_bip39),
    ("mnemonics, BIP-32/39/44 (ethers.js)", "vectors/ethers/mnemonics.json", keys.judge_mnemonics),
    ("typed data, EIP-712 (ethers.js)", "vectors/ethers/typed-data.json", messages.judge),
    ("signing (ethers.js)", "vectors/ethers/transactions.json", transactions.judge_signing),
    ("signing", "ethereum-tests/BasicTests/txtest.json", transactions.judge_signed),
    ("precompiles", "vectors/precompiles/*", calls.judge_precompiles),
    ("ABI", "ethereum-tests/ABITests/*", calls.judge_basic_abi),
    ("ABI, compiled contracts (ethers.js)", "vectors/ethers/abi.json", calls.judge_abi),
    ("CREATE (ethers.js)", "vectors/ethers/create.json", calls.judge_creations),
    ("CREATE2 (ethers.js)", "vectors/ethers/create2.json", calls.judge_salted_creations),
    ("hashes (ethers.js)", "vectors/ethers/hashes.json", calls.judge_hashes),
    ("hashes of packed values (ethers.js)", "vectors/ethers/solidity-hashes.json", calls.judge_packed_hashes),
    ("Wycheproof ECDH", "vectors/wycheproof/ecdh_secp256k1_test.json", wycheproof.judge_agreement),
    ("Wycheproof ECDSA", "vectors/wycheproof/ecdsa_secp256k1_sha256_test.json", wycheproof.judge_signatures),
    ("Wycheproof HMAC", "vectors/wycheproof/hmac_sha256_test.json", wycheproof.judge_authentication),
    ("text: EIP-55", "vectors/spec-text/erc-55.md", standards.judge_eip_55),
    ("text: EIP-2124", "vectors/spec-text/eip-2124.md", standards.judge_eip_2124),
    ("text: EIP-778", "vectors/spec-text/eip-778.md", standards.judge_eip_778),
    ("text: BIP-32", "vectors/spec-text/bip-0032.mediawiki", standards.judge_bip_32),
)
NOT_APPLICABLE: Final[tuple[tuple[str, str, JudgeFile], ...]] = (
    ("discv5", "vectors/discv5/*", absent.judge_discv5),
    ("EIP-3076 interchange", "vectors/eip3076/*", absent.judge_interchange),
)
MATERIAL: Final = (
    (
        "text: EIP-8",
        "vectors/spec-text/eip-8.md",
    ),  # its packets: tests/unit/p2p/vectors/eip-8.json, see test_eip_8.py
    ("text: EIP-706", "vectors/spec-text/eip-706.md"),  # says how to use snappy; has no examples
    ("text: ERC-2333", "vectors/spec-text/erc-2333.md"),  # how BLS keys are derived: there are none here
    ("text: ERC-2335", "vectors/spec-text/erc-2335.md"),  # key files of BLS keys, for which the same is true
)
SUITES: Final = (
    *(Suite(name=name, files=files, judge_file=judge) for name, files, judge in BY_FILE),
    Suite(name="JSON-RPC (execution-apis)", files="execution-apis/*", judge_files=json_rpc.judge),
    Suite(name="chain of 600 blocks (devp2p-ethtest)", files="devp2p-ethtest/*", judge_files=chains.judge),
    *(Suite(name=name, files=files, judge_file=judge) for name, files, judge in NOT_APPLICABLE),
    *(Suite(name=name, files=files, is_material=True) for name, files in MATERIAL),
)


UNCLAIMED: Final = Suite(name="files of no suite", files="")
"""Where a run puts the files that no suite, or more than one, claims: each is one failure, and the others are judged."""


def suite_of(path: str) -> Suite:
    """The suite of a file; raises Unclaimed."""
    found = suites_of(path)
    if len(found) != 1:
        raise Unclaimed(why_unclaimed(path))
    return found[0]


def suites_of(path: str) -> list[Suite]:
    """All suites that claim a file."""
    return [suite for suite in SUITES if fnmatchcase(path, suite.files)]


def why_unclaimed(path: str) -> str:
    """What is wrong with a file that has not exactly one suite."""
    names = ", ".join(suite.name for suite in suites_of(path)) or "none"
    return f"{path}: expected one suite, found {names}: see tests/conformance/catalogue.py"


@dataclass(frozen=True, slots=True)
class Work:
    """Files of one suite that one process judges."""

    suite: Suite
    files: tuple[ManifestFile, ...]


def plan(archive: Archive) -> list[Work]:
    """The whole archive, cut into what can be judged at the same time."""
    together: dict[str, list[ManifestFile]] = {}
    work = []
    for file in archive.files:
        claiming = suites_of(file.path)
        suite = claiming[0] if len(claiming) == 1 else UNCLAIMED
        if suite.judge_files:
            together.setdefault(suite.name, []).append(file)
        else:
            work.append(Work(suite, (file,)))
    by_name = {suite.name: suite for suite in SUITES}
    return [*(Work(by_name[name], tuple(files)) for name, files in together.items()), *work]


def judge(archive: Archive, work: Work) -> Iterator[tuple[str, Verdict]]:
    """The verdicts of some files, by file; with one that failed for each file whose cases are not as many as the manifest says.

    A file that cannot be read as cases has one that failed instead, and ends the work on these files alone.
    """
    if work.suite == UNCLAIMED:
        yield from ((file.path, unusable(why_unclaimed(file.path))) for file in work.files)
        return
    counted = dict.fromkeys((file.path for file in work.files), 0)
    try:
        for path, verdict in verdicts(archive, work):
            counted[path] += verdict.counts
            yield path, verdict
    except Unusable as error:
        yield error.file.relative_to(archive.directory).as_posix(), unusable(str(error))
        return
    except Exception as error:  # noqa: BLE001 - a damaged file must not end the run over all the others
        yield work.files[0].path, unusable(crash(error))
        return
    for file in work.files:
        if counted[file.path] != file.cases:
            reason = f"{counted[file.path]} cases were judged, the manifest counts {file.cases}"
            yield file.path, Verdict("count", Status.FAILED, reason, counts=False)


def unusable(reason: str) -> Verdict:
    """The failure of a whole file."""
    text = f"the file cannot be judged: {reason}"
    return Verdict("file", Status.FAILED, text[:REASON_CHARACTERS_MAX], counts=False)


def verdicts(archive: Archive, work: Work) -> Iterator[tuple[str, Verdict]]:
    """The same before counting."""
    suite = work.suite
    if suite.judge_files:
        paths = {archive.file(file.path): file.path for file in work.files}
        yield from ((paths[path], verdict) for path, verdict in suite.judge_files(list(paths)))
    for file in work.files:
        if suite.judge_file:
            yield from ((file.path, verdict) for verdict in suite.judge_file(archive.file(file.path)))
