"""Where the contact service of guide 003 listens."""

HOST = "127.0.0.1"
PORT = 8080
