"""Where the core of guide 004 is, and who the client says it is."""

URL = "ws://127.0.0.1:8090/ws"
PLATFORM = "my_platform"
TOKEN = None  # or the core's token
CERTIFICATE = None  # or "./ssl/server.crt", for wss://
