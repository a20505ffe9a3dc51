// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// What Counter.vy is, in Solidity: state, an event, a view, a revert with a reason, and one with an error of its own.
contract Counter {
    event Changed(address indexed by, uint256 value);

    error NotTheOwner(address caller);

    address public immutable owner = msg.sender;
    uint256 public value;

    function add(uint256 amount) external {
        require(amount < 100, "amount too large");
        value += amount;
        emit Changed(msg.sender, value);
    }

    function reset() external {
        require(msg.sender == owner, NotTheOwner(msg.sender));
        value = 0;
        emit Changed(msg.sender, 0);
    }

    function doubled() external view returns (uint256) {
        return value * 2;
    }
}
