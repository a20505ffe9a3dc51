"""Bytecode with labels: instructions by name, jumps to places that are not known yet, and data behind the code."""

from typing import Final

_NAMES: Final = {
    0x00: "STOP ADD MUL SUB DIV SDIV MOD SMOD ADDMOD MULMOD EXP SIGNEXTEND",
    0x10: "LT GT SLT SGT EQ ISZERO AND OR XOR NOT BYTE SHL SHR SAR CLZ",
    0x20: "KECCAK256",
    0x30: "ADDRESS BALANCE ORIGIN CALLER CALLVALUE CALLDATALOAD CALLDATASIZE CALLDATACOPY CODESIZE CODECOPY GASPRICE EXTCODESIZE "
    "EXTCODECOPY RETURNDATASIZE RETURNDATACOPY EXTCODEHASH",
    0x40: "BLOCKHASH COINBASE TIMESTAMP NUMBER PREVRANDAO GASLIMIT CHAINID SELFBALANCE BASEFEE BLOBHASH BLOBBASEFEE",
    0x50: "POP MLOAD MSTORE MSTORE8 SLOAD SSTORE JUMP JUMPI PC MSIZE GAS JUMPDEST TLOAD TSTORE MCOPY PUSH0",
    0x60: " ".join(f"PUSH{width}" for width in range(1, 33)),
    0x80: " ".join(f"DUP{depth}" for depth in range(1, 17)),
    0x90: " ".join(f"SWAP{depth}" for depth in range(1, 17)),
    0xA0: " ".join(f"LOG{topics}" for topics in range(5)),
    0xF0: "CREATE CALL CALLCODE RETURN DELEGATECALL CREATE2",
    0xFA: "STATICCALL",
    0xFD: "REVERT INVALID SELFDESTRUCT",
}
OPCODES: Final = {
    name: first + index for first, names in _NAMES.items() for index, name in enumerate(names.split())
}
"""Every instruction of Osaka by its name."""
NAMES: Final = {code: name for name, code in OPCODES.items()}
FORKS: Final = (
    "Frontier", "Homestead", "EIP150", "EIP158", "Byzantium", "ConstantinopleFix", "Istanbul", "Berlin", "London", "Paris", "Shanghai",
    "Cancun", "Prague", "Osaka", "BPO1", "BPO2",
)  # fmt: skip
"""The rules that can be fuzzed, oldest first, as the official tests write them."""
_NEWER: Final = {
    "Homestead": {"DELEGATECALL": ("POP", "POP", "POP", "POP", "POP")},
    "Byzantium": {
        "RETURNDATASIZE": ("MSIZE",), "RETURNDATACOPY": ("CALLDATACOPY",), "STATICCALL": ("DELEGATECALL",), "REVERT": ("RETURN",),
    },
    "ConstantinopleFix": {
        "SHL": ("ADD",), "SHR": ("DIV",), "SAR": ("SDIV",), "EXTCODEHASH": ("BALANCE",), "CREATE2": ("CREATE", "SWAP1", "POP"),
    },
    "Istanbul": {"CHAINID": ("PC",), "SELFBALANCE": ("CALLVALUE",)},
    "London": {"BASEFEE": ("GASPRICE",)},
    "Shanghai": {"PUSH0": ("PC",)},
    "Cancun": {
        "TLOAD": ("SLOAD",), "TSTORE": ("SSTORE",), "MCOPY": ("CALLDATACOPY",), "BLOBHASH": ("BLOCKHASH",), "BLOBBASEFEE": ("TIMESTAMP",),
    },
    "Osaka": {"CLZ": ("NOT",)},
}  # fmt: skip
"""By fork the instructions that came with it, and older ones that do the same to the height of the stack."""


def is_since(fork: str, first: str) -> bool:
    """Whether the rules of `fork` are those of `first` or newer ones."""
    return FORKS.index(fork) >= FORKS.index(first)


def substitutes(fork: str) -> dict[str, tuple[str, ...]]:
    """What stands for the instructions that `fork` does not know yet."""
    return {
        name: older
        for since, names in _NEWER.items()
        if not is_since(fork, since)
        for name, older in names.items()
    }


PUSH1: Final = OPCODES["PUSH1"]
PUSH32: Final = OPCODES["PUSH32"]
JUMPDEST: Final = OPCODES["JUMPDEST"]


class Assembly:
    """A program that grows at its end."""

    def __init__(self, fork: str = FORKS[-1]) -> None:
        self._substitutes = substitutes(fork)
        self._code = bytearray()
        self._labels: list[int | None] = []
        self._references: list[tuple[int, int]] = []
        self._data: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._code)

    def op(self, *names: str) -> None:
        """Append instructions, or what stands for them under the program's fork."""
        for name in names:
            if name == "PUSH0" in self._substitutes:
                self.push(0)
            elif name in self._substitutes:
                self.op(*self._substitutes[name])
            else:
                self._code.append(OPCODES[name])

    def raw(self, data: bytes) -> None:
        """Append bytes as they are."""
        self._code += data

    def push(self, value: int, width: int = 0) -> None:
        """Append a push of at least `width` bytes; zero in no bytes is PUSH0."""
        width = max(width, (value.bit_length() + 7) // 8, "PUSH0" in self._substitutes)
        self._code.append(OPCODES["PUSH0"] + width)
        self._code += value.to_bytes(width, "big")

    def label(self) -> int:
        """A place that is to be named later."""
        self._labels.append(None)
        return len(self._labels) - 1

    def place(self, label: int) -> None:
        """The label is here, and jumps may arrive."""
        self._labels[label] = len(self._code)
        self._code.append(JUMPDEST)

    def push_label(self, label: int) -> None:
        """Append a push of where a label will be."""
        self._code.append(PUSH1 + 1)
        self._references.append((len(self._code), label))
        self._code += b"\x00\x00"

    def data(self, content: bytes) -> int:
        """Put bytes behind the code; returns the label of their start."""
        label = self.label()
        self._data.append((label, content))
        return label

    def finish(self) -> bytes:
        """The bytes of the program."""
        code = bytearray(self._code)
        if self._data:
            code.append(OPCODES["INVALID"])
        for label, content in self._data:
            self._labels[label] = len(code)
            code += content
        for position, label in self._references:
            target = self._labels[label]
            assert target is not None, label
            # A program beyond 64 KiB is over every limit of a code's size; its jumps need not arrive.
            code[position : position + 2] = (target & 0xFFFF).to_bytes(2, "big")
        return bytes(code)


def instructions(code: bytes) -> list[bytes]:
    """Cut code into instructions, each push with its operand."""
    found, position = [], 0
    while position < len(code):
        first = code[position]
        end = position + 1 + (first - PUSH1 + 1 if PUSH1 <= first <= PUSH32 else 0)
        found.append(code[position:end])
        position = end
    return found
