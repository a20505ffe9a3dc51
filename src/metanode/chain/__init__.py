"""What a chain is: headers, blocks, certificates, validators, the rules that derive one block's state from its parent's. Pure.

Nothing here reads a clock, a file (but for the package's own table of predeployed contracts) or a random number, and nothing waits.
Every rule that two nodes must agree on exists once, here.
"""
