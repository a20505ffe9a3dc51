// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {vm} from "../script/Vm.sol";
import {Counter} from "../src/Counter.sol";

/// Needs no network.
contract CounterTest {
    Counter private counter = new Counter();

    function test_add(uint8 amount) external {
        counter.add(amount % 100);
        assert(counter.doubled() == 2 * uint256(amount % 100));
    }

    function test_add_refuses_large_amounts() external {
        vm.expectRevert(abi.encodeWithSignature("Error(string)", "amount too large"));
        counter.add(100);
    }

    function test_reset_is_the_owners() external {
        vm.prank(address(0xbeef));
        vm.expectRevert(abi.encodeWithSelector(Counter.NotTheOwner.selector, address(0xbeef)));
        counter.reset();
    }
}
