"""Keys: key files, mnemonics and derivation, addresses with their checksums, signatures.

All are judged through the modules that the product uses. Mnemonics go through `metanode.crypto.mnemonics`, which `metanode account derive` reads
them with; the lists of words and the derivation in it are eth-account's.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from eth_account.hdaccount.mnemonic import Mnemonic
from eth_account.types import Language
from tests.conformance.verdicts import Mismatch, Verdict, each, expect_equal, named

from metanode.crypto import ecies, keystore, mnemonics
from metanode.crypto.addresses import format_address, is_checksum_wrong, parse_address
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidInput, InvalidMnemonic

BIP39_PASSPHRASE: Final = "TREZOR"
"""Of all cases of BIP-39."""
LIGHT_PASSWORD: Final = ""
"""Of `very-light-scrypt.json`; go-ethereum's tests open it with this."""
BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LOCALES: Final = {
    "cz": Language.CZECH, "en": Language.ENGLISH, "ja": Language.JAPANESE, "es": Language.SPANISH,
    "fr": Language.FRENCH, "it": Language.ITALIAN, "ko": Language.KOREAN,
    "zh_cn": Language.CHINESE_SIMPLIFIED, "zh_tw": Language.CHINESE_TRADITIONAL,
}  # fmt: skip
"""Word lists that the product has, those of eth-account, by the names of ethers.js."""
LANGUAGES: Final = {language.value: language for language in Language}


def judge_key_files(file: Path) -> Iterator[Verdict]:
    """Key files with passwords and keys."""

    def judge(case: Mapping[str, Any]) -> None:
        key = keystore.decrypt_key(case["json"], case["password"])
        expect_equal("key", key.secret, bytes.fromhex(case["priv"]).rjust(32, b"\0"))

    return each(json.loads(file.read_bytes()).items(), judge)


def judge_light_key_file(file: Path) -> Iterator[Verdict]:
    """One key file, counted by its four members."""
    content = json.loads(file.read_bytes())

    def judge(member: str) -> None:
        changed = {name: value for name, value in content.items() if name != member}
        key = keystore.decrypt_key(content, LIGHT_PASSWORD)
        expect_equal("address", key.address.hex(), content["address"])
        is_needed = member in ("crypto", "version")
        try:
            keystore.decrypt_key(changed, LIGHT_PASSWORD)
        except InvalidInput as error:
            if not is_needed:
                raise Mismatch(f"without {member} the file does not open: {error}") from error
        else:
            if is_needed:
                raise Mismatch(f"without {member} the file opens")

    return each([(member, member) for member in content], judge)


def judge_wallets(file: Path) -> Iterator[Verdict]:
    """Wallets of ethers.js: key files, and one of the sale of 2014."""

    def judge(case: Mapping[str, Any]) -> None:
        password = bytes.fromhex(case["password"][2:]).decode()
        key = keystore.decrypt_key(json.loads(case["content"]), password)
        expect_equal("address", format_address(key.address), case["address"])

    return each(named(json.loads(file.read_bytes())), judge)


def judge_accounts(file: Path) -> Iterator[Verdict]:
    """Private keys with their addresses in EIP-55."""

    def judge(case: Mapping[str, Any]) -> None:
        if "privateKey" in case:
            key = PrivateKey(bytes.fromhex(case["privateKey"][2:]))
            expect_equal("address", format_address(key.address), case["address"])
        judge_checksum(case["address"])

    return each(named(json.loads(file.read_bytes())), judge)


def judge_checksum(written: str) -> None:
    """One address as EIP-55 writes it."""
    expect_equal("address", format_address(parse_address(written)), written)
    if is_checksum_wrong(written):
        raise Mismatch(f"{written} is called wrong")
    swapped = written[:2] + written[2:].swapcase()
    if written[2:] not in (written[2:].lower(), written[2:].upper()) and not is_checksum_wrong(swapped):
        raise Mismatch(f"{swapped} is called right")


def judge_bip39(file: Path) -> Iterator[Verdict]:
    """Entropy, words, seed and master key in twelve languages."""
    cases = [
        (f"{language} {index}", (language, case))
        for language, listed in json.loads(file.read_bytes()).items()
        for index, case in enumerate(listed)
    ]

    def judge(named_case: tuple[str, list[str]]) -> None:
        language, (entropy, words, seed, extended) = named_case
        accepted = accept(words, LANGUAGES.get(language), bytes.fromhex(entropy))
        found = mnemonics.calculate_seed(accepted, BIP39_PASSPHRASE)
        expect_equal("seed", found.hex(), seed)
        master = mnemonics.derive(found, "m")
        expect_equal("master key", (master.chain_code, master.key.secret), extended_key(extended))

    return each(cases, judge)


def judge_mnemonics(file: Path) -> Iterator[Verdict]:
    """Mnemonics of ethers.js with seeds and derived keys."""

    def judge(case: Mapping[str, Any]) -> None:
        words = bytes.fromhex(case["phrase"][2:]).decode()
        password = bytes.fromhex(case["password"][2:]).decode()
        accepted = accept(words, LOCALES.get(case["locale"]), bytes.fromhex(case["entropy"][2:]))
        seed = mnemonics.calculate_seed(accepted, password)
        expect_equal("seed", seed, bytes.fromhex(case["seed"][2:]))
        for node in case["nodes"]:
            expect_node(seed, node)

    return each(named(json.loads(file.read_bytes())), judge)


def accept(words: str, language: Language | None, entropy: bytes) -> str:
    """The words as our code reads them; where there is no list of theirs they are refused, and the seed is that of the words as they are."""
    if language is None:
        try:
            mnemonics.parse_mnemonic(words)
        except InvalidMnemonic:
            return words
        raise Mismatch("words of a list that is not here are accepted")
    accepted = mnemonics.parse_mnemonic(words)
    expect_equal("words", decomposed(Mnemonic(language).to_mnemonic(entropy)), accepted.split())
    return accepted


def decomposed(text: str) -> list[str]:
    """The words of a text in one form; Japanese puts wide spaces between them."""
    return unicodedata.normalize("NFKD", text).split()


def expect_node(seed: bytes, node: Mapping[str, Any]) -> None:
    """One derived key: its chain code, public key and extended key too."""
    path = node["path"]
    found = mnemonics.derive(seed, path)
    expect_equal(f"{path}: chain code", found.chain_code, bytes.fromhex(node["chainCode"][2:]))
    if "privateKey" in node:
        expect_equal(f"{path}: key", found.key.secret, bytes.fromhex(node["privateKey"][2:]))
    public = found.key.public_key
    compressed = bytes((2 + public[63] % 2,)) + public[:32]
    expect_equal(f"{path}: public key", compressed, bytes.fromhex(node["publicKey"][2:]))
    if "xpriv" in node:
        expect_equal(
            f"{path}: extended key", extended_key(node["xpriv"]), (found.chain_code, found.key.secret)
        )


def extended_key(text: str) -> tuple[bytes, bytes]:
    """Chain code and private key of an `xprv`."""
    number = 0
    for character in text:
        number = number * 58 + BASE58.index(character)
    content = number.to_bytes(82, "big")
    expect_equal("checksum", content[78:], hashlib.sha256(hashlib.sha256(content[:78]).digest()).digest()[:4])
    return content[13:45], content[46:78]


def judge_seeds(file: Path) -> Iterator[Verdict]:
    """`keyaddrtest.json`: keys that are hashes of words, and their addresses.

    Its `sig_of_emptystring` is of no digest that this key could have signed in a way known today, one of them has a high s, and no client
    looks at it.
    """

    def judge(case: Mapping[str, Any]) -> None:
        key = PrivateKey(bytes.fromhex(case["key"]))
        expect_equal("key", keccak256(case["seed"].encode()), key.secret)
        expect_equal("address", key.address.hex(), case["addr"])

    return each(((case["seed"], case) for case in json.loads(file.read_bytes())), judge)


def judge_ciphers(file: Path) -> Iterator[Verdict]:
    """`crypto.json`: AES in counter mode, and ECIES."""

    def judge(case: Mapping[str, str]) -> None:
        key, cipher, text = (bytes.fromhex(case[name]) for name in ("key", "cipher", "payload"))
        if case["decryption_type"] == "aes_ctr":
            expect_equal("text", keystore._aes_ctr(key, bytes(16), cipher), text)
        else:
            expect_equal("text", ecies.AgreementKey(key).decrypt(cipher), text)

    return each(json.loads(file.read_bytes()).items(), judge)
