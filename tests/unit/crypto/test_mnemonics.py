"""What is no mnemonic and no path is refused, without a word of it in the message. The official cases are in tests/conformance."""

import subprocess
import sys

import pytest

from metanode.crypto.mnemonics import STEPS_MAX, calculate_seed, derive, parse_mnemonic, parse_path
from metanode.errors import InvalidMnemonic, InvalidPath

WORDS = "test test test test test test test test test test test junk"


@pytest.mark.parametrize(
    "written",
    [WORDS, WORDS.upper(), f"  {WORDS}\n", WORDS.replace(" ", "\t  "), WORDS.replace(" ", "\u3000")],
    ids=["plain", "capitals", "space around", "space between", "wide space"],
)
def test_words_are_read_however_they_are_spaced_and_written(written: str) -> None:
    assert parse_mnemonic(written) == WORDS


def test_words_of_other_languages_are_read_composed_or_not() -> None:
    spanish = "ábaco " * 11 + "abierto"
    assert parse_mnemonic(spanish) == parse_mnemonic(spanish.replace("á", "a\u0301"))


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "found 0 words, expected one of 12, 15, 18, 21, 24"),
        (WORDS + " junk", "found 13 words"),
        (WORDS.replace("junk", "hunk"), "word 12 is not in the english list"),
        ("nil " + WORDS[5:].replace("junk", "hunk"), "word 1, 12 is not in the english list"),
        (WORDS.replace("junk", "test"), "the checksum in the last is wrong"),
        ("junk " + WORDS.removesuffix(" junk"), "the checksum in the last is wrong"),
    ],
)
def test_what_is_no_mnemonic_is_refused_without_a_word_of_it(written: str, reason: str) -> None:
    with pytest.raises(InvalidMnemonic, match=reason) as refusal:
        parse_mnemonic(written)
    assert not {"test", "junk", "hunk", "nil"} & set(str(refusal.value).replace(":", " ").split())


def test_a_passphrase_gives_other_keys() -> None:
    path = "m/44'/60'/0'/0/0"
    plain, other = (derive(calculate_seed(WORDS, phrase), path) for phrase in ("", "other"))
    assert plain.key.address.hex() == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert other.key.address != plain.key.address


def test_a_path_is_read_with_either_mark_of_hardened_steps() -> None:
    assert parse_path("m/44'/60h/0H/2147483647") == [(44, True), (60, True), (0, True), (2**31 - 1, False)]
    assert parse_path("m") == []


@pytest.mark.parametrize(
    "path",
    [
        "", "44'/0", "M/0", "m/", "m//0", "m/ 0", "m/+1", "m/-1", "m/1_0", "m/01", "m/x", "m/0''", "m/2147483648", "m/2147483648'",
        "m/٣", "m/i", "m" + "/0" * (STEPS_MAX + 1),
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidPath):
        parse_path(path)


def test_the_library_of_words_is_not_loaded_by_commands_that_read_none() -> None:
    program = "import sys, metanode.cli.program; print('eth_account' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
