# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Disperse
@license Apache-2.0
@notice Pays many recipients in one transaction. Who refuses coins, or wants more gas than a wallet does, is named in an
        event; the others are paid all the same, and what was refused goes back to the caller.
@dev Keeps nothing between calls and reads no balance of its own, so a recipient that calls back gains nothing.
"""

RECIPIENTS_MAX: constant(uint256) = 100
RECIPIENT_GAS: constant(uint256) = 30_000
GAS_NEEDED: constant(uint256) = 70_000


event Refused:
    index: uint256


@external
@payable
def disperse(recipients: DynArray[address, RECIPIENTS_MAX], amounts: DynArray[uint256, RECIPIENTS_MAX]):
    """
    @notice Pay `amounts[i]` wei to `recipients[i]`.
    @param recipients Who is paid, in this order.
    @param amounts How much each gets; the call's value is exactly their sum.
    """
    assert len(recipients) == len(amounts), "lengths differ"
    total: uint256 = 0
    for amount: uint256 in amounts:
        total += amount
    assert total == msg.value, "value is not the sum"

    refused: uint256 = 0
    for i: uint256 in range(len(recipients), bound=RECIPIENTS_MAX):
        # With less, the EVM would give the recipient less than its share and say nothing (EIP-150): 9,000 for the value, 25,000 for a new
        # account and 2,600 for a cold one are paid before a 64th is kept back.
        assert msg.gas > GAS_NEEDED, "out of gas"
        paid: bool = raw_call(
            recipients[i], b"", value=amounts[i], gas=RECIPIENT_GAS, revert_on_failure=False
        )
        if not paid:
            refused += amounts[i]
            log Refused(index=i)
    if refused > 0:
        raw_call(msg.sender, b"", value=refused)
