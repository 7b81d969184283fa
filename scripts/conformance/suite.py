"""Starts the Autobahn test suite, as `wstest` would, with its servers on loopback only.

For CPython 2.7, so kept to what both Pythons read. The suite would listen on every address.
"""

import functools

import autobahntestsuite.choosereactor  # noqa: F401 - must come before everything of Twisted
from autobahntestsuite import fuzzing, wstest

fuzzing.listenWS = functools.partial(fuzzing.listenWS, interface="127.0.0.1")
wstest.run()
