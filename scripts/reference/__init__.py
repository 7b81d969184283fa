"""What the generated pages of `docs/` say, one module a page: each has `render() → Markdown`.

They read the tables of the program and never copy them. A name with an underscore is imported where
the table that the program decides by is a private one: a copy of it would be wrong sooner or later.
"""
