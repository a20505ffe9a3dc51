"""The block explorer and the dashboard: pages over the index (`services.queries`) and a node's RPC for what is live.

Every page has a JSON twin at the same address with `.json`. Reading needs no JavaScript. What only a BFT chain has is shown as it is: who proposed, in which
round a block was decided, whose seals prove it, and that a seal that is not there says nothing against a validator.
"""
