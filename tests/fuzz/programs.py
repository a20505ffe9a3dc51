"""Random programs that mean something: the stack holds, jumps arrive, loops end, and calls and creates reach what exists.

Expressions leave one word on the stack, statements leave it as it was. A small part breaks these rules on purpose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.fuzz.assembly import NAMES, Assembly, is_since
from tests.fuzz.precompiles import draw_input, draw_precompile

CODE_BYTES_MAX: Final = 24_576
"""EIP-170."""
INITCODE_BYTES_MAX: Final = 49_152
"""EIP-3860."""
EXPRESSION_DEPTH_MAX: Final = 3
NESTING_MAX: Final = 2
"""Programs inside of programs: what a created contract creates."""

_NULLARY: Final = (
    "ADDRESS ORIGIN CALLER CALLVALUE CALLDATASIZE CODESIZE GASPRICE RETURNDATASIZE COINBASE TIMESTAMP NUMBER PREVRANDAO GASLIMIT CHAINID "
    "SELFBALANCE BASEFEE BLOBBASEFEE PC MSIZE GAS PUSH0"
).split()
_BINARY: Final = (
    "ADD MUL SUB DIV SDIV MOD SMOD EXP SIGNEXTEND LT GT SLT SGT EQ AND OR XOR BYTE SHL SHR SAR".split()
)
_ACCOUNT: Final = "BALANCE EXTCODESIZE EXTCODEHASH".split()
_WORDS: Final = (
    0, 1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 96, 127, 128, 255, 256, 257, 2**16 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 2**64,
    2**127, 2**128, 2**160 - 1, 2**255 - 1, 2**255, 2**256 - 2, 2**256 - 1,
)  # fmt: skip
_SLOTS: Final = (0, 0, 0, 1, 1, 2, 3, 4, 2**255, 2**256 - 1)
_UNDEFINED: Final = tuple(code for code in range(256) if code not in NAMES)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What programs of one scenario know of each other."""

    fork: str
    addresses: Sequence[bytes]
    """Contracts, accounts with keys, system contracts, and some that do not exist."""


def draw_program(random: Random, surroundings: Surroundings, *, statements_max: int = 10) -> bytes:
    """The code of a contract."""
    drawer = _Drawer(random, surroundings, nesting=0)
    return drawer.program(random.randint(1, statements_max))


def draw_initcode(random: Random, surroundings: Surroundings, *, nesting: int = 0) -> bytes:
    """Code that leaves a contract, most of the time."""
    return _Drawer(random, surroundings, nesting=nesting).initcode()


class _Drawer:
    """One program that is being drawn."""

    def __init__(self, random: Random, surroundings: Surroundings, *, nesting: int) -> None:
        self._random = random
        self._surroundings = surroundings
        self._nesting = nesting
        self._code = Assembly(surroundings.fork)
        self._height = 0
        """Words on the stack that belong to statements around the one that is being drawn."""
        self._static = 0

    def program(self, statements: int) -> bytes:
        for _ in range(statements):
            self._statement(0)
        self._end()
        return self._code.finish()

    def initcode(self) -> bytes:
        random, code = self._random, self._code
        for _ in range(random.choice((0, 0, 1, 2))):
            self._statement(1)
        match random.randrange(12):
            case 0:
                self._end()
            case 1:
                # A size around the limit, of zeros; the gas for it is rarely there.
                code.push(random.choice((CODE_BYTES_MAX, CODE_BYTES_MAX + 1)))
                code.op("PUSH0", "RETURN")
            case 2:
                # EIP-3541: no contract begins with 0xEF.
                self._return_data(b"\xef" + random.randbytes(random.randrange(24)))
            case 3:
                pass  # runs off its end and leaves a contract without code
            case _:
                self._return_data(self._nested_program())
        return code.finish()

    def _nested_program(self) -> bytes:
        drawer = _Drawer(self._random, self._surroundings, nesting=self._nesting + 1)
        return drawer.program(self._random.randint(0, 4))

    def _return_data(self, content: bytes) -> None:
        size = self._load_data(content, 0)
        self._code.push(size)
        self._code.op("PUSH0", "RETURN")

    def _load_data(self, content: bytes, offset: int) -> int:
        """Copy bytes from behind the code into the memory."""
        label = self._code.data(content)
        self._code.push(len(content))
        self._code.push_label(label)
        self._code.push(offset)
        self._code.op("CODECOPY")
        return len(content)

    # Statements

    def _statement(self, depth: int) -> None:
        random = self._random
        choices = [
            (8, self._discard), (10, self._store), (7, self._memory), (5, self._copy), (4, self._log), (16, self._call_and_forget),
            (4, self._precompile), (3, self._create_and_call), (6, self._shuffle), (2, self._hop), (4, self._return_data_copy),
        ]  # fmt: skip
        if depth < 2:
            choices += [(4, self._branch), (2, self._loop)]
        if random.randrange(100) == 0:
            self._break_a_rule()
            return
        weights = [weight for weight, _ in choices]
        chosen = random.choices([action for _, action in choices], weights)[0]
        if chosen in (self._branch, self._loop):
            chosen(depth)  # type: ignore[call-arg]
        else:
            chosen()  # type: ignore[call-arg]

    def _discard(self) -> None:
        self._expression(0)
        self._code.op("POP")

    def _store(self) -> None:
        transient = self._random.randrange(3) == 0
        self._expression(1)
        self._height += 1
        self._slot()
        self._height -= 1
        self._code.op("TSTORE" if transient else "SSTORE")

    def _slot(self) -> None:
        if self._random.randrange(12):
            self._code.push(self._random.choice(_SLOTS))
        else:
            self._expression(2)

    def _memory(self) -> None:
        self._expression(1)
        self._height += 1
        self._offset()
        self._height -= 1
        self._code.op(self._random.choice(("MSTORE", "MSTORE", "MSTORE8")))

    def _offset(self) -> None:
        match self._random.randrange(300):
            case 0:
                self._code.push(self._random.choice((2**16, 2**20, 2**32, 2**64, 2**256 - 1)))
            case 1 | 2:
                self._expression(EXPRESSION_DEPTH_MAX)
            case _:
                self._code.push(self._random.choice((0, 0, 1, 31, 32, 33, 64, 96, 128, 300)))

    def _size(self) -> None:
        match self._random.randrange(300):
            case 0:
                self._code.push(self._random.choice((2**16, 2**32, 2**64, 2**256 - 1)))
            case _:
                self._code.push(self._random.choice((0, 0, 1, 31, 32, 33, 64, 100)))

    def _copy(self) -> None:
        kind = self._random.choice(("CALLDATACOPY", "CODECOPY", "EXTCODECOPY", "MCOPY"))
        self._size()
        self._offset()
        self._offset()
        if kind == "EXTCODECOPY":
            self._address()
        self._code.op(kind)

    def _return_data_copy(self) -> None:
        random, code = self._random, self._code
        if random.randrange(8):
            # Exactly what is there.
            code.op("RETURNDATASIZE", "PUSH0")
            code.push(random.choice((0, 32, 64)))
        else:
            code.push(random.choice((0, 1, 32)))
            code.push(random.choice((0, 0, 1, 32, 2**64)))
            code.op("PUSH0")
        code.op("RETURNDATACOPY")

    def _log(self) -> None:
        topics = self._random.randrange(5)
        for _ in range(topics):
            self._expression(2)
            self._height += 1
        self._size()
        self._offset()
        self._height -= topics
        self._code.op(f"LOG{topics}")

    def _shuffle(self) -> None:
        """Many words, moved about by the deep instructions, and taken away."""
        count = self._random.choice((2, 4, 9, 13, 17, 17, 17))
        for _ in range(count):
            self._word()
        for _ in range(self._random.randint(1, 10)):
            if self._random.randrange(2):
                self._code.op(f"SWAP{self._random.randint(1, count - 1)}")
            else:
                self._code.op(f"DUP{self._random.randint(1, min(count, 16))}", "POP")
        if self._random.randrange(3) == 0:
            self._code.op("XOR")
            count -= 1
        self._code.op(*["POP"] * count)

    def _hop(self) -> None:
        """Over bytes that are no code."""
        code, label = self._code, self._code.label()
        code.push_label(label)
        code.op("JUMP")
        # The last byte must not be a push that would swallow the landing place.
        code.raw(self._random.randbytes(self._random.randrange(8)).replace(b"\x5b", b"\x00") + bytes(32))
        code.place(label)

    def _branch(self, depth: int) -> None:
        code, label = self._code, self._code.label()
        self._expression(1)
        code.push_label(label)
        code.op("JUMPI")
        for _ in range(self._random.randint(1, 2)):
            self._statement(depth + 1)
        if self._random.randrange(10) == 0:
            self._end()
        code.place(label)

    def _loop(self, depth: int) -> None:
        """A few times, counted on the stack."""
        code, label = self._code, self._code.label()
        code.push(self._random.randint(1, 4))
        code.place(label)
        self._height += 1
        self._statement(depth + 1)
        self._height -= 1
        code.push(1)
        code.op("SWAP1", "SUB", "DUP1")
        code.push_label(label)
        code.op("JUMPI", "POP")

    def _call_and_forget(self) -> None:
        self._call()
        self._code.op("POP")

    def _precompile(self) -> None:
        random, code = self._random, self._code
        number = draw_precompile(random)
        data = draw_input(random, number)
        size = self._load_data(data, 0)
        kind = random.choice(("CALL", "STATICCALL", "STATICCALL", "DELEGATECALL", "CALLCODE"))
        code.push(random.choice((0, 32, 64, 128, 256)))
        code.push(random.choice((0, 0, 32, 512)))
        code.push(size)
        code.op("PUSH0")
        if kind in ("CALL", "CALLCODE"):
            code.push(random.choice((0, 0, 0, 0, 1)))
        code.push(number)
        if random.randrange(8) and is_since(self._surroundings.fork, "EIP150"):
            code.op("GAS")
        else:
            code.push(random.choice((0, 100, 375, 500, 3_000, 6_900, 50_000)))
        code.op(kind)
        # What came of it is kept, so that it is in the state.
        code.op("RETURNDATASIZE", "PUSH0", "PUSH0", "RETURNDATACOPY", "MSIZE", "PUSH0", "KECCAK256", "ADD")
        code.push(random.choice(_SLOTS))
        code.op("SSTORE")

    def _create_and_call(self) -> None:
        self._create()
        code = self._code
        if self._random.randrange(2):
            self._height += 1
            for _ in range(4):
                code.op("PUSH0")
            code.push(self._random.choice((0, 0, 1)))
            code.op("DUP6", "GAS", "CALL", "POP")
            self._height -= 1
        if self._random.randrange(2):
            code.push(self._random.choice(_SLOTS))
            code.op("SSTORE")
        else:
            code.op("POP")

    def _break_a_rule(self) -> None:
        random, code = self._random, self._code
        match random.randrange(6):
            case 0:
                code.raw(random.randbytes(random.randint(1, 24)))
            case 1:
                code.raw(bytes(random.choices(list(NAMES), k=random.randint(1, 6))))
            case 2:
                code.op(*["POP"] * (self._height + 1))
            case 3:
                code.push(random.randrange(300))
                code.op("JUMP")
            case 4:
                # More words than a stack has room for, in a loop.
                label = code.label()
                code.place(label)
                code.op(*["DUP1" if self._height else "PC"] * 16)
                code.push_label(label)
                code.op("JUMP")
            case _:
                code.raw(bytes([random.choice(_UNDEFINED)]))

    def _end(self) -> None:
        random, code = self._random, self._code
        match random.randrange(14):
            case 0 | 1 | 2:
                code.op("STOP")
            case 3 | 4 | 5 | 6:
                self._size()
                self._offset()
                code.op("RETURN")
            case 7 | 8:
                self._size()
                self._offset()
                code.op("REVERT")
            case 9:
                code.op("INVALID")
            case 10 | 11:
                self._address()
                code.op("SELFDESTRUCT")
            case _:
                pass

    # Expressions

    def _expression(self, depth: int) -> None:
        random, code = self._random, self._code
        choice = random.randrange(100)
        if depth >= EXPRESSION_DEPTH_MAX or choice < 22:
            self._word()
        elif choice < 40:
            code.op(random.choice(_NULLARY))
        elif choice < 65:
            self._operands(2, depth)
            code.op(random.choice(_BINARY))
        elif choice < 68:
            self._operands(3, depth)
            code.op(random.choice(("ADDMOD", "MULMOD")))
        elif choice < 73:
            self._expression(depth + 1)
            code.op(random.choice(("ISZERO", "NOT", "CLZ")))
        elif choice < 77:
            self._address()
            code.op(random.choice(_ACCOUNT))
        elif choice < 81:
            self._slot()
            code.op("SLOAD")
        elif choice < 84:
            self._slot()
            code.op("TLOAD")
        elif choice < 87:
            self._offset()
            code.op("MLOAD")
        elif choice < 90:
            self._offset()
            code.op("CALLDATALOAD")
        elif choice < 92:
            self._size()
            self._offset()
            code.op("KECCAK256")
        elif choice < 94:
            if random.randrange(2):
                code.push(random.choice((0, 1, 2)))
                code.op("NUMBER", "SUB", "BLOCKHASH")
            else:
                self._expression(depth + 1)
                code.op(random.choice(("BLOCKHASH", "BLOBHASH")))
        elif choice < 97 and self._height:
            code.op(f"DUP{random.randint(1, min(16, self._height))}")
        else:
            self._call()

    def _operands(self, count: int, depth: int) -> None:
        for _ in range(count):
            self._expression(depth + 1)
            self._height += 1
        self._height -= count

    def _word(self) -> None:
        random = self._random
        match random.randrange(4):
            case 0:
                width = random.randint(1, 32)
                self._code.push(random.getrandbits(8 * width), width)
            case 1:
                self._code.push(random.randrange(20), random.randint(1, 32))
            case _:
                self._code.push(random.choice(_WORDS))

    def _address(self) -> None:
        random, code = self._random, self._code
        match random.randrange(12):
            case 0:
                code.op(random.choice(("ADDRESS", "CALLER", "ORIGIN", "COINBASE")))
            case 1:
                self._slot()
                code.op("SLOAD")
            case 2:
                code.push(draw_precompile(random))
            case 3:
                # The upper twelve bytes are not looked at.
                code.push(
                    int.from_bytes(random.randbytes(12) + random.choice(self._surroundings.addresses), "big"),
                    32,
                )
            case _:
                code.push(int.from_bytes(random.choice(self._surroundings.addresses), "big"), 20)

    def _call(self) -> None:
        random, code = self._random, self._code
        kind = random.choice(
            ("CALL", "CALL", "CALL", "STATICCALL", "DELEGATECALL", "DELEGATECALL", "CALLCODE")
        )
        for _ in range(2):
            self._size()
            self._offset()
        if kind in ("CALL", "CALLCODE"):
            if random.randrange(12) == 0:
                code.op(random.choice(("SELFBALANCE", "CALLVALUE", "GAS")))
            else:
                code.push(random.choice((0, 0, 0, 0, 1, 1, 10**9, 2**255)))
        self._address()
        # Before EIP-150 nobody can give away more than there is.
        match random.randrange(8) if is_since(self._surroundings.fork, "EIP150") else random.randrange(2):
            case 0:
                code.push(random.choice((0, 1, 100, 2_300, 2_600, 9_000, 30_000, 2**64, 2**256 - 1)))
            case 1:
                code.push(random.choice((2, 3, 10)))
                code.op("GAS", "DIV")
            case _:
                code.op("GAS")
        code.op(kind)

    def _create(self) -> None:
        random, code = self._random, self._code
        if self._nesting >= NESTING_MAX:
            size = self._load_data(b"\x60\x00\x60\x00\x53\x60\x01\x60\x00\xf3", 0)
        else:
            size = self._load_data(draw_initcode(random, self._surroundings, nesting=self._nesting + 1), 0)
        if random.randrange(30) == 0:
            size = random.choice((INITCODE_BYTES_MAX, INITCODE_BYTES_MAX + 1))
        is_salted = random.randrange(2)
        if is_salted:
            code.push(random.choice((0, 0, 1, 2**256 - 1)))
        code.push(size)
        code.op("PUSH0")
        code.push(random.choice((0, 0, 0, 1, 10**18, 2**255)))
        code.op("CREATE2" if is_salted else "CREATE")
