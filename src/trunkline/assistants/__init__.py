"""Models that are asked for answers.

Whoever is asked gets a `Question` and returns what may be said: the limits of `reliability 8` are
kept in here, so nothing that leaves this room needs another look. A failure is an answer too
(`Failed` with one word why), never an exception that a caller must know.
"""
