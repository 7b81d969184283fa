"""Keeping connections alive. Owns sockets, timers and reconnection.

A link pushes what it reads into its driver by direct calls: no queue, task or future between the
socket and the session. The driver does the same dance for both directions.
"""
