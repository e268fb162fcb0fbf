"""Takes changed settings while the daemon runs, and watches the kill switch.

The file is read again when it has changed, however that came about (written in place, replaced, or a
ConfigMap whose link now leads elsewhere), and on SIGHUP. It is taken as a whole or refused as a
whole: where anything in it is wrong the old settings stay. What cannot change while the daemon runs
is named in a warning and waits for a restart; the rest holds at once, for a kill switch must not wait
for a queue's new name.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from msgspec.structs import replace

from monitor import deeds, logs, plugins
from monitor.assembly import Parts, detection_of, load
from monitor.clock import Clock, iso
from monitor.errors import SettingsError
from monitor.judgement import rules_of, sight_repairers
from monitor.kill_switch import KillSwitch
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.settings_file import read_settings
from monitor.settings_response import ResponseSettings

EVERY = 1.0
"""Seconds between two looks at the file. It is taken once two of them show the same: what is half
written may be valid, and say less than it will."""
LIVE: Final = frozenset({"mode", "detectors", "default_detectors", *ResponseSettings.model_fields})
"""What can change while the daemon runs; of `log` its level, too."""


class Reload:
    """One settings file and the running daemon. Without a file there is only the kill switch."""

    def __init__(
        self,
        file: Path | None,
        settings: Settings,
        loaded: plugins.Loaded,
        parts: Parts,
        *,
        kill_switch: KillSwitch,
        clock: Clock,
        metrics: Metrics,
        asked: asyncio.Event,
        judge_again: Callable[[], None],
    ) -> None:
        """`asked` is set by whoever wants the file to be read now.

        `judge_again` makes everything that is still wrong be judged once more, by other rules.
        """
        self.file = file
        self.given = settings
        """As the file said when it was last good."""
        self.running = settings
        self.loaded = loaded
        self.parts = parts
        self.kill_switch = kill_switch
        self.clock = clock
        self.metrics = metrics
        self.asked = asked
        self.judge_again = judge_again
        self.stopped = kill_switch.may_write()
        self.log = structlog.get_logger("settings")
        self.metrics.settings.born(
            [one.name for one in settings.response], [one.name for one in settings.maintenance]
        )
        self.metrics.settings.writes_stopped.set_function(
            lambda: float(kill_switch.may_write() is not None)
        )
        self.metrics.settings.taken(clock)
        show_suppressions(settings, clock, metrics)
        if self.stopped is not None:
            self.log.warning("writes are stopped", problem=self.stopped)

    async def run(self) -> None:
        """Look at the file and at the kill switch, for ever."""
        seen = taken = ""
        while True:
            asked = await self.asked_within(EVERY)
            if self.file is not None:
                now = await asyncio.to_thread(fingerprint, self.file)
                if asked or (now == seen != taken):
                    await self.take(self.file, asked=asked)
                    taken = now
                seen = now
            self.watch()

    async def asked_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.asked.wait()
        except TimeoutError:
            return False
        self.asked.clear()
        return True

    def watch(self) -> None:
        """Say when writes are stopped, and when they are allowed again, however short it was."""
        stopped = self.kill_switch.may_write()
        if stopped is not None and self.stopped is None:
            self.log.warning("writes are stopped", problem=stopped)
        elif stopped is None and self.kill_switch.has_stopped:
            self.kill_switch.has_stopped = False
            self.log.warning("writes are allowed again")
            self.judge_again()
        self.stopped = stopped

    async def take(self, file: Path, *, asked: bool = False) -> None:
        """Read the file and take it, or say why not. Unchanged settings count only when asked for."""
        try:
            new = await asyncio.to_thread(read_settings, file, os.environ)
            if new == self.given:
                self.metrics.settings.good.set(1)
                if asked:
                    self.metrics.settings.reloads.labels("unchanged").inc()
                    self.log.info("settings are unchanged", file=str(file))
                return
            waiting = waiting_for_restart(self.running, new)
            running = merged(self.running, new)
            loaded = await asyncio.to_thread(load, new, file)
            if not {"responders", "plugin_folders"}.isdisjoint(waiting):
                loaded = await asyncio.to_thread(self.load_as_it_runs, running, file, waiting)
        except SettingsError as error:
            self.metrics.settings.good.set(0)
            self.metrics.settings.reloads.labels("refused").inc()
            self.log.error(
                "settings refused, the old ones stay", file=str(file), problems=error.faults
            )
            return
        changed = [one for one in LIVE if getattr(running, one) != getattr(self.running, one)]
        if running.log != self.running.log:
            logs.set_level(running.log.level)
            changed.append("log.level")
        self.apply(running, loaded)
        self.given = new
        self.metrics.settings.taken(self.clock)
        self.metrics.settings.reloads.labels("taken").inc()
        self.metrics.settings.waiting.set(len(waiting))
        self.log.warning("settings taken", file=str(file), changed=sorted(changed))
        if waiting:
            self.log.warning("settings need a restart", waiting=waiting)

    def load_as_it_runs(self, running: Settings, file: Path, waiting: list[str]) -> plugins.Loaded:
        """What changes now must not rest on what changes with the restart. Raises `SettingsError`."""
        try:
            return load(running, file)
        except SettingsError as error:
            why = f"this needs a restart first, for {', '.join(waiting)} changed, too"
            raise SettingsError([f"{fault}; {why}" for fault in error.faults]) from error

    def apply(self, running: Settings, loaded: plugins.Loaded) -> None:
        """From here on everything is judged by the new settings. Nothing in here waits."""
        parts, pipeline = self.parts, self.parts.pipeline
        if recipes(loaded) != recipes(self.loaded):
            broken = list(loaded.broken)
            pipeline.detection = detection_of(
                running, loaded, parts.knowledge, self.metrics, broken
            )
            parts.archive.look_for(pipeline.detection.wanted)
            self.metrics.born(detectors=list(loaded.detectors))
            for one in broken:
                self.log.error("plugin is broken and left out", problem=str(one))
        there = parts.responders
        rules = rules_of(
            running,
            loaded,
            repairers={name: one.aspects for name, one in there.items() if one.repairs},
            sight=sight_repairers(there),
            tellers=tuple(name for name, one in there.items() if not one.repairs),
        )
        # What was learnt since the start, and what no reload changes, stays.
        known = pipeline.rules
        rules = replace(rules, own_arns=known.own_arns, places=known.places)
        other, pipeline.rules = rules != pipeline.rules, rules
        pipeline.response.fallbacks = running.fallbacks
        self.kill_switch.on = running.kill_switch
        self.kill_switch.file = running.kill_switch_file
        self.running, self.loaded = running, loaded
        self.metrics.settings.born(
            [one.name for one in running.response], [one.name for one in running.maintenance]
        )
        show_suppressions(running, self.clock, self.metrics)
        parts.keeper.note(
            deeds.settings_loaded(
                mode=running.mode.value, places=sorted(running.places), responders=list(there)
            )
        )
        if other:
            self.judge_again()


def fingerprint(file: Path) -> str:
    """What tells one content of the file from another; the error where it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        return str(error)


def waiting_for_restart(running: Settings, new: Settings) -> list[str]:
    """The names of what differs and cannot change while the daemon runs."""
    found = [
        name
        for name in Settings.model_fields
        if name not in LIVE | {"log"} and getattr(running, name) != getattr(new, name)
    ]
    return found + ["log.format"] * (running.log.format != new.log.format)


def merged(running: Settings, new: Settings) -> Settings:
    """The running settings with all of the new ones that can change while the daemon runs."""
    live = {name: getattr(new, name) for name in LIVE}
    log = running.log.model_copy(update={"level": new.log.level})
    return running.model_copy(update=live | {"log": log})


def recipes(loaded: plugins.Loaded) -> dict[str, tuple[str, dict[str, object]]]:
    """What makes the detectors what they are: where each is from, and its options."""
    return {
        name: (one.source.origin, one.options.model_dump())
        for name, one in loaded.detectors.items()
    }


def show_suppressions(settings: Settings, clock: Clock, metrics: Metrics) -> None:
    """Count the suppressions, and say which have run out."""
    log, now = structlog.get_logger("settings"), clock.now()
    active = [one for one in settings.suppressions if one.active(now)]
    metrics.suppressions.labels("active").set(len(active))
    metrics.suppressions.labels("expired").set(len(settings.suppressions) - len(active))
    for one in settings.suppressions:
        if one not in active:
            log.warning("suppression has run out", until=iso(one.until), reason=one.reason)
