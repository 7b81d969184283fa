"""The embedded back-end: the stdlib's sqlite3, one file, one writer thread (reliability 4).

| file | content |
|---|---|
| `store.py` | the contract: which call goes to which thread |
| `beat.py` | one beat in one transaction |
| `inbox.py outbox.py turns.py conversations.py numbers.py` | rows to values and back, by noun |
| `flight.py` | which deliveries are SENDING |
| `starting.py migrating.py` | what a start does |
| `retention.py` | forgetting |
| `connection.py worker.py statements.py paging.py` | the driver, threads, sentences, lists |
"""

from __future__ import annotations

from .store import SqliteStore

__all__ = ["SqliteStore"]
