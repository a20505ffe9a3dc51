"""The execution layer: the port, and the clients behind it. One block type for all of them: canonical RLP plus requests."""
