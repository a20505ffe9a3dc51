"""The exceptions that cross a module's border.

The first question of an error is whose fault it is::

    MetanodeError
    ├── InvalidInput              a peer, a caller or a file said something wrong: answer it, do not retry
    │   ├── InvalidEncoding       bytes or text that are no canonical RLP, hex, number
    │   ├── InvalidSignature      a signature that is out of range, high-s, or of somebody else
    │   ├── InvalidBlock          a block that breaks a rule of the chain
    │   ├── InvalidCertificate    a certificate that does not prove its height
    │   ├── InvalidGenesis        a genesis file; the message names the field
    │   ├── InvalidKeystore       a key file, its permissions, or its password
    │   ├── InvalidMnemonic       words that are no mnemonic of BIP-39
    │   └── InvalidPath           a path of derived keys that is not one of BIP-32
    └── Unavailable               the disk, the engine or the network did not do its work: retry or stop
        ├── StorageDamaged        bytes on disk that were once whole and are not any more: an operator decides
        ├── StorageFailed         the disk or the database refused a read or a write
        ├── KeyInUse              another process holds the signing key
        └── SigningRefused        the signer's watermark forbids this signature

What is our own fault is an AssertionError.
"""


class MetanodeError(Exception):
    """Root of everything Metanode raises on purpose."""


class InvalidInput(MetanodeError):  # noqa: N818 - says whose fault it is
    """Somebody else's bytes, call or file are wrong."""


class InvalidEncoding(InvalidInput):
    """Bytes or text are not the canonical encoding of anything."""


class InvalidSignature(InvalidInput):
    """A signature is malformed or not the expected signer's."""


class InvalidBlock(InvalidInput):
    """A block breaks a rule of the chain."""


class InvalidCertificate(InvalidInput):
    """A certificate does not prove that its block was decided."""


class InvalidGenesis(InvalidInput):
    """A genesis file cannot start a chain."""


class InvalidKeystore(InvalidInput):
    """A key file cannot be used."""


class InvalidMnemonic(InvalidInput):
    """Words are not a mnemonic."""


class InvalidPath(InvalidInput):
    """A text names no key below a seed."""


class Unavailable(MetanodeError):  # noqa: N818 - the same
    """A part of the outside did not do its work."""


class StorageDamaged(Unavailable):
    """A file holds something else than what was written to it."""


class StorageFailed(Unavailable):
    """The disk or the database refused a read or a write."""


class KeyInUse(Unavailable):
    """Another process holds the lock of this signing key."""


class SigningRefused(Unavailable):
    """Signing this could contradict what the key has signed before."""
