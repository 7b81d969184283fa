"""The names of the guides, as thin classes over `connect` and `listen` (`guides 3`).

For people who have read one of the five documents and want its names to work. One module a guide,
each imported on its own: `trunkline.guides.boss`, `.xianyu`, `.onebot`, `.contact`, `.maim`. This
is the one room where callbacks are the way to work, and threads in `boss`. Here no socket is opened
and no frame is written: both are the embedded line's business. What differs from the guides on
purpose is in `docs/from-the-guides.md`.
"""
