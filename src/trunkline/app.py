"""Composition: configuration in, running services out. The only file that knows every room.

Start: configuration is safe → data folder → store → exchange → lines → services → plugins and
model → doors → `ready`. What makes it one process is in `process/`: its doors, tasks, log,
condition, and the order of the stop.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec

from trunkline import __version__, failpoints
from trunkline.assistants.contract import Assistant
from trunkline.assistants.openai_compatible import OpenAiCompatible, Settings
from trunkline.clock import ScaledClock, SystemClock
from trunkline.config import Config, require_safe, schemas_of
from trunkline.credentials import Credentials
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import ConfigError
from trunkline.exchange.asking import Asker
from trunkline.exchange.desk import Desk
from trunkline.exchange.intake import Core, Outside
from trunkline.exchange.keeper import Keeper
from trunkline.exchange.plans import decider
from trunkline.exchange.turns import Turns
from trunkline.ids import Ids, SystemIds
from trunkline.lines.fleet import NodeFleet
from trunkline.lines.http import Fetcher
from trunkline.lines.line import Line, Surroundings, facts_of
from trunkline.lines.listen import Gate, GateRules
from trunkline.lines.quota import QuotaRules
from trunkline.lines.roster import Roster
from trunkline.lines.supervisor import Pace, Supervisor
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.pipeline.decide import Rulebook, RuleHealth, compile_handlers, decide
from trunkline.plugins.binding import Around
from trunkline.plugins.loader import Plugins
from trunkline.plugins.running import TIMEOUT_S as PLUGINS_S
from trunkline.plugins.running import Runner
from trunkline.process.condition import Condition
from trunkline.process.dialling import Dialling
from trunkline.process.doors import Ready, demo_path_of, hang_doors, make_server, open_doors
from trunkline.process.logbook import Logbook
from trunkline.process.stopping import BEAT, Running, StopRequest, stop_in_order
from trunkline.process.tasks import Tasks
from trunkline.reload import Reload, Reloaded
from trunkline.store.contract import Retention
from trunkline.store.sqlite import SqliteStore
from trunkline.telemetry.logs import get_logger
from trunkline.telemetry.metrics import Metrics
from trunkline.web.app import Services, make_app
from trunkline.web.auth import Access, digest_token, ensure_api_token
from trunkline.web.live import Live
from trunkline.web.tail import RULES, Tail


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
        self.logbook = Logbook()
        self.log = self.logbook.log
        self.store = SqliteStore(
            config.folder,
            clock=self.clock,
            synchronous="NORMAL" if config.store.synchronous == "normal" else "FULL",
            filename=config.store.filename,
            on_checking=self.logbook.checking,
        )
        self.tasks = Tasks(self._task_died)
        self.stopping = StopRequest(self.clock)
        self.assistant: Assistant | None = None

    # -- start -------------------------------------------------------------------------------

    async def start(self) -> Ready:
        """Open everything; on failure close what was opened and raise."""
        self._arm_failpoints()
        self.stopping.heed_signals()
        last_id = await self.store.open()
        try:
            return await self._start_on(last_id)
        except BaseException:
            await self.store.close()
            raise

    async def _start_on(self, last_id: int) -> Ready:
        config = self.config
        self.logbook.open(config, self.metrics.log_dropped)
        token = ensure_api_token(config.folder)
        self.logbook.hide([*config.secrets(), token])
        await self._make_exchange(SystemIds(self.clock, last=last_id))
        await self._make_lines()
        self._make_services()
        await self._start_asking(token)
        self.condition = Condition(
            config=config,
            core=self.core,
            fleet=self.fleet,
            store=self.store,
            metrics=self.metrics,
            log=self.log,
            notes=(self.reload.notes, self.plugins.notes),
            assistant=self.assistant,
        )
        ready = await self._listen(token)
        self._start_tasks()
        return ready

    async def _make_exchange(self, ids: Ids) -> None:
        """Make what decides and what it reaches outside by."""
        config, clock = self.config, self.clock
        self._ids = ids
        self.roster = Roster()
        self._facts: dict[str, Any] = {}
        self.reload = Reload(config, clock=clock, use=self._use_rules, tell=self._tell_reloaded)
        self.core = Core(
            Outside(
                clock=clock,
                ids=ids,
                store=self.store,
                router=self.roster,
                facts=self._facts,
                meter=self.metrics,
                on_trouble=self.logbook.trouble,
                later=asyncio.get_running_loop().call_later,
                spawn=self.tasks.spawn,
                offset_ms=round(config.site.utc_offset_h * 3_600_000),
            ),
            decider(decide, self.reload.rulebook, RuleHealth()),
        )
        self.core.conversations.start_at(await self.store.next_conversation_id())

    async def _make_lines(self) -> None:
        """Make the lines, what lets their peers in and what dials for them."""
        config = self.config
        commons = Commons(PingSweep(self.clock), Budget(), self.logbook.link_failed)
        self.fetcher = Fetcher()
        self.gate = Gate(
            commons,
            self.clock,
            GateRules(
                allowed_hosts=config.server.allowed_hosts,
                trusted_proxies=config.server.trusted_proxies,
                quota=QuotaRules(max_links=config.limits.max_connections),
            ),
            self.metrics.refused,
        )
        schemas = await asyncio.to_thread(schemas_of, config)  # may have to compile one
        around = self._surroundings()
        self.lines = {
            name: Line(name, DIALECTS[options.dialect], options, around)
            for name, options in config.lines.items()
        }
        for name, schema in schemas.items():
            self.lines[name].schema = schema
        self._facts.update(facts_of(self.lines))
        if any(line.options.own_hosts for line in self.lines.values()):
            await self.fetcher.prepare()  # lines that call, while nobody waits for the loop yet
        await self.core.dispatch.learn()
        await self.core.carrying.learn()
        dialled = [
            line
            for line in self.lines.values()
            if line.options.link == "dial" and line.options.enabled
        ]
        self.dial = Dialling(self.gate, dialled, commons, config.limits.max_connections).dial
        pace = Pace(self.clock, config.limits.max_dials)
        self.supervisors = {
            line.name: Supervisor(
                line,
                dial=self.dial,
                kept=self._kept,
                pace=pace,
                has_sisters=len(dialled) > 1,
            )
            for line in dialled
        }

    def _surroundings(self) -> Surroundings:
        loop, clock = asyncio.get_running_loop(), self.clock
        return Surroundings(
            clock=clock,
            ids=self._ids,
            exchange=self.core,
            roster=self.roster,
            log=get_logger("lines"),
            meter=self.metrics,
            timer=lambda at_s, call: loop.call_at(loop.time() + at_s - clock.monotonic_s(), call),
            auth_failed=self.gate.auth_failed,
            learn=self.logbook.learn,
            fetch=self.fetcher.fetch,
            mask=self.logbook.mask,
        )

    def _make_services(self) -> None:
        """Make what people work with: lines, credentials, the desk, the live feed."""
        self.credentials = Credentials(
            self.config,
            self.lines,
            learn=self.logbook.learn,
            renew=lambda name: self.supervisors[name].renew(),
            tell=self.logbook.credential_given,
        )
        self.fleet = NodeFleet(self.lines, self.supervisors, self._resumed, self.credentials.give)
        self.desk = Desk(
            core=self.core,
            store=self.store,
            clock=self.clock,
            facts=self._facts,
            router=self.roster,
            accounts=self.fleet.accounts,
        )
        self.live = Live()
        self.tail = Tail(
            store=self.store,
            desk=self.desk,
            fleet=self.fleet,
            clock=self.clock,
            later=asyncio.get_running_loop().call_later,
        )

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
        runner = Runner(around, lambda: self.plugins.handlers, self.logbook.plugin_failed)
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

    async def _listen(self, token: str) -> Ready:
        config, lines = self.config, self.lines.values()
        hang_doors(self.gate, lines)
        services = Services(
            store=self.store,
            desk=self.desk,
            fleet=self.fleet,
            clock=self.clock,
            health=self.condition.health,
            metrics_text=self.condition.metrics_text,
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
            demo_path=demo_path_of(lines),
            count_auth_failure=self.metrics.auth_failed,
        )
        self.server = make_server(config, make_app(services), self.gate, lines)
        bound = await self.server.start()
        ready = open_doors(config, self.lines, bound)
        self.store.write_owner(ready.url)
        return ready

    def _start_tasks(self) -> None:
        self.tasks.spawn(self.core.run(), BEAT)
        self.tasks.spawn(self.core.dispatch.run(self.core), "dispatch")
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
            total_bytes=self.condition.disk_bytes,
            on_trouble=self.logbook.trouble,
            scale=self.config.dev.clock_scale,
        )
        self.tasks.spawn(self.keeper.run(), "keeper")
        for name, supervisor in self.supervisors.items():
            self.tasks.spawn(supervisor.run(), f"line {name}")
        self.condition.watchdog.start()
        self.tasks.spawn(self.reload.run(), "reload")
        self.tasks.spawn(self.credentials.run(), "credentials")
        self.tasks.spawn(self.plugins.run(), "plugins")

    # -- stop --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until asked to stop."""
        await self.stopping.wait()
        await self.stop()

    async def stop(self) -> None:
        """Stop in order; what cannot finish in 10 s is left as rows."""
        self.condition.is_stopping = True
        self.log.info("stopping")
        running = Running(
            live=self.live,
            server=self.server,
            supervisors=self.supervisors,
            lines=self.lines,
            core=self.core,
            keeper=self.keeper,
            fetcher=self.fetcher,
            tasks=self.tasks,
            watchdog=self.condition.watchdog,
            assistant=self.assistant,
            store=self.store,
        )
        await stop_in_order(running, self.clock, self.log)
        self.log.info("stopped")
        self.logbook.close()

    # -- where one room's news is another's work ---------------------------------------------

    async def _kept(self, line: str, account: str) -> bytes | None:
        state = self.core.last_kept(line, account)
        if state is None:
            state = await self.store.kept(line, account)
        if state:
            self.lines[line].learn(state)
        return state

    def _task_died(self, name: str, error: BaseException) -> None:
        self.logbook.task_died(name, error)
        self.stopping.give_up()

    def _resumed(self, line: str) -> None:
        for name, key in self.roster.seats(line):
            self.core.dispatch.look((name, key))

    def _plugins_changed(self) -> None:
        self.reload.use_handlers(self.plugins.specs)
        state = {"handlers": len(self.plugins.specs), "problems": self.plugins.notes()}
        self.tail.announce(RULES, "plugins", state)

    def _use_rules(self, rulebook: Rulebook) -> None:
        self.core.use(decider(decide, rulebook, RuleHealth()))

    def _tell_reloaded(self, done: Reloaded, config: Config | None) -> None:
        if config is not None:
            self.logbook.hide(config.secrets())
        self.logbook.reloaded(done)
        self.tail.announce(RULES, "rules", msgspec.to_builtins(done))

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
