"""The crash harness, `trunkline dev torture` (`reliability 7`).

It starts the product as a process of its own, lets peers talk to it over real sockets, kills it
again and again – from outside at any moment, or at a named failpoint – and starts it anew. At the
end it lets everything come to rest and compares what the peers know with what the data says.

`ways.py` the seam to a dialect's emulator; `peers.py` one peer; `stage.py` what peers share;
`bare.py` their WebSocket; `front.py` the port of a platform that the product dials; `ledger.py`
what they know for sure; `process.py` the product; `runner.py` the rounds; `checker.py` the verdict;
`bench.py` a run per dialect.

Peers are the dialect's own platform sessions, so a dialect joins by its emulator alone. They stand
on bare sockets instead of the production link: when the server is killed, a transport gives up at
its first failing write and throws away what had already arrived, and an answer lost by the harness
would look like one lost by the product.
"""
