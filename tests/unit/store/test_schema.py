"""The tables: literal lists and what they are compared with."""

from __future__ import annotations

import re
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from trunkline.store import migrations, schema
from trunkline.store.sqlite.statements import SQL


def test_the_literal_revisions_are_those_of_the_scripts():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "newline")
    scripts = ScriptDirectory.from_config(config)
    found = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(found)) == migrations.REVISIONS
    assert scripts.get_current_head() == migrations.HEAD


def test_inserts_name_every_column_of_their_table():
    for name, table in (("insert_inbox", schema.inbox), ("insert_outbox", schema.outbox)):
        columns = re.search(r"\(([^)]*)\)", SQL[name])
        assert columns is not None
        assert columns[1].split(", ") == [column.name for column in table.columns]


def test_no_index_of_the_hot_tables_is_led_by_the_conversation_unless_it_is_partial():
    """`measurements.md`: scattered pages, 26.6 → 43.4 µs."""
    for table in (schema.inbox, schema.outbox):
        for index in table.indexes:
            first = next(iter(index.columns)).name
            where = index.dialect_options["sqlite"]["where"]
            assert first != "conversation" or where is not None, index.name
            # Partial indexes ask for columns that a beat leaves NULL.
            if where is not None:
                assert re.fullmatch(r"(mark|media|dedupe) IS NOT NULL|mark = [01]", where.text)
