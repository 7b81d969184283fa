"""trunkline keeps chat accounts connected over WebSocket and answers what they receive.

The way of a message is straight: a link hands bytes to a protocol session (`dialects`), the
session's events go to the exchange, which decides with the pure pipeline and commits once a beat;
only then are platforms acknowledged and answers written.
"""

__version__ = "0.1.0"
