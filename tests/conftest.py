"""One profile for every property: a loaded machine is no failure, so examples have no deadline.

With `CI` set the examples are the same at every run: a red run there means a change, and new
examples are looked for where somebody can look at them.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "house",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("house")
