"""One file per noun; each has `ROUTES`, a literal table that `web/app.py` adds to the router."""
