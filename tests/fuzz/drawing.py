"""Scenarios out of a seed: the same seed and run give the same accounts, blocks and transactions, always.

Good transactions are drawn against a guess of the state (nonces, balances); where the guess is wrong they are refused, by both sides.
"""

import dataclasses
from random import Random
from typing import Final

from tests.fuzz.assembly import FORKS, is_since
from tests.fuzz.precompiles import draw_input, draw_precompile
from tests.fuzz.programs import INITCODE_BYTES_MAX, Surroundings, draw_initcode, draw_program
from tests.fuzz.scenario import Account, Block, Scenario, Way, Withdrawal
from tests.fuzz.transactions import (
    ACCESS_LIST,
    FEE_MARKET,
    LEGACY,
    SET_CODE,
    Authorization,
    Damage,
    Transaction,
    floor_gas,
    intrinsic_gas,
    key_of,
)

from metanode.chain.predeploys import SYSTEM_CONTRACTS, load_predeploys
from metanode.crypto.hashing import keccak256

FORK_WEIGHTS: Final = {"Osaka": 10, "BPO2": 1, "Prague": 3, "Cancun": 1, "Shanghai": 1}
"""Osaka is what our networks run; the others are in the code too."""
TRANSITION_FORK_WEIGHTS: Final = dict.fromkeys(FORKS, 1) | {"Osaka": 12}
"""Without a chain even the oldest rules need nothing but a state."""
WAY_WEIGHTS: Final = {Way.GIVEN: 5, Way.BUILT: 3, Way.TRANSITION: 3}
KEYS: Final = 6
CONTRACTS_MAX: Final = 6
BLOCKS_MAX: Final = 3
TRANSACTIONS_MAX: Final = 7
"""In one block."""
TRANSACTION_GAS_MAX: Final = 1 << 24
"""EIP-7825."""
NONCE_MAX: Final = 2**64 - 1
ETHER: Final = 10**18
DEPOSIT_CONTRACT: Final = bytes.fromhex("00000000219ab540356cbb839cbe05303d7705fa")
DELEGATION: Final = b"\xef\x01\x00"
MISSING: Final = tuple(bytes(19) + bytes([0xEE - index]) for index in range(3))
"""Addresses of nobody."""
_DEPOSIT_TOPIC: Final = bytes.fromhex("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5")
_DEPOSIT_FIELDS: Final = ((160, 48), (256, 32), (320, 8), (384, 96), (512, 8))
"""Where each field of a deposit event begins with its length, and how long it is (EIP-6110)."""


def draw_scenario(seed: int, run: int) -> Scenario:
    """Run number `run` of a seed."""
    random = Random(f"{seed}/{run}")
    way = random.choices(list(WAY_WEIGHTS), list(WAY_WEIGHTS.values()))[0]
    weights = TRANSITION_FORK_WEIGHTS if way is Way.TRANSITION else FORK_WEIGHTS
    fork = random.choices(list(weights), list(weights.values()))[0]
    return _Drawer(random, seed, run, fork, way).scenario()


class _Drawer:
    """What has been drawn of one scenario so far."""

    def __init__(self, random: Random, seed: int, run: int, fork: str, way: Way) -> None:
        self._random = random
        self._head = {"seed": seed, "run": run, "fork": fork, "way": way}
        self._fork = fork
        self._way = way
        self._secrets = [keccak256(f"{seed}/{run}/{index}".encode()) for index in range(KEYS)]
        self._addresses = [key_of(secret).address for secret in self._secrets]
        self._contracts = [
            bytes(17) + bytes([0xC0, 0xDE, index]) for index in range(random.randint(1, CONTRACTS_MAX))
        ]
        self._system = [predeploy.address for predeploy in load_predeploys()[:SYSTEM_CONTRACTS]]
        self._chain_id = random.choice((1, 1, 1337, 2**31))
        self._base_fee = random.choice((7, 8, 1_000, 10**9, 123_456_789))
        self._gas_limit = random.choice((36_000_000, 36_000_000, 30_000_000, 5_000_000, 1_000_000))
        self._nonces: dict[bytes, int] = {}
        self._codes: dict[bytes, bytes] = {}
        everybody = [*self._contracts * 6, *self._addresses, *self._system, DEPOSIT_CONTRACT, *MISSING]
        self._surroundings = Surroundings(fork=fork, addresses=everybody)

    def scenario(self) -> Scenario:
        random = self._random
        gas_limit = self._gas_limit
        accounts = (*self._wallets(), *self._coded(), *self._system_accounts())
        is_chain = self._way is not Way.TRANSITION
        blocks = tuple(self._block() for _ in range(random.choice((1, 1, 2, BLOCKS_MAX)) if is_chain else 1))
        return Scenario(
            **self._head,  # type: ignore[arg-type]
            chain_id=self._chain_id,
            timestamp=random.choice((0, 1_700_000_000, 2**40)),
            gas_limit=gas_limit,
            base_fee=self._base_fee,
            excess_blob_gas=random.choice((0, 0, 131_072, 10_000_000, 50_000_000)),
            accounts=accounts,
            blocks=blocks,
            number=0 if is_chain else random.choice((1, 2, 255, 256, 257, 2**32)),
            difficulty=0 if is_chain else random.choice((0, 1, 131_072, 2**70)),
        )

    # Accounts

    def _wallets(self) -> list[Account]:
        random, found = self._random, []
        for index, address in enumerate(self._addresses):
            balance = random.choice((10**6 * ETHER, 10**6 * ETHER, 10**6 * ETHER, ETHER, 10**14 + 1, 1, 0))
            nonce = random.choice((0, 0, 0, 1, 7, 127, 128, 2**32, NONCE_MAX - 2, NONCE_MAX - 1, NONCE_MAX))
            if index < 3:
                balance, nonce = 10**6 * ETHER, min(nonce, 2**32)
            code = b""
            if self._has_set_code() and random.randrange(4) == 0:
                code = DELEGATION + random.choice(
                    (*self._contracts, *self._addresses, *MISSING, bytes(19) + b"\x02")
                )
            elif random.randrange(20) == 0 and index:
                code = b"\x00"
            self._nonces[address], self._codes[address] = nonce, code
            found.append(
                Account(address=address, balance=balance, nonce=nonce, code=code, storage=self._storage(4))
            )
        return [account for account in found if not _is_empty(account)]

    def _coded(self) -> list[Account]:
        random, found = self._random, []
        for address in self._contracts:
            code = draw_program(random, self._surroundings, statements_max=random.choice((4, 12, 24)))
            if random.randrange(25) == 0:
                # Almost a delegation, as only a genesis can hold it.
                code = random.choice(
                    (DELEGATION, DELEGATION + bytes(19), DELEGATION + bytes(21), b"\xef\x01\x01" + bytes(20))
                )
            nonce = random.choice((1, 1, 1, 1, 0, 5, NONCE_MAX - 1, NONCE_MAX))
            balance = random.choice((0, 0, 1, ETHER, 3 * ETHER + 7))
            found.append(
                Account(address=address, balance=balance, nonce=nonce, code=code, storage=self._storage(2))
            )
        deposit = Account(address=DEPOSIT_CONTRACT, nonce=1, code=_deposit_code())
        return [*found, deposit] if random.randrange(2) else found

    def _storage(self, one_in: int) -> tuple[tuple[int, int], ...]:
        random = self._random
        if random.randrange(one_in):
            return ()
        slots = random.sample((0, 1, 2, 3, 4, 5, 100, 2**255, 2**256 - 1), random.randint(1, 6))
        address = int.from_bytes(random.choice(self._surroundings.addresses), "big")
        return tuple((slot, random.choice((1, 2, 255, 2**256 - 1, address))) for slot in slots)

    def _system_accounts(self) -> list[Account]:
        return [
            Account(address=each.address, nonce=1, code=each.code)
            for each in load_predeploys()[:SYSTEM_CONTRACTS]
        ]

    def _has_set_code(self) -> bool:
        return is_since(self._fork, "Prague")

    # Blocks

    def _block(self) -> Block:
        random = self._random
        step = self._gas_limit // 1_024 - 1
        change = random.choice((0, 0, 0, 1, -1, step, -step)) if self._gas_limit > 2_000_000 else 0
        self._gas_limit += change
        withdrawals = tuple(
            Withdrawal(
                index=random.choice((index, NONCE_MAX)),
                validator=random.randrange(10),
                address=random.choice(self._surroundings.addresses),
                amount_gwei=random.choice((0, 1, 32 * 10**9, 2**40)),
            )
            for index in range(random.choice((0, 0, 1, 3)))
        )
        count = random.choice((0, 1, 2, 3, 4, 5, 6, TRANSACTIONS_MAX))
        return Block(
            seconds_after=random.choice((1, 2, 12, 100_000)),
            gas_limit_change=change,
            coinbase=random.choice(
                (bytes(20), b"\x0f" * 20, self._addresses[0], self._contracts[0], bytes(19) + b"\x04")
            ),
            prev_randao=random.randbytes(32),
            beacon_root=random.randbytes(32),
            extra_data=random.randbytes(random.choice((0, 8, 32))),
            withdrawals=withdrawals,
            transactions=tuple(self._transaction() for _ in range(count)),
        )

    # Transactions

    def _transaction(self) -> Transaction:
        random = self._random
        makers = [
            (12, self._to_contract), (3, self._transfer), (5, self._creation), (4, self._to_precompile), (4, self._to_system),
            (2, self._long_data), (1, self._big_gas),
        ]  # fmt: skip
        transaction = random.choices([make for _, make in makers], [weight for weight, _ in makers])[0]()
        if random.randrange(6) == 0:
            return self._spoiled(transaction)
        sender = key_of(transaction.secret).address
        self._nonces[sender] += 1
        for authorization in transaction.authorizations:
            self._guess_authorized(authorization)
        return transaction

    def _plain(
        self, label: str, *, to: bytes | None, value: int = 0, data: bytes = b"", gas_more: int
    ) -> Transaction:
        """A transaction that should be good, with the fees, lists and gas that are drawn for all of them."""
        random = self._random
        secret = random.choice((*self._secrets[:3] * 3, *self._secrets))
        sender = key_of(secret).address
        kinds = [LEGACY]
        if is_since(self._fork, "Berlin"):
            kinds.append(ACCESS_LIST)
        if is_since(self._fork, "London"):
            kinds += [FEE_MARKET, FEE_MARKET]
        if self._has_set_code() and to is not None:
            kinds.append(SET_CODE)
        kind = random.choice(kinds)
        max_fee = 2 * self._base_fee + random.choice((0, 1, 10**9))
        chain_id: int | None = self._chain_id
        if kind == LEGACY and random.randrange(3) == 0 and self._way is not Way.BUILT:
            chain_id = None
        if not is_since(self._fork, "EIP158"):
            chain_id = None
        transaction = Transaction(
            label=label,
            kind=kind,
            secret=secret,
            nonce=self._nonces[sender],
            gas=0,
            max_fee=max_fee,
            tip=random.choice((0, 1, max_fee)) if kind in (FEE_MARKET, SET_CODE) else 0,
            to=to,
            value=value,
            data=data,
            chain_id=chain_id,
            access_list=self._access_list() if kind != LEGACY else (),
            authorizations=self._authorizations() if kind == SET_CODE else (),
        )
        least = max(intrinsic_gas(transaction), floor_gas(transaction))
        gas = random.choice((least, least + 1)) if random.randrange(12) == 0 else least + gas_more
        return dataclasses.replace(transaction, gas=gas)

    def _some_gas(self) -> int:
        gas = self._random.choice(
            (300, 2_300, 30_000, 100_000, 400_000, 400_000, 1_000_000, 1_000_000, 2_000_000)
        )
        return min(gas, self._gas_limit // 3)

    def _to_contract(self) -> Transaction:
        random = self._random
        data = random.choice(
            (b"", random.randbytes(4), bytes(32), random.randbytes(68), (1).to_bytes(32, "big") * 3)
        )
        value = random.choice((0, 0, 0, 1, 10**15))
        return self._plain(
            "call", to=random.choice(self._contracts), value=value, data=data, gas_more=self._some_gas()
        )

    def _transfer(self) -> Transaction:
        random = self._random
        to = random.choice((*self._addresses, *MISSING, random.randbytes(20)))
        return self._plain(
            "transfer",
            to=to,
            value=random.choice((0, 1, ETHER)),
            gas_more=random.choice((0, 0, 10_000, 200_000)),
        )

    def _creation(self) -> Transaction:
        random = self._random
        data = draw_initcode(random, self._surroundings)
        return self._plain(
            "create", to=None, value=random.choice((0, 0, 1)), data=data, gas_more=self._some_gas()
        )

    def _to_precompile(self) -> Transaction:
        random = self._random
        number = draw_precompile(random)
        data = draw_input(random, number)
        value = random.choice((0, 0, 0, 1))
        return self._plain(
            "precompile",
            to=number.to_bytes(20, "big"),
            value=value,
            data=data,
            gas_more=random.choice((3_000, 60_000, 400_000)),
        )

    def _to_system(self) -> Transaction:
        """What the system contracts are for: asking for withdrawals, consolidations, roots and hashes; and deposits."""
        random = self._random
        beacon_roots, history, withdrawals, consolidations = self._by_number()
        match random.randrange(6):
            case 0:
                to, data, value = (
                    beacon_roots,
                    random.choice((12, 1_700_000_012, 2**63)).to_bytes(32, "big"),
                    0,
                )
            case 1:
                to, data, value = history, random.choice((0, 1, 2, 2**255)).to_bytes(32, "big"), 0
            case 2:
                to, data, value = (
                    withdrawals,
                    random.randbytes(random.choice((56, 56, 56, 0, 55))),
                    random.choice((0, 1, 1, 17)),
                )
            case 3:
                to, data, value = (
                    consolidations,
                    random.randbytes(random.choice((96, 96, 96, 0, 95))),
                    random.choice((0, 1, 1, 17)),
                )
            case _:
                to, data, value = DEPOSIT_CONTRACT, self._deposit_event(), 0
        return self._plain("system", to=to, data=data, value=value, gas_more=random.choice((30_000, 400_000)))

    def _by_number(self) -> list[bytes]:
        """Of EIP-4788, 2935, 7002 and 7251, which their addresses end with."""
        endings = ("beac02", "2935", "7002", "7251")
        return [next(each for each in self._system if each.hex().endswith(ending)) for ending in endings]

    def _deposit_event(self) -> bytes:
        random = self._random
        data = bytearray(576)
        for index, (offset, length) in enumerate(_DEPOSIT_FIELDS):
            data[32 * index : 32 * index + 32] = offset.to_bytes(32, "big")
            data[offset : offset + 32] = length.to_bytes(32, "big")
            data[offset + 32 : offset + 32 + length] = random.randbytes(length)
        if random.randrange(8) == 0:
            # A layout that makes the whole block invalid; or, in what pads a field, does not.
            data[random.choice((31, 63, 191, 351, 290))] ^= 1
        return bytes(data) + (b"\x01" if random.randrange(20) == 0 else b"")

    def _long_data(self) -> Transaction:
        random = self._random
        size = random.choice((1_000, 5_000, 20_000))
        data = random.choice((bytes(size), b"\x01" * size, random.randbytes(size)))
        return self._plain(
            "long data",
            to=random.choice((*self._contracts, *MISSING)),
            data=data,
            gas_more=random.choice((0, 100, 50_000)),
        )

    def _big_gas(self) -> Transaction:
        random = self._random
        if random.randrange(2):
            transaction = self._plain("much gas", to=random.choice(MISSING), gas_more=0)
            gas = random.choice(
                (TRANSACTION_GAS_MAX, TRANSACTION_GAS_MAX + 1, self._gas_limit, self._gas_limit + 1)
            )
            return dataclasses.replace(transaction, gas=gas)
        size = random.choice((INITCODE_BYTES_MAX, INITCODE_BYTES_MAX + 1))
        return self._plain("long initcode", to=None, data=bytes(size), gas_more=100)

    def _access_list(self) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
        random = self._random
        addresses = [
            random.choice(self._surroundings.addresses) for _ in range(random.choice((0, 0, 1, 2, 4)))
        ]
        return tuple(
            (address, tuple(random.choices((0, 1, 2, 2**256 - 1), k=random.randrange(4))))
            for address in addresses
        )

    def _authorizations(self) -> tuple[Authorization, ...]:
        return tuple(self._authorization() for _ in range(self._random.choice((1, 1, 2, 4))))

    def _authorization(self) -> Authorization:
        random = self._random
        secret = random.choice(self._secrets)
        nonce = self._nonces[key_of(secret).address]
        damages = (Damage.HIGH_S, Damage.ZERO_R, Damage.BIG_R, Damage.PARITY, Damage.OTHER_SIGNER)
        return Authorization(
            secret=secret,
            chain_id=random.choice(
                (self._chain_id, self._chain_id, self._chain_id, 0, 0, self._chain_id + 1, 2**256 - 1)
            ),
            address=random.choice(
                (*self._contracts, *self._addresses, *MISSING, bytes(20), bytes(20), bytes(19) + b"\x01")
            ),
            nonce=random.choice((nonce, nonce, nonce, min(nonce + 1, NONCE_MAX), 0, NONCE_MAX)),
            damage=random.choice(damages) if random.randrange(8) == 0 else Damage.NONE,
        )

    def _guess_authorized(self, authorization: Authorization) -> None:
        address = key_of(authorization.secret).address
        code = self._codes[address]
        if (
            authorization.damage is Damage.NONE
            and authorization.chain_id in (0, self._chain_id)
            and authorization.nonce == self._nonces[address] < NONCE_MAX
            and (not code or code.startswith(DELEGATION))
        ):
            self._nonces[address] += 1

    def _spoiled(self, good: Transaction) -> Transaction:
        """The same with something about it that nobody may take; a few of these are good all the same."""
        random = self._random
        change = dataclasses.replace
        floor = floor_gas(good)
        spoilt = [
            change(good, nonce=min(good.nonce + 1, NONCE_MAX)),
            change(good, nonce=max(good.nonce - 1, 0)),
            change(good, nonce=NONCE_MAX),
            change(good, value=2**256 - 1),
            change(good, value=10**7 * ETHER),
            change(good, gas=intrinsic_gas(good) - 1),
            change(good, gas=floor - 1),
            change(good, gas=0),
            change(good, gas=TRANSACTION_GAS_MAX + 1),
            change(good, gas=2**64 - 1),
            change(good, max_fee=1, tip=0),
            change(good, max_fee=2**256 - 1),
            change(good, chain_id=self._chain_id + 1),
            *(change(good, damage=damage) for damage in Damage if damage is not Damage.NONE),
        ]
        if good.kind in (FEE_MARKET, SET_CODE):
            spoilt += [change(good, tip=good.max_fee + 1)] * 2
        if good.kind == SET_CODE:
            spoilt += [change(good, authorizations=()), change(good, to=None)] * 2
        if not self._has_set_code():
            spoilt += [
                change(good, kind=SET_CODE, to=good.to or MISSING[0], authorizations=self._authorizations())
            ] * 2
        spoiled = random.choice(spoilt)
        return change(spoiled, label="spoiled")


def _is_empty(account: Account) -> bool:
    return not (account.balance or account.nonce or account.code)


def _deposit_code() -> bytes:
    """Logs what it is sent as the deposit contract logs a deposit."""
    # CALLDATASIZE, 0, 0, CALLDATACOPY; topic, CALLDATASIZE, 0, LOG1
    return bytes.fromhex("365f5f377f") + _DEPOSIT_TOPIC + bytes.fromhex("365fa100")
