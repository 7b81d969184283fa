"""Where lines meet: gather, decide, one commit per beat, acknowledge, send.

The exchange takes `clock`, `ids`, `store` and `spawn` as arguments: the simulation needs that
seam. It knows lines only through `contract.Origin`.
"""
