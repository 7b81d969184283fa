"""Deterministic simulation: the whole house under one virtual clock, in one thread, by one seed.

Real are the lines, drivers, supervisors, sessions of both roles, the exchange and the SQLite
store. Imitated is what lies outside of them: the loop's time (`loop.py`), the network
(`network.py`, `ends.py`), the store's threads and disk (`storage.py`), and who talks to the house
(`people.py`, `cast.py`). What goes wrong is drawn from the seed (`weather.py`), what must hold
whatever goes wrong is checked while it runs and at its end (`book.py`, `watch.py`, `checks.py`).

| file | content |
|---|---|
| `loop.py` | an event loop whose time jumps to the next timer |
| `trace.py` | everything that happened, as lines and as one hash |
| `weather.py` | chance and what goes wrong in a seed |
| `network.py` | hosts that die, doors and servers; links that are cut and stall |
| `ends.py` | both ends of a link, and what is on its way between them |
| `storage.py` | the store without threads, with faults between any two statements |
| `node.py` | one life of the process under test, composed as in `app.py` |
| `timers.py`, `hearing.py` | its timers; what it and its people say of their lines |
| `people.py`, `cast.py` | who talks to it; the table of dialects |
| `watch.py` | the rules of a session, checked at every verb |
| `book.py`, `checks.py` | what was said, heard and stored; the promises |
| `world.py` | one seed from its start to its verdict |
| `many.py` | many seeds, several at once |
| `soak.py` | one long seed |

It composes a back-end and knows every room below it; nothing of the product imports it.
"""

from __future__ import annotations

from .world import Report, simulate

__all__ = ["Report", "simulate"]
