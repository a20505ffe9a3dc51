// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {vm} from "../script/Vm.sol";
import {Counter} from "../src/Counter.sol";

/// Runs on a fork of the network, where COUNTER was deployed in block DEPLOYED, and holds 21 since the transaction ADDED.
contract ForkTest {
    Counter private counter = Counter(vm.envAddress("COUNTER"));
    uint256 private deployed = vm.envUint("DEPLOYED");

    function test_the_fork_is_the_network() external view {
        assert(block.chainid == vm.envUint("CHAIN_ID"));
        assert(block.number >= deployed);
        assert(block.basefee > 0 && block.gaslimit >= 30_000_000);
        assert(blockhash(block.number - 1) != bytes32(0));
    }

    function test_state_is_read_and_changed() external {
        assert(counter.value() == 21);
        counter.add(4);
        assert(counter.doubled() == 50);
    }

    function test_another_test_sees_no_change() external view {
        assert(counter.value() == 21);
    }

    function test_the_owner_is_impersonated() external {
        address owner = counter.owner();
        vm.prank(owner);
        counter.reset();
        assert(counter.value() == 0);
    }

    function test_history_is_there() external {
        vm.rollFork(deployed - 1);
        assert(address(counter).code.length == 0);
        vm.rollFork(deployed);
        assert(address(counter).code.length > 0);
    }

    function test_a_block_is_replayed_up_to_a_transaction() external {
        vm.rollFork(vm.envBytes32("ADDED"));
        assert(counter.value() == 0);
    }

    function test_another_fork_is_made() external {
        counter.add(4);
        vm.createSelectFork(vm.envString("ETH_RPC_URL"));
        assert(counter.value() == 21);
    }

    function test_the_beacon_root_contract_answers() external view {
        (bool ok, bytes memory root) =
            0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02.staticcall(abi.encode(block.timestamp));
        assert(ok && abi.decode(root, (bytes32)) != bytes32(0));
    }

    function test_a_raw_call_reaches_the_node() external {
        bytes memory answer = vm.rpc("eth_chainId", "[]");
        assert(uint256(bytes32(answer)) >> (256 - 8 * answer.length) == block.chainid);
    }
}
