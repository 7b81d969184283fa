"""What makes the composed rooms one process: its loop, tasks, doors, log, condition and stop.

`app.py` composes and calls what is here; nothing here makes a room. Each file takes the rooms that
it is about as arguments and knows nothing of the others.

| file | content |
|---|---|
| `loop.py` | the event loop |
| `tasks.py` | everything that runs for long, by name; one that dies ends the process |
| `doors.py` | the addresses of this process, and which lines are behind them |
| `dialling.py` | the way out: trust and bound of every link that we open |
| `logbook.py` | what is written about this process, and what never is |
| `condition.py` | loop, disk, store and lines as probes and metrics show them |
| `stopping.py` | when to stop, and in which order |
"""
