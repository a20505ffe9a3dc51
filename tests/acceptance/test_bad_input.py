"""Bad input against the real command line and a real node's RPC: each case is answered with one sentence that says what is wrong."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_account import Account
from eth_utils import keccak
from tests.acceptance.processes import Endpoint, NodeProcess, RPCError, free_ports, metanode, running

from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives import rlp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from subprocess import CompletedProcess

pytestmark = pytest.mark.timeout(300)

VALIDATOR = "0x" + "11" * 20
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
RICH = Account.from_key("0x" + "55" * 32)
CHAIN_ID = 1337


def both(home: Path, *commands: tuple[str, ...]) -> list[CompletedProcess[str]]:
    """Two commands that fail, at once: starting Python is most of the time."""
    with ThreadPoolExecutor(len(commands)) as threads:
        return list(threads.map(lambda command: metanode(*command, cwd=home, expect=1), commands))


# --- configuration ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("[network", ["config.toml: not TOML: "]),
        ("[netwrok]\nchain_id = 5", ["config.toml: netwrok: unknown section; did you mean network?"]),
        ("[network]\nchainid = 5", ["config.toml: network.chainid: unknown key; did you mean chain_id?"]),
        (
            "[server]\nrpc_port = 70000\nws_port = -1",
            [
                "server.rpc_port: found 70000; input should be less than or equal to 65535",
                "server.ws_port: found -1; input should be greater than or equal to 0",
            ],
        ),
        ("[consensus]\nblock_time = 0", ["consensus.block_time: found 0; input should be greater than or"]),
        (
            "[consensus]\nvalidators = ['0x8ba1f109551bD432803012645Hac136c30d3b8b8']",
            [
                "config.toml: consensus.validators[0]: found '0x8ba1f109551bD432803012645Hac136c30d3b8b8', ",
                "where 'H' at position 28 is not hexadecimal; expected 0x and 40 hexadecimal digits",
            ],
        ),
        (
            "[p2p]\nbootstrap_nodes = ['http://peer:30303']",
            ["p2p.bootstrap_nodes[0]: 'http://peer:30303'"],
        ),
        (
            "[database]\npostgres_url = 'mysql://u:hunter2@db/x'",
            ["database.postgres_url: found no usable URL (not shown, it may hold a password); expected postgresql://"],
        ),
        ("[database]\nredis_url = 'redis://h:port'", ["database.redis_url: found no usable URL"]),
        (
            "[validator]\nenabled = true\nvalidator_key = '${ABSENT_KEY}'",
            ["validator.validator_key: environment variable ABSENT_KEY is not set; set it, or write"],
        ),
        (
            "[validator]\nenabled = true\nvalidator_key = '0x1234'",
            ["validator.validator_key: found 4 characters that are no key; expected keystore:PATH, or 64"],
        ),
        (
            "[validator]\nenabled = true\nvalidator_key = 'keystore:absent.json'",
            ["absent.password: No such file or directory"],
        ),
        ("", ["config.toml: empty; write at least one section"]),
        ("[network]", ["genesis.json does not exist, and the configuration lists no consensus.validators"]),
    ],
)  # fmt: skip
def test_a_bad_configuration_is_explained(tmp_path: Path, text: str, sentences: list[str]) -> None:
    (tmp_path / "config.toml").write_text(text)

    finished = metanode("node", str(tmp_path), cwd=tmp_path, expect=1)

    for sentence in sentences:
        assert sentence in finished.stderr
    assert "hunter2" not in finished.stderr


# --- genesis ---------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def genesis(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("genesis")
    metanode(
        *("genesis", "new", "genesis.json", "--validator", VALIDATOR, "--chain-id", "7", "--network", "mine"),
        cwd=home,
    )
    document: dict[str, Any] = json.loads((home / "genesis.json").read_text())
    return document


def changed(document: dict[str, Any], path: str, value: Any) -> str:
    """The document with one value replaced; None removes it."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    *parents, last = path.split("/")
    place = copy
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(copy)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("config/chainId", "seven", 'config.chainId: expected a number, found "seven"'),
        ("config/chainId", 0, "config.chainId: expected 1 to "),
        ("config/metanode", None, "config.metanode"),
        ("config/metanode/validators", [], "config.metanode.validators: "),
        ("config/metanode/validators", [{"address": "0x12"}], "config.metanode.validators[0].address: expected 20 bytes, found 1 in '0x12'"),
        (
            "config/metanode/validators",
            [{"address": VALIDATOR}, {"address": VALIDATOR}],
            "config.metanode.validators[1].address: 0x1111111111111111111111111111111111111111 is the same as",
        ),
        ("config/metanode/peroid", 2, "config.metanode.peroid: unknown field, did you mean 'period'?"),
        ("config/metanode/period", 0, "config.metanode.period: expected 1 to "),
        ("config/metanode/quorum", "majority", "config.metanode.quorum: expected one of "),
        ("alloc/0x22", {"balance": "0x1"}, "alloc.0x22: expected 20 bytes, found 1 in '0x22'"),
        ("alloc/0x" + "22" * 20, {}, "expected a balance, a nonce or code; clients disagree about empty accounts"),
        ("alloc", [], "alloc: expected an object, found"),
        ("extraData", "0x" + "00" * 33, "extraData: expected at most 32 bytes, found 33"),
    ],
)  # fmt: skip
def test_a_bad_genesis_is_explained_by_check_and_by_node(
    tmp_path: Path, genesis: dict[str, Any], path: str, value: Any, sentence: str
) -> None:
    (tmp_path / "genesis.json").write_text(changed(genesis, path, value))
    (tmp_path / "config.toml").write_text("[server]\n")

    checked, started = both(tmp_path, ("genesis", "check", "genesis.json"), ("node", str(tmp_path)))

    assert sentence in checked.stderr
    assert sentence in started.stderr
    assert "genesis.json: " in started.stderr


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00", '{"config": NaN}'])
def test_a_genesis_that_is_no_json_object_is_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / "genesis.json").write_text(text)

    finished = metanode("genesis", "check", "genesis.json", cwd=tmp_path, expect=1)

    assert finished.stderr.startswith(("error: genesis.json: genesis: ", "error: genesis.json: config: "))
    assert "expected" in finished.stderr


def test_another_genesis_than_the_data_s_is_refused(tmp_path: Path, lone: NodeProcess) -> None:
    copied = tmp_path / "copy"
    copied.mkdir()
    lone_genesis = json.loads((lone.home / "genesis.json").read_text())
    rpc_port, p2p_port = free_ports(2)
    config = f'[server]\nrpc_port = {rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n'
    (copied / "config.toml").write_text(config)
    (copied / "genesis.json").write_text(json.dumps(lone_genesis))
    with running([NodeProcess(copied, rpc_port)]):
        pass
    (copied / "genesis.json").write_text(changed(lone_genesis, "config/chainId", 8))

    finished = metanode("node", str(copied), cwd=copied, expect=1)

    assert "node.db: belongs to the network with the genesis hash 0x" in finished.stderr
    assert "and the chain id 1337; the genesis file makes 0x" in finished.stderr


# --- keystores -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("keystore")
    metanode("keys", "new", "validator.json", "--dev", cwd=home)
    return {
        "document": json.loads((home / "validator.json").read_text()),
        "password": (home / "validator.password").read_text(),
    }


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("version", 2, "version: expected 3, found 2"),
        ("crypto", "x", "crypto: expected an object, found str"),
        ("crypto/cipher", "aes-256", "crypto.cipher: expected 'aes-128-ctr', found 'aes-256'"),
        ("crypto/cipherparams/iv", "00", "crypto.cipherparams.iv: expected 16 bytes, found 1"),
        ("crypto/ciphertext", "zz", "crypto.ciphertext: expected hex digits"),
        ("crypto/mac", "00" * 32, "the password does not open the key file"),
        ("crypto/kdf", "argon2", "crypto.kdf: expected 'scrypt' or 'pbkdf2', found 'argon2'"),
        ("crypto/kdfparams/n", 1000, "crypto.kdfparams.n: expected a power of two, found 1000"),
        ("crypto/kdfparams/n", 1 << 27, "asks for 137438953472 bytes, the limit is"),
        ("crypto/kdfparams/dklen", 16, "crypto.kdfparams.dklen: expected 32, found 16"),
        ("address", "22" * 20, "address: the key belongs to 0x"),
    ],
)
def test_a_bad_keystore_is_explained_by_keys_show_and_by_node(
    tmp_path: Path, keystore: dict[str, Any], path: str, value: Any, sentence: str
) -> None:
    for name, text in (
        ("validator.json", changed(keystore["document"], path, value)),
        ("validator.password", keystore["password"]),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "config.toml").write_text(
        '[validator]\nenabled = true\nvalidator_key = "keystore:validator.json"\n'
    )

    for finished in both(tmp_path, ("keys", "show", "validator.json"), ("node", str(tmp_path))):
        assert sentence in finished.stderr
        assert "validator.json: " in finished.stderr


def test_a_wrong_password_and_open_permissions_are_explained(
    tmp_path: Path, keystore: dict[str, Any]
) -> None:
    file, password = tmp_path / "validator.json", tmp_path / "validator.password"
    file.write_text(json.dumps(keystore["document"]))
    password.write_text("wrong")
    file.chmod(0o600)
    password.chmod(0o600)

    wrong = metanode("keys", "show", "validator.json", cwd=tmp_path, expect=1)
    file.chmod(0o644)
    open_to_all = metanode("keys", "show", "validator.json", cwd=tmp_path, expect=1)

    assert "validator.json: the password does not open the key file" in wrong.stderr
    assert "validator.json: others may read it (mode 0644); run: chmod 600" in open_to_all.stderr


# --- raw transactions (docs/evidence/bad-inputs.md, row 17) ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One validator that is a whole network; `RICH` has money on it."""
    home = tmp_path_factory.mktemp("lone")
    rpc_port, p2p_port = free_ports(2)
    key = PrivateKey(b"\x11" * 32)
    metanode(
        *("genesis", "new", "genesis.json", "--validator", "0x" + key.address.hex(), "--chain-id", str(CHAIN_ID)),
        *("--network", "lone", "--fund", f"{RICH.address}=1000"),
        cwd=home,
    )  # fmt: skip
    (home / "config.toml").write_text(
        f'[server]\nrpc_port = {rpc_port}\n[p2p]\nlisten_address = "127.0.0.1:{p2p_port}"\n'
        '[validator]\nenabled = true\nvalidator_key = "${KEY}"\n'
    )
    with running([node := NodeProcess(home, rpc_port, environment={"KEY": "11" * 32})]):
        yield node


def legacy_fields(**changes: bytes) -> list[Any]:
    """The nine fields of a signed legacy transfer, some replaced after signing."""
    values: dict[str, bytes] = {
        "nonce": b"", "gas_price": (10**11).to_bytes(5), "gas": (21_000).to_bytes(2), "to": b"\x77" * 20,
        "value": b"\x01", "data": b"",
    }  # fmt: skip
    values |= {name: value for name, value in changes.items() if name in values}
    chain_id = changes.get("chain_id", CHAIN_ID.to_bytes(2))
    digest = keccak(rlp.encode([*values.values(), chain_id, b"", b""]))
    signature = PrivateKey(b"\x55" * 32).sign(digest)  # type: ignore[arg-type]
    v = int.from_bytes(chain_id) * 2 + 35 + signature[64]
    seal = {
        "v": v.to_bytes((v.bit_length() + 7) // 8),
        "r": signature[:32].lstrip(b"\0"),
        "s": signature[32:64].lstrip(b"\0"),
    }
    return [*values.values(), *(seal | {name: changes[name] for name in seal if name in changes}).values()]


def legacy(**changes: bytes) -> bytes:
    return rlp.encode(legacy_fields(**changes))


def high_s() -> bytes:
    *rest, v, r, s = legacy_fields()
    flipped = ORDER - int.from_bytes(s)
    other_v = int.from_bytes(v) - 35 - 2 * CHAIN_ID
    v = (35 + 2 * CHAIN_ID + (1 - other_v)).to_bytes(2)
    return rlp.encode([*rest, v, r, flipped.to_bytes(32).lstrip(b"\0")])


def dynamic(**changes: Any) -> bytes:
    transaction = {
        "chainId": CHAIN_ID, "nonce": 0, "to": "0x" + "77" * 20, "value": 1, "gas": 21_000,
        "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
    }  # fmt: skip
    return bytes(RICH.sign_transaction(transaction | changes).raw_transaction)


def typed_with_v(v: bytes) -> bytes:
    """A dynamic fee transaction whose parity is replaced."""
    fields = rlp.decode(dynamic()[1:])
    assert isinstance(fields, list)
    return b"\x02" + rlp.encode([*fields[:9], v, *fields[10:]])


RAW_TRANSACTIONS: list[tuple[str, Callable[[], bytes], str]] = [
    ("nothing", lambda: b"", "typed transaction too short"),
    ("a string", lambda: rlp.encode(b"hello world"), "rlp: expected input list"),
    ("cut RLP", lambda: legacy()[:-1], "rlp: value size exceeds available input length"),
    ("length of zero bytes", lambda: b"\xf8\x05" + b"\x01" * 5, "rlp: non-canonical size information"),
    ("too few fields", lambda: rlp.encode([b"\x01"]), "rlp: "),
    ("one field more", lambda: rlp.encode([*legacy_fields(), b"\x01"]), "rlp: input list has too many elements"),
    ("trailing bytes", lambda: legacy() + b"\x00", "rlp: input contains more than one value"),
    ("trailing bytes, typed", lambda: dynamic() + b"\x00", "rlp: input contains more than one value"),
    ("leading zeros", lambda: legacy(value=b"\x00\x01"), "rlp: non-canonical integer (leading zero bytes)"),
    ("leading zeros in r", lambda: legacy(r=b"\x00" + b"\x01" * 31), "rlp: non-canonical integer (leading zero bytes)"),
    ("nonce over 64 bits", lambda: legacy(nonce=b"\x01" * 9), "rlp: input string too long"),
    ("recipient of 19 bytes", lambda: legacy(to=b"\x77" * 19), "rlp: input string has wrong size"),
    ("high s", high_s, "invalid sender: invalid transaction v, r, s values"),
    ("r of zero", lambda: legacy(r=b""), "invalid sender: invalid transaction v, r, s values"),
    ("s at the order", lambda: legacy(s=ORDER.to_bytes(32)), "invalid sender: invalid transaction v, r, s values"),
    ("another chain", lambda: dynamic(chainId=1), "invalid sender: invalid chain id for signer: have 1 want 1337"),
    ("another chain, legacy", lambda: legacy(chain_id=b"\x01"), "invalid sender: invalid chain id for signer: have 1 want 1337"),
    ("v overflow", lambda: legacy(v=b"\xff" * 9), "invalid sender: invalid transaction v, r, s values"),
    ("v of 64 bits", lambda: legacy(v=b"\xff" * 8), "invalid sender: "),
    ("v of 30", lambda: legacy(v=b"\x1e"), "invalid sender: invalid transaction v, r, s values"),
    ("no replay protection", lambda: legacy(v=b"\x1b"), "only replay-protected (EIP-155) transactions allowed over RPC"),
    ("typed parity of 2", lambda: typed_with_v(b"\x02"), "invalid sender: invalid transaction v, r, s values"),
    ("type 0x7f", lambda: b"\x7f" + dynamic()[1:], "transaction type not supported"),
    ("type 0x00", lambda: b"\x00" + dynamic()[1:], "transaction type not supported"),
    ("type 3, blobs", lambda: b"\x03" + dynamic()[1:], "transaction type not supported: tx type 3 not supported by this pool"),
    ("type alone", lambda: b"\x02", "typed transaction too short"),
    ("129 KiB", lambda: dynamic(data=b"\x01" * (129 << 10), gas=10_000_000), "oversized data: transaction size "),
    ("gas over the cap", lambda: dynamic(gas=(1 << 24) + 1, maxFeePerGas=10**10), "transaction gas limit too high (cap: 16777216, tx: 16777217)"),
    ("too little gas", lambda: dynamic(gas=20_999), "intrinsic gas too low: gas 20999, minimum needed 21000"),
    ("tip over the fee", lambda: dynamic(maxPriorityFeePerGas=10**12), "max priority fee per gas higher than max fee per gas"),
    ("no money", lambda: dynamic(value=10**24), "insufficient funds for gas * price + value: balance "),
    ("no tip", lambda: dynamic(maxPriorityFeePerGas=0), "transaction gas price below minimum: gas tip cap 0, minimum needed 1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "sentence"), [case[1:] for case in RAW_TRANSACTIONS], ids=[case[0] for case in RAW_TRANSACTIONS]
)
def test_a_bad_raw_transaction_is_refused_with_the_standard_text_and_the_pool_unchanged(
    lone: NodeProcess, make: Callable[[], bytes], sentence: str
) -> None:
    before = lone.rpc.call("txpool_content")

    with pytest.raises(RPCError) as caught:
        lone.rpc.call("eth_sendRawTransaction", "0x" + make().hex())

    assert caught.value.code in (-32000, -32003)
    assert sentence in caught.value.message
    assert lone.rpc.call("txpool_content") == before == {"pending": {}, "queued": {}}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("f86c", "hex string without 0x prefix"),
        ("0xzz", "invalid hex string"),
        ("0x123", "hex string of odd length"),
        (7, "invalid argument 0: expected a string, found 7"),
    ],
)
def test_a_raw_transaction_that_is_no_hex_is_an_invalid_argument(
    lone: NodeProcess, raw: object, sentence: str
) -> None:
    with pytest.raises(RPCError) as caught:
        lone.rpc.call("eth_sendRawTransaction", raw)

    assert caught.value.code == -32602
    assert sentence in caught.value.message


# --- JSON ------------------------------------------------------------------------------------------------------------------------------


def post(lone: NodeProcess, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        lone.rpc.url, content=body, headers={"content-type": "application/json", **headers}, timeout=10.0
    )


CALL = '"jsonrpc":"2.0","id":1'
DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("body", "code", "sentence"),
    [
        (b"", -32700, "parse error"),
        (b"{", -32700, "parse error"),
        (DEEP, -32700, "parse error"),
        (b"\xff\xfe", -32700, "parse error"),
        (f'{{{CALL},"method":"eth_call","params":[NaN]}}'.encode(), -32700, "parse error"),
        (b"[]", -32600, "empty batch"),
        (b"5", -32600, "invalid request"),
        (f"{{{CALL}}}".encode(), -32600, "invalid request"),
        (f'{{{CALL},"method":"eth_nothing"}}'.encode(), -32601, "the method eth_nothing does not exist/is not available"),
        (f'{{{CALL},"method":"admin_peers"}}'.encode(), -32601, "the method admin_peers does not exist/is not available"),
        (f'{{{CALL},"method":"ibft_proposeValidatorVote","params":["{VALIDATOR}",true]}}'.encode(), -32601, "does not exist/is not available"),
        (f'{{{CALL},"method":"eth_getBalance"}}'.encode(), -32602, "missing value for required argument 0"),
        (f'{{{CALL},"method":"eth_getBalance","params":["0x12","latest"]}}'.encode(), -32602, "invalid argument 0"),
        (f'{{{CALL},"method":"eth_getBalance","params":["{VALIDATOR}","newest"]}}'.encode(), -32602, "invalid argument 1"),
        (f'{{{CALL},"method":"eth_getBalance","params":["{VALIDATOR}","latest",1]}}'.encode(), -32602, "too many arguments, want at most 2"),
        (f'{{{CALL},"method":"eth_getBlockByNumber","params":["0x01",false]}}'.encode(), -32602, "leading zero"),
        (f'{{{CALL},"method":"eth_getBlockByNumber","params":[{"9" * 1_000_00},false]}}'.encode(), -32602, "invalid argument 0"),
        (f'{{{CALL},"method":"eth_blockNumber","params":5}}'.encode(), -32602, "non-array args"),
    ],
    ids=range(18),
)  # fmt: skip
def test_bad_json_is_answered_with_the_standard_code_and_a_sentence(
    lone: NodeProcess, body: bytes, code: int, sentence: str
) -> None:
    answer = post(lone, body).json()

    assert answer["error"]["code"] == code
    assert sentence in answer["error"]["message"].lower() or sentence in answer["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"host": "evil.example"}, 403),
    ],
)
def test_requests_that_a_page_can_forge_are_refused(
    lone: NodeProcess, headers: dict[str, str], status: int
) -> None:
    body = f'{{{CALL},"method":"eth_chainId"}}'.encode()

    assert post(lone, body, **headers).status_code == status


def test_a_body_over_the_limit_is_refused_and_others_are_served(lone: NodeProcess) -> None:
    with socket.create_connection(("127.0.0.1", lone.rpc_port), timeout=10.0) as client:
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {100 << 20}\r\n\r\n"
        client.sendall(head.encode() + b" " * 1024)

        assert client.recv(4096).startswith(b"HTTP/1.1 413")
    assert Endpoint(lone.rpc.url).call("eth_chainId") == hex(CHAIN_ID)
