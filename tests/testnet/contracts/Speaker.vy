# pragma version ~=0.4.0
# Says of itself what its maker wants, emits any event, and moves value in the ways that an index has to notice.

name: public(String[500])
symbol: public(String[64])
decimals: public(uint8)


@deploy
@payable
def __init__(name_: String[500], symbol_: String[64], decimals_: uint8):
    self.name = name_
    self.symbol = symbol_
    self.decimals = decimals_


@external
@payable
def __default__():
    pass


@external
def say3(first: bytes32, second: bytes32, third: bytes32, data: Bytes[4096]):
    raw_log([first, second, third], data)


@external
def say4(first: bytes32, second: bytes32, third: bytes32, fourth: bytes32, data: Bytes[4096]):
    raw_log([first, second, third, fourth], data)


@external
@payable
def pay(to: address, amount: uint256):
    raw_call(to, b"", value=amount)


@external
@payable
def pay_and_fail(to: address, amount: uint256):
    raw_call(to, b"", value=amount)
    raise "not today"


@external
@payable
def try_to_pay_and_fail(to: address, amount: uint256):
    # What the inner call paid is undone, the transaction succeeds.
    success: bool = raw_call(
        self,
        abi_encode(to, amount, method_id=method_id("pay_and_fail(address,uint256)")),
        value=amount,
        revert_on_failure=False,
    )
    assert not success


@external
def make_twin(of: address) -> address:
    return create_minimal_proxy_to(of)
