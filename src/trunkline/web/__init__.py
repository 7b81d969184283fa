"""The one port: REST under `/api/v1`, the demo page, health and metrics.

`app.py` builds the ASGI application from services that `trunkline.app` hands over; `server.py`
opens the sockets. Everything that changes or shows data goes through `store/contract`,
`exchange/contract` and `lines/contract`; this room knows no back-end, no dialect and no socket.
Who may come in is decided in one place, `auth.py`; what people are told when something does not
work, in another, `problem.py`.
"""
