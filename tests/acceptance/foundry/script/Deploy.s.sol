// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Counter} from "../src/Counter.sol";
import {Token} from "../src/Token.sol";
import {vm} from "./Vm.sol";

/// Four transactions: two contracts, and a call of each.
contract Deploy {
    function run() external returns (Counter counter, Token token) {
        vm.startBroadcast();
        counter = new Counter();
        token = new Token(1_000_000 ether);
        counter.add(21);
        token.transfer(address(counter), 5 ether);
        vm.stopBroadcast();
    }
}
