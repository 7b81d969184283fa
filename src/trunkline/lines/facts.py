"""What the exchange reads of a line, made from its options: a value, so it knows no line."""

from __future__ import annotations

import msgspec

from trunkline.dialects.contract import Dialect
from trunkline.dialects.options import LineOptions
from trunkline.exchange.contract import LineFacts, Pace
from trunkline.model.capability import Traits


def make_facts(name: str, dialect: Dialect, role: str, options: LineOptions) -> LineFacts:
    """Return the facts of a line that plays this role."""
    return LineFacts(
        name=name,
        dialect=dialect.name,
        traits=_traits_of(dialect, role, options),
        seat_of=dialect.seat_of,
        mode=options.mode,
        debounce_s=options.debounce_s,
        stale_after_ms=round(options.stale_after_s * 1000),
        is_enabled=options.enabled,
        is_last_only=options.debounce_mode == "last",
        max_in_work=options.max_in_work,
        takeover_for_ms=round(options.takeover_for_s * 1000),
        has_brief_seats=dialect.traits[role].is_site,
        kinds=dialect.kinds,
        # One that is switched off gathers nothing.
        carries=options.carries if options.enabled else "",
        account=dialect.account_of(options),
        reports_own=options.reports_own,
        replay_ms=None if options.replay_s is None else round(options.replay_s * 1000),
        pace=_pace_of(options),
        send_gap_s=options.paced_s,
        aliases=dialect.aliases,
    )


def _pace_of(options: LineOptions) -> Pace | None:
    """Return how fast a line sends at most; None = it has no pace and its answers leave at once."""
    if not options.every_s and not options.daily:
        return None
    return Pace(round(options.every_s * 1000), options.daily)


def _traits_of(dialect: Dialect, role: str, options: LineOptions) -> Traits:
    """Return the dialect's traits, without the guard against loops where nobody wants it."""
    traits = dialect.traits[role]
    return traits if options.loop_guard else msgspec.structs.replace(traits, loop_guard=False)
