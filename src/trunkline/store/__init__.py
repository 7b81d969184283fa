"""What must survive: rows, kept state, media, migrations. Two back-ends, one contract."""
