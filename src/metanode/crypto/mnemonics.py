"""Keys from a mnemonic: the words of BIP-39, the derivation of BIP-32, and the path of BIP-44 by which wallets number Ethereum accounts.

The word lists and the derivation are eth-account's. It is imported when a mnemonic is read, because that alone takes half a second, which
every other command and every start of a validator would pay. What it takes too leniently is refused here: numbers in a path have one form and
are below 2^31. No error repeats a word.
"""

import hmac
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from metanode.crypto.secp256k1 import PrivateKey
from metanode.errors import InvalidMnemonic, InvalidPath

ACCOUNTS_PATH: Final = "m/44'/60'/0'/0/i"
"""Where MetaMask, anvil, Hardhat and geth's tools look for account number i. Source: BIP-44, with Ethereum's number in SLIP-44."""
WORD_COUNTS: Final = (12, 15, 18, 21, 24)
"""Source: BIP-39."""
STEPS_MAX: Final = 255
"""A key's depth is one byte of its serialization. Source: BIP-32."""
_INDEX_MAX: Final = 2**31 - 1
"""The upper half of the numbers are the hardened ones."""
_STEP: Final = re.compile(r"(0|[1-9][0-9]{0,9})(['hH]?)")
_ROOT_KEY: Final = b"Bitcoin seed"


@dataclass(frozen=True, slots=True)
class ExtendedKey:
    """A key with what its children are derived by."""

    key: PrivateKey
    chain_code: bytes = field(repr=False)


def parse_mnemonic(text: str) -> str:
    """Return the words in the form whose seed wallets take: lower case, decomposed, one space between two.

    Raises InvalidMnemonic for another number of words than BIP-39 has, words that no one list has, or a wrong checksum.
    """
    from eth_account.hdaccount.mnemonic import Mnemonic  # noqa: PLC0415 - see above

    words = unicodedata.normalize("NFKD", text).lower().split()
    if len(words) not in WORD_COUNTS:
        counts = ", ".join(map(str, WORD_COUNTS))
        raise InvalidMnemonic(f"the mnemonic: found {len(words)} words, expected one of {counts}")
    joined = " ".join(words)
    lists = [Mnemonic(language) for language in Mnemonic.list_languages_enum()]
    if any(words_of.is_mnemonic_valid(joined) for words_of in lists):
        return joined
    nearest = max(lists, key=lambda words_of: sum(word in words_of.wordlist for word in words))
    unknown = [str(place) for place, word in enumerate(words, 1) if word not in nearest.wordlist]
    if unknown:
        raise InvalidMnemonic(
            f"the mnemonic: word {', '.join(unknown)} is not in the {nearest.language} list of BIP-39, which has most of the others"
        )
    raise InvalidMnemonic(
        f"the mnemonic: all words are in the {nearest.language} list of BIP-39, and the checksum in the last is wrong: look for a word in another's "
        "place, or for a similar one"
    )


def calculate_seed(words: str, passphrase: str = "") -> bytes:
    """Return the 64 bytes that all keys of a mnemonic come from; with another passphrase they are others. Source: BIP-39."""
    from eth_account.hdaccount.mnemonic import Mnemonic  # noqa: PLC0415 - see above

    seed: bytes = Mnemonic.to_seed(words, passphrase)
    return seed


def derive(seed: bytes, path: str) -> ExtendedKey:
    """Return the key at a path, such as "m/44'/60'/0'/0/0". Source: BIP-32."""
    from eth_account.hdaccount.deterministic import HardNode, SoftNode, derive_child_key  # noqa: PLC0415 - see above

    root = hmac.digest(_ROOT_KEY, seed, "sha512")
    key, chain_code = root[:32], root[32:]
    for index, is_hardened in parse_path(path):
        step = HardNode(index) if is_hardened else SoftNode(index)
        key, chain_code = derive_child_key(key, chain_code, step)
    return ExtendedKey(PrivateKey(key), chain_code)


def parse_path(path: str) -> list[tuple[int, bool]]:
    """Return the number of each step, and whether it is hardened; raises InvalidPath."""
    root, *steps = path.split("/")
    if root != "m" or len(steps) > STEPS_MAX:
        raise InvalidPath(
            f"path: found {path!r:.80}, expected m and up to {STEPS_MAX} steps, as in m/44'/60'/0'/0/0"
        )
    parsed = []
    for step in steps:
        match = _STEP.fullmatch(step)
        if match is None or int(match[1]) > _INDEX_MAX:
            raise InvalidPath(
                f"path: found the step {step!r:.80}, expected a number up to {_INDEX_MAX}, with ' behind it if it is hardened"
            )
        parsed.append((int(match[1]), bool(match[2])))
    return parsed
