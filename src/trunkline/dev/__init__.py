"""For developers: simulated people, the echo server, the crash harness. Not on anyone's way."""
