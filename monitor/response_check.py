"""What is wrong with the rules for response, and what they come to, in words: for the start and `check`.

What can never be is refused, with its line; what never happens as things are is said, for it may be
meant for later.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from monitor import plugins
from monitor.key import KeyRef
from monitor.key_patterns import TagPatterns
from monitor.maintenance import Maintenance
from monitor.policy import Mode
from monitor.response_rules import ResponseRule
from monitor.settings import Settings
from monitor.tiers import TIER_0, Tier

Where = Callable[[tuple[str | int, ...]], str]
"""Where something stands in the settings, by its path."""
Fault = tuple[tuple[str | int, ...], str]
"""The path of a setting, and what is wrong with it."""


# -- what is refused


def faults_of_response(settings: Settings, loaded: plugins.Loaded, where: Where) -> list[str]:
    """One sentence for each name that there is not, and for each order that cannot be."""
    detectors = {
        *loaded.detectors,
        *settings.detectors,
        *plugins.installed("detectors"),
        *(one.name for one in loaded.broken),
    }
    found: list[Fault] = []
    for number, rule in enumerate(settings.response):
        found += [
            (("response", number, setting), fault)
            for setting, fault in faults_of_rule(rule, settings, loaded, detectors)
        ]
    found += twice("tiers", settings.tiers)
    found += faults_of_names("response", settings.response, settings)
    found += faults_of_names("maintenance", settings.maintenance, settings)
    found += faults_of_fallbacks(settings, loaded)
    for number, tier in enumerate(settings.tiers):
        if tier.name == TIER_0 and tier.never_approve is False:
            found.append((("tiers", number, "never_approve"), f"is always on for {TIER_0}"))
    return [f"{where(path)}: {'.'.join(map(str, path))}: {fault}" for path, fault in found]


def faults_of_names(
    setting: str, named: Sequence[ResponseRule | Maintenance], settings: Settings
) -> Iterator[Fault]:
    """Names that stand there twice, and tiers that there are not."""
    yield from twice(setting, named)
    tiers = settings.tiers_by_name
    for number, one in enumerate(named):
        for tier in one.tiers:
            if tier not in tiers:
                yield (setting, number, "tiers"), f"tiers has no {tier}{meant(tier, tiers)}"


def twice(setting: str, named: Sequence[ResponseRule | Maintenance | Tier]) -> Iterator[Fault]:
    names = [one.name for one in named]
    for number, name in enumerate(names):
        if name in names[:number]:
            yield (setting, number, "name"), f"{name} stands there twice"


def faults_of_rule(
    rule: ResponseRule, settings: Settings, loaded: plugins.Loaded, detectors: set[str]
) -> Iterator[tuple[str, str]]:
    """Each with the setting of the rule in which it stands."""
    for name in rule.detectors:
        if not any(one in name for one in "*?[") and name not in detectors:
            yield "detectors", f"there is no detector {name}{meant(name, detectors)}"
    responders = rule.responders or []
    for setting, names in (
        ("responders", responders),
        ("time_limit_seconds", rule.time_limit_seconds),
    ):
        for name in names:
            if name not in settings.responders:
                known = settings.responders
                yield setting, f"the settings have no responder {name}{meant(name, known)}"
            elif responders and name not in responders:
                yield setting, f"{name} is none of the rule's own responders"
    repairs = [
        loaded.responders[one].plugin.repairs for one in responders if one in loaded.responders
    ]
    if repairs != sorted(repairs, reverse=True):
        yield "responders", "those that repair have to stand before those that tell"


def faults_of_fallbacks(settings: Settings, loaded: plugins.Loaded) -> Iterator[Fault]:
    """Names that there are not or that repair, and circles."""
    for name, other in settings.fallbacks.items():
        for one in (name, other):
            if one not in settings.responders:
                fault = f"the settings have no responder {one}{meant(one, settings.responders)}"
                yield ("fallbacks", name), fault
            elif one in loaded.responders and does_more_than_tell(loaded.responders[one].plugin):
                yield ("fallbacks", name), f"{one} does more than to tell"
        passed = [name]
        while (after := settings.fallbacks.get(passed[-1])) is not None and after not in passed:
            passed.append(after)
        if after == name:
            yield ("fallbacks", name), f"goes in a circle: {', '.join([*passed, name])}"


def does_more_than_tell(plugin: Any) -> bool:
    return bool(plugin.repairs) or hasattr(plugin, "wants")


def meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; did you mean {', '.join(near)}?" if near else ""


# -- what never happens


def idle(settings: Settings, loaded: plugins.Loaded) -> list[str]:
    """One sentence for each rule and window that never decides anything, as the settings are."""
    found = []
    for number, rule in enumerate(settings.response):
        why = never_found(rule, loaded) or nowhere(rule, settings)
        over = next((one for one in settings.response[:number] if takes_all(one, rule)), None)
        if over is not None:
            why = f"{over.name}, which stands before it, matches all that it does"
        if why:
            found.append(f"rule {rule.name} never decides: {why}")
    found += [
        f"maintenance window {window.name} is never of use: {why}"
        for window in settings.maintenance
        if (why := nowhere(window, settings))
    ]
    return found


def never_found(rule: ResponseRule, loaded: plugins.Loaded) -> str:
    if not rule.detectors:
        return ""
    runs = any(fnmatchcase(name, one) for one in rule.detectors for name in loaded.detectors)
    return "" if runs else "none of its detectors runs"


def nowhere(one: ResponseRule | Maintenance, settings: Settings) -> str:
    """Why no guarded key or resource is what it is about. Of accounts to come nobody can say."""
    if settings.organizations:
        return ""
    regions = one.regions if isinstance(one, ResponseRule) else []
    about_keys = isinstance(one, Maintenance) or one.asks_for_a_key
    if one.accounts and settings.our_accounts.isdisjoint(one.accounts):
        return "none of its accounts is guarded"
    guarded = [
        region for account, region in settings.places if not one.accounts or account in one.accounts
    ]
    if about_keys and not any(
        fnmatchcase(region, one) for one in regions or ["*"] for region in guarded
    ):
        return "no key is guarded in its accounts and Regions"
    named = [KeyRef.parse(pattern) for pattern in one.keys]
    if named and all(key and (key.account, key.region) not in settings.places for key in named):
        return "none of its keys is guarded"
    return ""


def takes_all(first: ResponseRule, second: ResponseRule) -> bool:
    """Whether the first of two rules surely matches all that the second does."""
    return (
        first.lowest <= second.lowest
        and within(second.detectors, first.detectors)
        and within(second.tiers, first.tiers)
        and within(second.keys, first.keys)
        and within(second.accounts, first.accounts)
        and within(second.regions, first.regions)
        and narrower(second.tags, first.tags)
    )


def within(inner: list[str], outer: list[str]) -> bool:
    """Whether whatever meets one criterion meets the other; an empty one is none."""
    return not outer or (bool(inner) and set(inner) <= set(outer))


def narrower(inner: TagPatterns, outer: TagPatterns) -> bool:
    return all(inner.get(name) == wanted for name, wanted in outer.items())


# -- what they come to


def described(settings: Settings, loaded: plugins.Loaded, now: float) -> list[str]:
    """What each rule would do, line by line, in the order in which they are asked."""
    kinds = {name: bool(one.plugin.repairs) for name, one in loaded.responders.items()}
    lines = [
        f"  {number}. {rule.name}: {course_in_words(rule, settings.mode, kinds)}"
        for number, rule in enumerate(settings.response, 1)
    ]
    if lines:
        lines.insert(0, "response: the first rule that matches decides")
        lines.append(f"  else: {course_in_words(None, settings.mode, kinds)}")
    for name, mode in loaded.modes.items():
        if mode is not settings.mode:
            lines.append(f"detector {name}: {mode.value}, unless a rule says otherwise")
    for window in settings.maintenance:
        start = window.next_start(now)
        when = start.isoformat(timespec="minutes") if start else "never again"
        lines.append(
            f"maintenance window {window.name}: next {when} ({window.time_zone}), for"
            f" {window.minutes} min"
        )
    return lines


def course_in_words(rule: ResponseRule | None, mode: Mode, kinds: dict[str, bool]) -> str:
    """Who would do what, such as `restore_key would write; sns would tell`."""
    observe = Mode(rule.mode if rule and rule.mode else mode) is Mode.OBSERVE
    names = (rule.responders if rule else None) or sorted(kinds, key=lambda one: not kinds[one])
    repairers = [one for one in names if kinds.get(one)]
    tellers = [one for one in names if kinds.get(one) is False]
    does = "would only say what it would do" if observe else "would write"
    words = [f"{', '.join(repairers)} {does}" if repairers else "nobody would write"]
    words.append(f"{', '.join(tellers)} would tell" if tellers else "nobody would be told")
    limits = rule.time_limit_seconds if rule else {}
    words += [f"{name} within {seconds:g} s" for name, seconds in limits.items()]
    return "; ".join(words)
