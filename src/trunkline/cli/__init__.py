"""The command line: one file per command, each with `register(app)`.

`main.py` holds the table of commands and imports a command's module when it is called, so that
`trunkline --version` costs nothing. What commands share when they talk to people is in
`output.py`. A command never shows a traceback: it says what is wrong and what to do next.
"""
