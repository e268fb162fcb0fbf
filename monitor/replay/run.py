"""One run: from what was asked for on the command line to what is reported.

Nothing is written to AWS: the only clients opened are those of `aws_sources`, which list, get and
look up.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from msgspec.structs import replace

from monitor import plugins
from monitor.approval import NeverApprove
from monitor.assembly import know, load
from monitor.aws import Aws
from monitor.detection import Detection
from monitor.errors import MonitorError, SettingsError
from monitor.guarded import entry_of, with_members
from monitor.judgement import rules_by_name
from monitor.key_patterns import may_be_alias
from monitor.knowledge import Knowledge
from monitor.maintenance import Maintenance
from monitor.metrics import Metrics
from monitor.policy import Mode, Rules
from monitor.replay.aws_sources import History, LogFiles, history_inputs, own_account
from monitor.replay.gathering import Gathered, Gathering
from monitor.replay.journal import Head, Journal
from monitor.replay.judging import Judged, judge
from monitor.replay.progress import Bar
from monitor.replay.reading import Asked, Reading
from monitor.replay.sources import (
    STDIN,
    Bucket,
    Input,
    Local,
    local_inputs,
    parse_source,
)
from monitor.replay.sources import History as HistorySource
from monitor.replay.times import parse_span
from monitor.response_rules import ResponseRule
from monitor.settings import Settings
from monitor.settings_accounts import Account
from monitor.settings_file import read_settings
from monitor.tiers import Tier


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The command line."""

    sources: list[str]
    config: Path | None = None
    start: str | None = None
    end: str | None = None
    resume: Path | None = None
    jobs: int = 1
    region: str | None = None
    detectors: frozenset[str] = frozenset()
    """Only these, where there are any."""


class Result(msgspec.Struct, frozen=True):
    gathered: Gathered
    judged: Judged
    seconds: float
    """That reading took."""
    mode: Mode


class Guard(msgspec.Struct, frozen=True):
    """What history is judged by."""

    detection: Detection
    rules: Rules
    settings: Settings | None


class Voice(msgspec.Struct, frozen=True):
    """How to talk to people while it runs."""

    bar: Bar
    note: Callable[[str], None]
    complain: Callable[[str], None]


async def perform(request: Request, voice: Voice) -> Result:
    """Do it all. Raises `SettingsError`, and OSError where the journal cannot be written."""
    sources = [parse_source(text) for text in request.sources]
    settings = None
    if request.config is not None:
        settings = await with_members(read_settings(request.config, os.environ))
    guard = make_guard(request, settings, voice.complain)
    if guard.settings is None:
        voice.note(
            "no --config: built-in detectors with their defaults, every account and Region that"
            " is met counts as allowed, mode enforce; nothing is known to be ours (`watched`), so calls"
            " on queues, rules, roles and the like are told with less weight, or not at all"
        )
    elif rests_on_labels(guard.rules):
        voice.note(
            "the settings go by tags or aliases, which history does not tell: the strictest rule"
            " counts, and no such maintenance window is open"
        )
    now = time.time()
    span = parse_span(request.start, request.end, now)
    async with AsyncExitStack() as stack:
        journal = None
        if request.resume is not None:
            head = Head(guard.detection.wanted, request.start, request.end, span)
            journal = Journal.open(request.resume, head)
            stack.callback(journal.close)
            span = journal.head.span
        asked = Asked(guard.detection.wanted, span)
        aws = await stack.enter_async_context(make_aws(guard.settings, request))
        cloud = Cloud(aws, asked, now, request)
        stack.enter_context(voice.bar)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kms-monitor-")))
        inputs: dict[str, Input] = {}
        faults = 0
        for source in sources:
            try:
                found = await list_inputs(source, cloud, guard.settings, folder)
            except (MonitorError, OSError) as error:
                if isinstance(error, SettingsError):
                    raise
                voice.complain(f"{shown(source)}: cannot be read: {error}")
                faults += 1
            else:
                inputs |= {one.name: one for one in found}
        gathering = Gathering(
            asked,
            jobs=request.jobs,
            bar=voice.bar,
            complain=voice.complain,
            journal=journal,
            remote=cloud,
        )
        started = time.monotonic()
        gathered = await gathering.run(list(inputs.values()))
        gathered.unreadable += faults
    seconds = time.monotonic() - started
    rules = guard.rules if guard.settings else None
    judged = judge(gathered.records, guard.detection, rules, guard.rules)
    return Result(gathered, judged, seconds, guard.rules.mode)


def make_guard(
    request: Request, settings: Settings | None, complain: Callable[[str], None]
) -> Guard:
    """Detectors and rules: the daemon's, or every built-in detector with its defaults."""
    if request.config is None or settings is None:
        knowledge = Knowledge()
        names = [*plugins.chosen({}, defaults=not request.detectors), *sorted(request.detectors)]
        kinds = [plugins.load("detectors", name) for name in names]
        detection = Detection([kind(kind.Options(), knowledge) for kind in kinds], Metrics())
        # Places are filled in when they are known; who repairs and tells is never called.
        rules = Rules(Mode.ENFORCE, frozenset(), repairers=("restore_key",), tellers=("people",))
        return Guard(detection, rules, None)
    knowledge = know(settings)
    loaded = load(settings, request.config)
    broken = list(loaded.broken)
    detectors = plugins.make_all(loaded.detectors, knowledge, broken)
    for one in broken:
        complain(f"left out: {one}")
    if missing := request.detectors - detectors.keys():
        raise SettingsError([f"--detector {min(missing)}: the settings do not name it"])
    chosen = [one for name, one in detectors.items() if name in (request.detectors or detectors)]
    rules = replace(
        rules_by_name(settings, loaded),
        own_arns=frozenset(session for one in settings.accounts if (session := our_name(one))),
    )
    detection = Detection(chosen, Metrics(), knowledge, origins=plugins.origins(loaded.detectors))
    return Guard(detection, rules, settings)


def rests_on_labels(rules: Rules) -> bool:
    """Whether any judgement needs to know a key's tags or aliases."""
    named: list[ResponseRule | Tier | Maintenance | NeverApprove]
    named = [*rules.response, *rules.tiers.values(), *rules.maintenance, rules.never_approve]
    return any(one.tags or any(map(may_be_alias, one.keys)) for one in named)


def our_name(account: Account) -> str:
    """How our own calls into an account show in CloudTrail, where the settings tell it."""
    if account.role_arn is None:
        return ""
    partition = account.role_arn.split(":")[1]
    # A session's ARN has lost the role's path.
    role = account.role_arn.rpartition("/")[2]
    return f"arn:{partition}:sts::{account.id}:assumed-role/{role}"


def make_aws(settings: Settings | None, request: Request) -> Aws:
    """Opens nothing before it is needed."""
    accounts = settings.accounts if settings else []
    return Aws(
        Metrics(),
        entries=map(entry_of, accounts),
        home_region=request.region,
    )


class Cloud:
    """Everything that is read from AWS."""

    def __init__(self, aws: Aws, asked: Asked, now: float, request: Request) -> None:
        self.aws = aws
        self.asked = asked
        self.request = request
        self.lookups = History(aws, asked, now)

    @property
    def region(self) -> str:
        given = self.request.region or os.environ.get("AWS_REGION")
        return given or os.environ.get("AWS_DEFAULT_REGION", "")

    @property
    def log_files(self) -> LogFiles:
        # S3 sends a client that asks in the wrong Region on to the right one.
        return LogFiles(self.aws, self.region or "us-east-1", self.asked.span)

    async def fetch(self, one: Input, target: Path) -> None:
        await self.log_files.fetch(one, target)

    async def history(self, one: Input) -> Reading:
        return await self.lookups.read(one)

    async def places(
        self, source: HistorySource, settings: Settings | None
    ) -> list[tuple[str, str]]:
        """Whose history is meant."""
        if source.account:
            return [(source.account, source.region)]
        if settings is not None:
            only = self.request.region
            places = sorted(place for place in settings.places if only in {None, place[1]})
            if not places:
                raise SettingsError([f"--region {only}: is none of the settings' Regions"])
            return places
        if not self.region:
            raise SettingsError(["lookup: say which Region: --region, AWS_REGION, or --config"])
        return [(await own_account(self.aws, self.region), self.region)]


async def list_inputs(
    source: Local | Bucket | HistorySource, cloud: Cloud, settings: Settings | None, folder: Path
) -> list[Input]:
    """All inputs of one source. Raises `MonitorError` and OSError where they cannot be listed."""
    match source:
        case Local(path) if path == STDIN:
            target = folder / "stdin"
            with target.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
            return [Input(STDIN, size=target.stat().st_size, path=str(target))]
        case Local():
            return list(local_inputs(source, cloud.asked.span))
        case Bucket():
            return await cloud.log_files.find(source)
        case HistorySource():
            return history_inputs(await cloud.places(source, settings), cloud.asked)


def shown(source: Local | Bucket | HistorySource) -> str:
    match source:
        case Local(path):
            return path
        case Bucket(name, prefix):
            return f"s3://{name}/{prefix}"
        case HistorySource(account, region):
            return f"lookup:{account}/{region}" if account else "lookup"
