"""Numbered changes of the schema, each in one transaction, so that a killed one can be run again.

`REVISIONS` is the literal list that a start compares with what the database says, so that it
need not import Alembic to find that nothing is to be done, and can refuse what it does not know.
"""

from __future__ import annotations

from typing import Final

# Oldest first; a test compares them with the scripts.
REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005")
HEAD: Final = REVISIONS[-1]
