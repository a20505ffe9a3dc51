# pragma version 0.4.3
# What the acceptance tests deploy: state, an event, a view, and a revert with a reason.

event Changed:
    by: indexed(address)
    value: uint256

value: public(uint256)


@external
def add(amount: uint256):
    assert amount < 100, "amount too large"
    self.value += amount
    log Changed(by=msg.sender, value=self.value)


@external
@view
def doubled() -> uint256:
    return self.value * 2
