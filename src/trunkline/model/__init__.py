"""What we talk about: addresses, segments, events, deliveries. Frozen values, no I/O.

Every dialect translates into these and nothing else, so that any line can answer any other.
"""
