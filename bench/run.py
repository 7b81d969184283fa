"""Measures the product beside its peers: CPU time of the server process per message, and memory.

    make bench                     three interleaved rounds, about four minutes
    make bench ARGS=--quick        one short round, to see that everything runs

Only ratios inside one run count: the machine is shared, differences under 15 % are ties
(`measurements.md`). Ours answers after a FULL commit; the peers store nothing. Prints a table and,
as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass

from mqtt import CLIENTS, measure_mqtt
from servers import SERVERS, Running, Server, load, marketplace, running, shop

_BY_NAME = {server.name: server for server in SERVERS}
_IDLE_CONNECTIONS = 1_000
# Slow ones get a part of the messages.
_SHARES = {"maim_message": 2, "aiocqhttp": 2, "nonebot": 8, "paho": 4}


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    messages: int
    idle: int
    accounts: int
    pushes_per_s: int
    pushing_s: float


@dataclass(frozen=True)
class Cell:
    """One server under one load."""

    server: str
    connections: int
    in_flight: int = 1

    @property
    def label(self) -> str:
        """The column: connections × messages in flight."""
        return f"{self.connections}×{self.in_flight}"


CELLS = (
    Cell("trunkline", 50), Cell("maim_message", 50), Cell("starlette", 50), Cell("echo", 50),
    Cell("trunkline-qq", 50), Cell("aiocqhttp", 50), Cell("nonebot", 50),
    Cell("trunkline-qq-guard", 50),
    Cell("trunkline", 500), Cell("maim_message", 500), Cell("starlette", 500),
)  # fmt: skip


def say(text: str) -> None:
    """Show progress on stderr, so that stdout holds the result alone."""
    print(text, file=sys.stderr, flush=True)


def read(stream, process, what: str) -> str:
    """Return the next line of the load, or say why there is none."""
    line = stream.readline()
    if not line:
        raise RuntimeError(f"the load ended with {process.wait(10)} instead of {what!r}")
    return line.strip()


def measure(server: Server, cell: Cell, messages: int) -> dict[str, float]:
    """Run one cell against a fresh server; return CPU µs a message and latencies."""
    arguments = [
        "--connections", str(cell.connections), "--in-flight", str(cell.in_flight),
        "--messages", str(messages), "--warm", str(max(500, messages // 10)),
    ]  # fmt: skip
    if server.raw:
        arguments.append("--raw")
    if server.onebot:
        arguments += ["--onebot", "--lines", str(server.lines)]
    with running(server) as target, load(target.url, arguments) as process:
        assert process.stdin is not None
        read(process.stdout, process, "warm")
        before = target.cpu_s()
        process.stdin.write("go\n")
        process.stdin.flush()
        result = json.loads(read(process.stdout, process, "a result"))
        used = target.cpu_s() - before
        return {
            "us": used / result["messages"] * 1e6,
            "rate": result["messages"] / result["seconds"],
            "p50_ms": result["p50_ms"],
            "p99_ms": result["p99_ms"],
            "start_s": target.start_s,
        }


def settled_rss(target: Running) -> int:
    """Return the memory once two readings, a quarter of a second apart, agree."""
    last = target.rss_kib()
    for _ in range(20):
        time.sleep(0.25)
        now = target.rss_kib()
        if abs(now - last) <= 64:
            return now
        last = now
    return last


def measure_idle(server: Server, connections: int) -> dict[str, float]:
    """Open idle connections; return KiB for each, and the memory before them."""
    with running(server) as target:
        before = settled_rss(target)
        with load(target.url, ["--idle", "--connections", str(connections)]) as process:
            read(process.stdout, process, "open")
            after = settled_rss(target)
        return {
            "kib": round((after - before) / connections, 2),
            "mb": round(before / 1024, 1),
            "start_s": round(target.start_s, 3),
        }


def measure_shop(plan: Plan) -> dict[str, float]:
    """Push to the accounts of one process at a fixed rate; return how late it acknowledges."""
    arguments = [
        "--accounts", str(plan.accounts), "--rate", str(plan.pushes_per_s),
        "--seconds", str(plan.pushing_s),
    ]  # fmt: skip
    with marketplace(arguments) as market:
        assert market.stdin is not None
        ready = json.loads(read(market.stdout, market, "ready").removeprefix("ready "))
        with running(shop(ready["url"], plan.accounts)) as target:
            read(market.stdout, market, "warm")
            idle = settled_rss(target)
            before = target.cpu_s()
            market.stdin.write("go\n")
            market.stdin.flush()
            result = json.loads(read(market.stdout, market, "a result"))
            used = target.cpu_s() - before
            return result | {
                "us": round(used / result["pushes"] * 1e6, 1),
                "mb": round(target.rss_kib() / 1024, 1),
                "connected_mb": round(idle / 1024, 1),
            }


def attempt(what: str, function, *arguments):
    """Measure, or say what is missing and go on: one server less does not void the others."""
    try:
        return function(*arguments)
    except (RuntimeError, OSError, ValueError) as error:
        say(f"  {what}: not measured: {error}")
        return None


def run_cells(plan: Plan) -> dict[tuple[str, str], dict[str, float]]:
    """Run all cells in interleaved rounds; return medians."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for number in range(plan.rounds):
        for cell in CELLS:
            share = _SHARES.get(cell.server, 1)
            result = attempt(
                f"{cell.server} {cell.label}", measure, _BY_NAME[cell.server], cell,
                plan.messages // share,
            )  # fmt: skip
            if result is not None:
                found.setdefault((cell.server, cell.label), []).append(result)
                say(
                    f"  round {number + 1}: {cell.server:18} {cell.label:6} "
                    f"{result['us']:7.1f} µs  p50 {result['p50_ms']:.2f} ms"
                )
    return {
        key: {name: round(statistics.median(r[name] for r in rows), 3) for name in rows[0]}
        for key, rows in found.items()
    }


def run_mqtt(plan: Plan) -> dict[str, dict[str, float]]:
    """Receive MQTT in interleaved rounds; return median CPU µs by carrier and client."""
    found: dict[str, dict[str, list[float]]] = {}
    for number in range(plan.rounds):
        for carrier in ("websocket", "tcp"):
            for client in CLIENTS:
                share = _SHARES.get(client, 1)
                what = f"mqtt {carrier} {client}"
                us = attempt(what, measure_mqtt, client, carrier, plan.messages // share)
                if us is not None:
                    found.setdefault(carrier, {}).setdefault(client, []).append(us)
                    say(f"  round {number + 1}: {what:24} {us:7.1f} µs")
    return {
        carrier: {name: round(statistics.median(all_us), 2) for name, all_us in clients.items()}
        for carrier, clients in found.items()
    }


def mqtt_ratio(found: dict[str, dict[str, float]], carrier: str) -> float | None:
    """Return paho's CPU time by ours, when both were measured."""
    both = found.get(carrier, {})
    return round(both["paho"] / both["trunkline"], 2) if len(both) == len(CLIENTS) else None


def ratio(medians: dict, above: str, below: str, label: str) -> float | None:
    """Return one server's CPU time by another's, when both were measured."""
    first, second = medians.get((above, label)), medians.get((below, label))
    return round(first["us"] / second["us"], 2) if first and second and second["us"] else None


def print_shop(row: dict | None) -> None:
    """Print what a seller of many accounts wants to know."""
    if row is None:
        return
    print(
        f"{row['accounts']} accounts, {row['pushes']} pushes: acknowledged p50 {row['p50_ms']} ms, "
        f"p99 {row['p99_ms']} ms, max {row['max_ms']} ms; {row['answers']} answers; "
        f"{row['us']} µs CPU a push; {row['mb']} MB ({row['connected_mb']} MB before the pushes)"
    )
    if row["lost"]:
        print(f"NOT ACKNOWLEDGED: {row['lost']}")
    print()


def print_table(medians: dict, idle: dict, report: dict) -> None:
    """Print what a person reads."""
    columns = f"{'CPU µs/message':>15}{'messages/s':>12}{'p50 ms':>9}{'p99 ms':>9}"
    print(f"\n{'server':20}{'load':8}{columns}")
    for (server, label), row in sorted(medians.items(), key=lambda item: (item[0][1], item[0][0])):
        print(
            f"{server:20}{label:8}{row['us']:15.1f}{row['rate']:12.0f}"
            f"{row['p50_ms']:9.2f}{row['p99_ms']:9.2f}"
        )
    print(f"\n{'server':14}{'KiB/idle connection':>20}{'idle MB':>10}{'start s':>9}")
    for server, row in idle.items():
        print(f"{server:14}{row['kib']:20.1f}{row['mb']:10.1f}{row['start_s']:9.2f}")
    print(f"\n{'MQTT receive, QoS 1':24}{'CPU µs/message':>16}")
    for carrier, clients in report["mqtt_us"].items():
        for client, us in clients.items():
            print(f"{f'{client} {carrier}':24}{us:16.1f}")
    print()
    for name, value in report["ratios"].items():
        print(f"{name:44}{value if value is not None else 'not measured':>14}")
    print()


def main() -> int:
    """Measure and report; 1 when nothing of ours could be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    args = parser.parse_args()
    plan = (
        Plan(1, 2_000, 200, accounts=20, pushes_per_s=100, pushing_s=3)
        if args.quick
        else Plan(3, 20_000, _IDLE_CONNECTIONS, accounts=200, pushes_per_s=1_000, pushing_s=15)
    )
    say(f"bench: {os.cpu_count()} cores, Python {sys.version.split()[0]}, {plan}")
    medians = run_cells(plan)
    idle: dict[str, dict[str, float]] = {}
    for name in ("trunkline", "websockets"):
        row = attempt(f"{name} idle", measure_idle, _BY_NAME[name], plan.idle)
        if row is not None:
            idle[name] = row | {
                "start_s": medians.get((name, "50×1"), row)[
                    "start_s"
                ]  # a median, when there is one
            }
    mqtt = run_mqtt(plan)
    many = attempt("many accounts", measure_shop, plan)
    own, plain = idle.get("trunkline"), idle.get("websockets")
    report = {
        "cpu_us": {f"{server} {label}": row["us"] for (server, label), row in medians.items()},
        "p50_ms": {f"{server} {label}": row["p50_ms"] for (server, label), row in medians.items()},
        "idle": idle,
        "mqtt_us": mqtt,
        "accounts": many,
        "ratios": {
            "maim_message / trunkline 50×1": ratio(medians, "maim_message", "trunkline", "50×1"),
            "maim_message / trunkline 500×1": ratio(medians, "maim_message", "trunkline", "500×1"),
            "nonebot / trunkline-qq 50×1": ratio(medians, "nonebot", "trunkline-qq", "50×1"),
            "aiocqhttp / trunkline-qq 50×1": ratio(medians, "aiocqhttp", "trunkline-qq", "50×1"),
            "nonebot / trunkline-qq-guard 50×1": ratio(
                medians, "nonebot", "trunkline-qq-guard", "50×1"
            ),
            "aiocqhttp / trunkline-qq-guard 50×1": ratio(
                medians, "aiocqhttp", "trunkline-qq-guard", "50×1"
            ),
            "starlette / trunkline 50×1": ratio(medians, "starlette", "trunkline", "50×1"),
            "starlette / trunkline 500×1": ratio(medians, "starlette", "trunkline", "500×1"),
            "paho / trunkline, MQTT receive, WebSocket": mqtt_ratio(mqtt, "websocket"),
            "paho / trunkline, MQTT receive, TCP": mqtt_ratio(mqtt, "tcp"),
            "idle connection: trunkline / websockets": (
                round(own["kib"] / plain["kib"], 2) if own and plain else None
            ),
        },
        "quick": args.quick,
    }
    print_table(medians, idle, report)
    print_shop(many)
    print(json.dumps(report, ensure_ascii=False))
    return 0 if ("trunkline", "50×1") in medians else 1


if __name__ == "__main__":
    sys.exit(main())
