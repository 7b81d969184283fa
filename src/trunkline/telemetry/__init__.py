"""What the house says of itself: logs, metrics, health. For rooms that do I/O only.

Pure rooms import nothing from here. Everything that leaves goes through the redactor: no
credential at any level, no message body above DEBUG (`reliability 8`, Logs).
"""
