"""Composition: configuration in, running services out. The only file that knows every room.

Owns the signals and the order of start and stop. Start: configuration is safe → data folder →
store → exchange → lines → sockets → `ready`. Stop (`reliability 6`): readiness off → no new links
and reads → commit and acknowledge what was read → finish sends → close 1001 → store closed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from trunkline import __version__, failpoints
from trunkline.assistants.contract import Assistant
from trunkline.assistants.openai_compatible import OpenAiCompatible, Settings
from trunkline.clock import ScaledClock, SystemClock
from trunkline.config import Config, require_safe, schemas_of
from trunkline.credentials import Credentials
from trunkline.dialects.contract import Dial
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import ConfigError, LinkError
from trunkline.exchange.asking import Asker
from trunkline.exchange.desk import Desk
from trunkline.exchange.intake import Core, Outside
from trunkline.exchange.keeper import Keeper
from trunkline.exchange.plans import decider
from trunkline.exchange.turns import Turns
from trunkline.ids import SystemIds
from trunkline.lines.contract import Link, LinkUser
from trunkline.lines.dial import Trust, dial
from trunkline.lines.fleet import NodeFleet
from trunkline.lines.http import Fetcher
from trunkline.lines.line import Line, Surroundings, facts_of
from trunkline.lines.listen import Gate, GateRules
from trunkline.lines.quota import QuotaRules
from trunkline.lines.requests import open_calls
from trunkline.lines.roster import Roster
from trunkline.lines.supervisor import Pace, Supervisor
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.pipeline.decide import Rulebook, RuleHealth, compile_handlers, decide
from trunkline.plugins.binding import Around
from trunkline.plugins.loader import Plugins
from trunkline.plugins.running import TIMEOUT_S as PLUGINS_S
from trunkline.plugins.running import Runner
from trunkline.reload import Reload, Reloaded
from trunkline.store.contract import Retention
from trunkline.store.sqlite import SqliteStore
from trunkline.telemetry.health import Health, Vitals, assess
from trunkline.telemetry.logs import ROOT, Logger, get_logger, setup_logging
from trunkline.telemetry.metrics import Metrics
from trunkline.telemetry.watchdog import Stall, Watchdog
from trunkline.web.activation import Sockets, read_handed
from trunkline.web.app import Services, make_app
from trunkline.web.auth import Access, digest_token, ensure_api_token
from trunkline.web.live import Live
from trunkline.web.server import Server, Socket
from trunkline.web.tail import RULES, Tail

STOP_S = 10.0
CLOSE_S = 2.5  # a link waits 2 s for the peer's close frame
SLOW_PEERS_S = 10.0  # since the stop began, for who has not read yet what was written
SAME_SIGNAL_S = 0.5


class Ready(msgspec.Struct, frozen=True):
    """What is known once it listens.

    Args:
        url: of the main port.
        sockets: further addresses by line.
        demo_url: of the page to try, "" when there is no contact line.
    """

    url: str
    sockets: Mapping[str, str]
    demo_url: str
    token_file: str


class App:
    """One process of trunkline.

    Args:
        config: validated; `require_safe` is asked before anything is opened.
    """

    def __init__(self, config: Config) -> None:
        require_safe(config)
        self.config = config
        scale = config.dev.clock_scale
        self.clock = SystemClock() if scale == 1 else ScaledClock(scale)
        self.metrics = Metrics(version=__version__)
        self.log: Logger = get_logger("app")
        self.store = SqliteStore(
            config.folder,
            clock=self.clock,
            synchronous="NORMAL" if config.store.synchronous == "normal" else "FULL",
            filename=config.store.filename,
            on_checking=self._checking,
        )
        self.watchdog = Watchdog(self._loop_stalled, self.metrics.lagged)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_asked = asyncio.Event()
        self._stop_asked_s = 0.0
        self._is_stopping = False
        self._dialling = 0
        self._total_bytes = 0
        self.assistant: Assistant | None = None

    # -- start -------------------------------------------------------------------------------

    async def start(self) -> Ready:
        """Open everything; on failure close what was opened and raise."""
        self._arm_failpoints()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask_to_stop)
        last_id = await self.store.open()
        try:
            return await self._start_on(last_id)
        except BaseException:
            await self.store.close()
            raise

    async def _start_on(self, last_id: int) -> Ready:
        config, clock = self.config, self.clock
        setup_logging(
            config.log.level,
            config.log_file,
            config.log.rotate_bytes,
            config.log.keep,
            config.log.format,
        )
        token = ensure_api_token(config.folder)
        ROOT.redactor.register([*config.secrets(), token])
        ROOT.on_drop = self.metrics.log_dropped
        self._total_bytes = shutil.disk_usage(config.folder).total
        loop = asyncio.get_running_loop()
        self._ids = SystemIds(clock, last=last_id)
        self.roster = Roster()
        self.fetcher = Fetcher()
        self._commons = Commons(PingSweep(clock), Budget(), self._link_trouble)
        self._facts: dict[str, Any] = {}
        self.reload = Reload(config, clock=clock, use=self._use_rules, tell=self._tell_reloaded)
        self.core = Core(
            Outside(
                clock=clock,
                ids=self._ids,
                store=self.store,
                router=self.roster,
                facts=self._facts,
                meter=self.metrics,
                on_trouble=self._trouble,
                later=loop.call_later,
                spawn=self._spawn,
                offset_ms=round(config.site.utc_offset_h * 3_600_000),
            ),
            decider(decide, self.reload.rulebook, RuleHealth()),
        )
        self.core.conversations.start_at(await self.store.next_conversation_id())
        self.gate = Gate(
            self._commons,
            clock,
            GateRules(
                allowed_hosts=config.server.allowed_hosts,
                trusted_proxies=config.server.trusted_proxies,
                quota=QuotaRules(max_links=config.limits.max_connections),
            ),
            self.metrics.refused,
        )
        schemas = await asyncio.to_thread(schemas_of, config)  # may have to compile one
        self.lines = self._make_lines(loop, schemas)
        self._facts.update(facts_of(self.lines))
        if any(line.options.own_hosts for line in self.lines.values()):
            await self.fetcher.prepare()  # lines that call, while nobody waits for the loop yet
        await self.core.dispatch.learn()
        await self.core.carrying.learn()
        self.supervisors = self._make_supervisors()
        self.credentials = Credentials(
            config,
            self.lines,
            learn=self._learn,
            renew=lambda name: self.supervisors[name].renew(),
            tell=self._tell_credential,
        )
        self.fleet = NodeFleet(self.lines, self.supervisors, self._resumed, self.credentials.give)
        self.desk = Desk(
            core=self.core,
            store=self.store,
            clock=clock,
            facts=self._facts,
            router=self.roster,
            accounts=self.fleet.accounts,
        )
        self.live = Live()
        self.tail = Tail(
            store=self.store, desk=self.desk, fleet=self.fleet, clock=clock, later=loop.call_later
        )
        await self._start_asking(token)
        ready = await self._listen(token)
        self._start_tasks()
        return ready

    async def _start_asking(self, token: str) -> None:
        """Load the plugins and say who is asked outside: before the first link."""
        config = self.config
        around = Around(
            clock=self.clock,
            log=get_logger("plugins"),
            folder=config.folder / "plugin-data",
            offset_ms=round(config.site.utc_offset_h * 3_600_000),
        )
        self.plugins = Plugins(
            config.source.folder,
            config.plugins.paths,
            around,
            accept=compile_handlers,
            changed=self._plugins_changed,
        )
        runner = Runner(around, lambda: self.plugins.handlers, self._plugin_failed)
        askers = {"plugins": Asker(runner.ask, PLUGINS_S)}
        if config.assistant.model:
            chosen = config.assistant
            self.assistant = OpenAiCompatible(
                Settings(
                    base_url=chosen.base_url,
                    model=chosen.model,
                    api_key=chosen.api_key.get_secret_value(),
                    prompt=chosen.prompt,
                    timeout_s=chosen.timeout_s,
                    secrets=(*config.secrets(), token),
                    links=chosen.links,
                    denied=chosen.denied,
                    per_minute=chosen.per_minute,
                    per_day=chosen.per_day,
                    daily=chosen.daily,
                    price_prompt=chosen.price_prompt,
                    tech_prompt=chosen.tech_prompt,
                ),
                self.clock,
            )
            askers["model"] = Asker(self.assistant.ask, self.assistant.timeout_s, wants_past=True)
        self.core.asking.use(askers)
        await self.plugins.look()
        await self.core.asking.learn()

    def _make_lines(
        self, loop: asyncio.AbstractEventLoop, schemas: Mapping[str, bytes]
    ) -> dict[str, Line]:
        clock = self.clock
        around = Surroundings(
            clock=clock,
            ids=self._ids,
            exchange=self.core,
            roster=self.roster,
            log=get_logger("lines"),
            meter=self.metrics,
            timer=lambda at_s, call: loop.call_at(loop.time() + at_s - clock.monotonic_s(), call),
            auth_failed=self.gate.auth_failed,
            learn=self._learn,
            fetch=self.fetcher.fetch,
            mask=ROOT.redactor.mask,
        )
        lines = {
            name: Line(name, DIALECTS[options.dialect], options, around)
            for name, options in self.config.lines.items()
        }
        for name, schema in schemas.items():
            lines[name].schema = schema
        return lines

    def _make_supervisors(self) -> dict[str, Supervisor]:
        dialled = [
            line
            for line in self.lines.values()
            if line.options.link == "dial" and line.options.enabled
        ]
        pace = Pace(self.clock, self.config.limits.max_dials)
        return {
            line.name: Supervisor(
                line,
                dial=self.dial,
                kept=self._kept,
                pace=pace,
                has_sisters=len(dialled) > 1,
            )
            for line in dialled
        }

    async def _kept(self, line: str, account: str) -> bytes | None:
        state = self.core.last_kept(line, account)
        if state is None:
            state = await self.store.kept(line, account)
        if state:
            self.lines[line].learn(state)
        return state

    async def dial(self, line: Line, target: Dial, enter: Callable[[Link], LinkUser]) -> Link:
        """Open a link for a line, with the trust that it configures."""
        if target.is_request:
            return open_calls(target, enter)
        options = line.options
        # Open ones: lines that wait for their turn have no connection and take nobody's place.
        dialled = sum(
            driver.link is not None
            for name in self.supervisors
            for driver in self.lines[name].drivers
        )
        taken = self.gate.links + dialled + self._dialling
        if taken >= self.config.limits.max_connections:
            raise LinkError("max_connections of [limits] is reached")
        self._dialling += 1
        try:
            return await dial(
                target,
                enter,
                self._commons,
                trust=Trust(options.ca_file, options.pin_sha256, options.tls_insecure),
                limits=line.limits,
                is_binary=line.is_binary,
            )
        finally:
            self._dialling -= 1

    async def _listen(self, token: str) -> Ready:
        config = self.config
        for line in self.lines.values():
            if line.options.link == "listen" and line.options.enabled:
                for path in line.dialect.paths(line.options):
                    for bind in line.options.bind or ("",):
                        self.gate.add(bind, path, line)
                for bind in line.options.bind or ("",):
                    self.gate.add_requests(bind, line)
        services = Services(
            store=self.store,
            desk=self.desk,
            fleet=self.fleet,
            clock=self.clock,
            health=self.health,
            metrics_text=self._metrics_text,
            access=Access(
                token_sha256=digest_token(token),
                bind_host=config.server.host,
                allowed_hosts=config.server.allowed_hosts,
                origins=config.server.origins,
                trusted_proxies=config.server.trusted_proxies,
            ),
            live=self.live,
            rules=self.reload,
            tail=self.tail,
            facts=self._facts,
            accounts=self.fleet.accounts,
            demo_path=self._demo_path(),
            count_auth_failure=self.metrics.auth_failed,
        )
        handed = Sockets(read_handed(os.environ, os.getpid()))
        self.server = Server(make_app(services), self.gate, self._sockets(), handed=handed)
        bound = await self.server.start()
        url = bound[""]
        sockets: dict[str, str] = {}
        for line in self.lines.values():
            if line.options.link == "listen" and line.options.enabled:
                paths = line.dialect.paths(line.options)
                where = tuple(
                    ws_url(bound[bind]) + path
                    for bind in line.options.bind or ("",)
                    for path in paths
                )
                line.serve(is_on=True, where=where)
                if line.options.bind:
                    sockets[line.name] = where[0]
        self.store.write_owner(url)
        demo = self._demo_path()
        return Ready(
            url=url,
            sockets=sockets,
            demo_url=f"{url}/demo" if demo else "",
            token_file=str(config.folder / "api.token"),
        )

    def _sockets(self) -> list[Socket]:
        server = self.config.server
        key = server.tls_key.get_secret_value() if server.tls_key else ""
        sockets = [Socket("", server.host, server.port, server.tls_cert, key)]
        seen: set[str] = set()
        for line in self.lines.values():
            options = line.options
            if options.link != "listen" or not options.enabled:
                continue
            for bind in options.bind:
                if bind not in seen:
                    seen.add(bind)
                    host, _, port = bind.rpartition(":")
                    own = options.tls_key.get_secret_value() if options.tls_key else ""
                    sockets.append(Socket(bind, host.strip("[]"), int(port), options.tls_cert, own))
        return sockets

    def _demo_path(self) -> str:
        for line in self.lines.values():
            if line.is_public and line.options.enabled and not line.options.bind:
                return str(line.dialect.paths(line.options)[0])
        return ""

    def _start_tasks(self) -> None:
        self._spawn(self.core.run(), "beat")
        self._spawn(self.core.dispatch.run(self.core), "dispatch")
        turns = Turns(
            store=self.store,
            clock=self.clock,
            hand_over=self.core.turn_due,
            asking=self.core.asking,
            facts=self._facts,
        )
        days = {
            name: options.retention_days
            for name, options in self.config.lines.items()
            if options.retention_days is not None
        }
        self.keeper = Keeper(
            core=self.core,
            store=self.store,
            clock=self.clock,
            turns=turns,
            retention=Retention(lines_days=days),
            total_bytes=self._total_bytes,
            on_trouble=self._trouble,
            scale=self.config.dev.clock_scale,
        )
        self._spawn(self.keeper.run(), "keeper")
        for name, supervisor in self.supervisors.items():
            self._spawn(supervisor.run(), f"line {name}")
        self.watchdog.start()
        self._spawn(self.reload.run(), "reload")
        self._spawn(self.credentials.run(), "credentials")
        self._spawn(self.plugins.run(), "plugins")

    # -- stop --------------------------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Begin to stop; asked again, end at once.

        A supervisor may signal the process and its group together: what comes within half a
        second is the same request.
        """
        now_s = self.clock.monotonic_s()
        if not self._stop_asked.is_set():
            self._stop_asked_s = now_s
            self._stop_asked.set()
        elif now_s - self._stop_asked_s > SAME_SIGNAL_S:
            os._exit(1)

    async def run(self) -> None:
        """Serve until asked to stop."""
        await self._stop_asked.wait()
        await self.stop()

    async def stop(self) -> None:
        """Stop in order; what cannot finish in 10 s is left as rows."""
        self._is_stopping = True
        self.log.info("stopping")
        # What is left of it for slow peers; the rest of the 15 s is for the store (reliability 6).
        slow_until_s = self.clock.monotonic_s() + SLOW_PEERS_S
        self.live.close_all()
        await self.server.stop_accepting()
        for supervisor in self.supervisors.values():
            supervisor.stop()
        for line in self.lines.values():
            line.halt()
        failpoints.hit("drain.mid")
        self.core.stop()
        self.keeper.stop()
        try:
            async with asyncio.timeout(STOP_S):
                await self._named("beat")
        except TimeoutError:
            self.log.warning("stop took too long", left="rows stay queued or uncertain")
        self.core.dispatch.stop()
        for line in self.lines.values():
            line.finish()
            line.close_links(1001, "server stops")
        await self._links_closed(slow_until_s)
        await self.fetcher.stop()
        await self.server.stop(1.0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.watchdog.stop()
        if self.assistant is not None:
            await self.assistant.close()
        await self.store.close()
        self.log.info("stopped")
        ROOT.stop()

    async def _links_closed(self, slow_until_s: float) -> None:
        """Wait for the closing handshakes, and for slow peers to take what was written."""
        for is_slow in (False, True):
            left_s = slow_until_s - self.clock.monotonic_s()
            try:
                async with asyncio.timeout(max(0.0, left_s) if is_slow else CLOSE_S):
                    for line in self.lines.values():
                        await line.wait_empty()
            except TimeoutError:
                if not any(link.buffered_bytes for link in self._open_links()):
                    break
            else:
                return
        for link in self._open_links():
            if link.buffered_bytes:
                peer = link.info.head.peer
                self.log.warning("a peer did not read", peer=peer, unread_bytes=link.buffered_bytes)
            link.abort()

    def _open_links(self) -> list[Link]:
        return [
            driver.link
            for line in self.lines.values()
            for driver in line.drivers
            if driver.link is not None
        ]

    # -- what the rooms call back ------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], name: str = "") -> asyncio.Task[None]:
        """Start an owned task; when one of the long ones dies, the process ends."""
        task = asyncio.get_running_loop().create_task(work, name=name or None)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.log.error("task failed", task=task.get_name(), error=error)
            self._stop_asked.set()

    async def _named(self, name: str) -> None:
        for task in list(self._tasks):
            if task.get_name() == name:
                await asyncio.wait({task})

    def _trouble(self, action: str, error: BaseException | None) -> None:
        if error is None:
            self.log.warning(action)
        else:
            self.log.error(action, error=error)

    def _plugin_failed(self, handler: str, fault: str) -> None:
        self.log.error("plugin failed", handler=handler, fault=fault)

    def _link_trouble(self, where: str, error: BaseException) -> None:
        get_logger("lines").error("link user failed", where=where, error=error)

    def _resumed(self, line: str) -> None:
        for name, key in self.roster.seats(line):
            self.core.dispatch.look((name, key))

    def _plugins_changed(self) -> None:
        self.reload.use_handlers(self.plugins.specs)
        state = {"handlers": len(self.plugins.specs), "problems": self.plugins.notes()}
        self.tail.announce(RULES, "plugins", state)

    def _learn(self, line: str, secrets: Sequence[str]) -> None:
        ROOT.redactor.renew(line, secrets)

    def _tell_credential(self, line: str, why_not: str) -> None:
        if why_not:
            self.log.error("credential edit refused", line=line, problem=why_not)
        else:
            self.log.info("credential taken up", line=line)

    def _use_rules(self, rulebook: Rulebook) -> None:
        self.core.use(decider(decide, rulebook, RuleHealth()))

    def _tell_reloaded(self, done: Reloaded, config: Config | None) -> None:
        if config is not None:
            ROOT.redactor.register(config.secrets())
        if done.problems:
            self.log.error("configuration edit refused", problems=list(done.problems))
        else:
            self.log.info("rules reloaded", rules=done.rules, default_replies=done.default_replies)
        if done.restart_needed:
            self.log.warning("restart needed", sections=list(done.restart_needed))
        self.tail.announce(RULES, "rules", msgspec.to_builtins(done))

    async def _metrics_text(self) -> bytes:
        self.metrics.rows(await self.store.counts())
        self.metrics.running(len(asyncio.all_tasks()), threading.active_count())
        self.metrics.disk(self.store.free_bytes(), is_low=self.core.is_disk_low)
        return self.metrics.render()

    def health(self) -> Health:
        """Say how this process is."""
        config = self.config
        statuses = self.fleet.statuses()
        health = assess(
            Vitals(
                is_stopping=self._is_stopping,
                store_error=self.core.trouble,
                is_disk_low=self.core.is_disk_low,
                is_stalled=self.core.is_stalled,
                failed_lines=[
                    status.name
                    for status in statuses
                    if status.state.value == "FAILED" or "needs-you" in status.overlays
                ],
                open_lines=config.open_lines,
                synchronous=config.store.synchronous,
                tls=config.server.tls,
                insecure_lines=[
                    name for name, options in config.lines.items() if options.tls_insecure
                ],
            )
        )
        notes = [*health.notes, *self.reload.notes(), *self.plugins.notes()]
        if config.dev.clock_scale != 1:
            notes.append(f"dev: the clock runs {config.dev.clock_scale:g} times too fast")
        if self.assistant is not None and self.assistant.trouble:
            notes.append(self.assistant.trouble)
        return msgspec.structs.replace(health, notes=tuple(notes))

    def _loop_stalled(self, stall: Stall) -> None:
        self.metrics.stalled(stall.seconds, is_ours=stall.is_ours)
        if stall.is_ours:
            self.log.warning(
                "event loop blocked", ms=round(stall.seconds * 1000), stack=stall.stack
            )

    def _checking(self, seconds: float) -> None:
        """Say that a start takes its time; logs are not set up yet, so this goes to stderr."""
        self.log.warning("checking the data file", seconds=round(seconds))

    def _arm_failpoints(self) -> None:
        text = os.environ.get("TRUNKLINE_FAILPOINT", "")
        if not text:
            return
        if not self.config.dev.failpoints:
            raise ConfigError(["TRUNKLINE_FAILPOINT is set, but [dev] failpoints is not true"])
        try:
            log = os.environ.get("TRUNKLINE_FAILPOINT_LOG", "")
            failpoints.arm(failpoints.parse(text), log)
        except ValueError as error:
            raise ConfigError([f"TRUNKLINE_FAILPOINT: {error}"]) from error


def ws_url(url: str) -> str:
    """Turn `http(s)://…` into `ws(s)://…`."""
    return "ws" + url.removeprefix("http")


def run_loop(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a coroutine on uvloop where it exists."""
    factory: Any = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())
