"""What a node must find again: node.db, the signer's log, and the lock of the key.

All writes of node.db run in order on one thread, all reads on another with its own connection; the event loop never waits for the disk.
"""
