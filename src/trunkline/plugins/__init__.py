"""The user's Python: files with a `Router`, found and reloaded by themselves.

A plugin's filters are data and are matched by the pure pipeline; only what matches is run here,
outside any transaction, within a time limit. A fault concerns its message only: it is recorded, and
the next stage answers. What cannot be contained: a plugin runs in this process and on its event
loop, so code that blocks (`time.sleep`, an endless loop without `await`) stops everything until it
gives way; the watchdog's metric shows it.
"""
