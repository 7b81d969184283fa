"""Reading `trunkline.toml`: where values come from, what they must be, what is said when not.

`config.py` is the face of this room; nobody else imports from here except `cli`, which also needs
the templates and the language of the person. Everything is read once, at start. Problems are
collected, never raised one by one.
"""
