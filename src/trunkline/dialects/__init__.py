"""What each platform speaks. Pure: no socket, clock, thread, log or file.

A session takes one of nine verbs and returns effects, in order; the driver carries them out.
Time and randomness arrive as arguments. Dialects never import one another; only `registry` names
them all.
"""
