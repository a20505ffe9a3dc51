# pragma version 0.4.3
# A token whose every text tries to be more than text.

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256

event Shouted:
    words: String[200]

name: public(String[200])
symbol: public(String[64])
decimals: public(uint8)
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])


@deploy
def __init__(name: String[200], symbol: String[64]):
    self.name = name
    self.symbol = symbol
    self.decimals = 6
    self.totalSupply = 1_000_000_000
    self.balanceOf[msg.sender] = 1_000_000_000
    log Transfer(sender=empty(address), receiver=msg.sender, value=1_000_000_000)


@external
def transfer(to: address, amount: uint256) -> bool:
    assert self.balanceOf[msg.sender] >= amount, "<img src=x onerror=alert(1)>"
    self.balanceOf[msg.sender] -= amount
    self.balanceOf[to] += amount
    log Transfer(sender=msg.sender, receiver=to, value=amount)
    log Shouted(words="<script>alert('event')</script>")
    return True


@external
@payable
def forward(to: address):
    raw_call(to, b"", value=msg.value)
