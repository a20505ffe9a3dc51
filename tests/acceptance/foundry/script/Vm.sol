// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// The cheat codes that the script and the tests use.
interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
    function expectRevert(bytes calldata reason) external;
    function prank(address sender) external;
    function deal(address account, uint256 balance) external;
    function rollFork(uint256 number) external;
    function rollFork(bytes32 transaction) external;
    function createSelectFork(string calldata url) external returns (uint256);
    function envBytes32(string calldata name) external view returns (bytes32);
    function envString(string calldata name) external view returns (string memory);
    function envAddress(string calldata name) external view returns (address);
    function envUint(string calldata name) external view returns (uint256);
    function rpc(string calldata method, string calldata params) external returns (bytes memory);
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
