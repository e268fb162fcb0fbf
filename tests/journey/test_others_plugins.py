"""The running daemon with plugins of others, whole and broken, and with suppressions."""

from collections.abc import Callable
from pathlib import Path

import structlog

from monitor.app import App
from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, Person, daemon, settings_for, until

PAGER = """\
from pathlib import Path
from monitor.decision import Action, Outcome
from monitor.detector import NoOptions

class Pager:
    name = "pager"
    repairs = False
    aspects = frozenset()
    Options = NoOptions
    def __init__(self, options, services): pass
    async def respond(self, decision):
        with Path(__file__).with_name("paged").open("a") as file:
            file.write(decision.finding.detector + "\\n")
        return Action("pager", Outcome.DONE)
    async def serve(self): pass
    def problem(self): return None
"""
BROKEN = {
    "throws": PAGER.replace('"pager"', '"throws"').replace(
        "def __init__(self, options, services): pass",
        "def __init__(self, options, services): raise KeyError('x')",
    ),
    "unfinished": "def (",
}


def sample(app: App, metric: str, /, **labels: str) -> float | None:
    return app.metrics.registry.get_sample_value(f"kms_monitor_{metric}", labels)


def folder_in(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir(mode=0o755)
    (folder / "pager.py").write_text(PAGER)
    for name, text in BROKEN.items():
        (folder / f"{name}.py").write_text(text)
    return folder


async def test_broken_ones_are_told_and_stop_nothing(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    folder = folder_in(tmp_path)
    settings = settings_for(
        simulator,
        tmp_path,
        plugin_folders=[str(folder)],
        responders={"restore_key": {"doubt_seconds": 1}, "pager": {}, "throws": {}},
    )
    arn = await people("admin").create_key()
    with structlog.testing.capture_logs() as logs:
        async with daemon(settings) as app:
            await people("mallory").kms.disable_key(KeyId=arn)
            await until(lambda: simulator.kms.state_of(arn) == "Enabled")
            await until((folder / "paged").exists)
    assert sample(app, "broken_plugins", kind="responder", name="throws") == 1
    assert sample(app, "broken_plugins", kind="file", name="unfinished") == 1
    origin = str(folder / "pager.py")
    assert sample(app, "plugin_info", kind="responder", name="pager", origin=origin) == 1
    told = {one["name"]: one for one in logs if one["event"] == "plugin is broken and left out"}
    assert set(told) == {"throws", "unfinished"}
    assert told["throws"]["origin"] == str(folder / "throws.py")
    assert told["throws"]["log_level"] == "error"


async def test_a_suppressed_finding_is_repaired_counted_and_not_told(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    folder = folder_in(tmp_path)
    settings = settings_for(
        simulator,
        tmp_path,
        plugin_folders=[str(folder)],
        responders={"restore_key": {"doubt_seconds": 1}, "pager": {}},
        suppressions=[
            {"reason": "old", "until": "2020-01-01T00:00:00Z", "accounts": [ACCOUNT]},
            {"reason": "a drill", "until": "never", "detectors": ["key_disabled"]},
        ],
    )
    arn = await people("admin").create_key()
    with structlog.testing.capture_logs() as logs:
        async with daemon(settings) as app:
            assert sample(app, "suppressed_total", detector="key_disabled") == 0
            await people("mallory").kms.disable_key(KeyId=arn)
            await until(lambda: simulator.kms.state_of(arn) == "Enabled")
            await until(lambda: sample(app, "suppressed_total", detector="key_disabled") == 1)
            await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=30)
            await until((folder / "paged").exists)
    told = set((folder / "paged").read_text().split())
    assert "key_deletion_scheduled" in told
    assert "key_disabled" not in told
    assert sample(app, "suppressions", state="active") == 1
    assert sample(app, "suppressions", state="expired") == 1
    (expired,) = [one for one in logs if one["event"] == "suppression has run out"]
    assert (expired["reason"], expired["until"]) == ("old", "2020-01-01T00:00:00Z")
    silenced = [one for one in logs if one["event"] == "finding" and one["suppressed"]]
    assert {one["suppressed"] for one in silenced} == {"a drill"}
