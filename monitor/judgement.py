"""What the policy judges by, made from the settings and from the responders that there are."""

from collections.abc import Mapping

from monitor import plugins
from monitor.finding import Aspect
from monitor.policy import Rules
from monitor.response_rules import ResponseRule
from monitor.settings import Settings


def rules_of(
    settings: Settings,
    loaded: plugins.Loaded,
    *,
    repairers: Mapping[str, frozenset[Aspect]],
    sight: tuple[str, ...],
    tellers: tuple[str, ...],
) -> Rules:
    """What the policy judges by. `repairers` and `tellers` are those that there are, by name.

    `sight`: which of the repairers put back what we see by, and no keys.
    """
    keys = {name: aspects for name, aspects in repairers.items() if name not in sight}
    return Rules(
        mode=settings.mode,
        places=settings.places,
        trusted_accounts=frozenset(settings.trusted_accounts),
        repairers=tuple(keys),
        sight_repairers=sight,
        tellers=tellers,
        detectors=tuple(loaded.detectors),
        modes=loaded.modes,
        approved_actors=tuple(settings.approved_actors),
        never_approve=settings.never_approved,
        suppressions=tuple(settings.suppressions),
        aspects=frozenset(aspect for aspects in keys.values() for aspect in aspects),
        aspects_of=keys,
        response=tuple(
            still_told(rule, {*repairers, *tellers}, tellers) for rule in settings.response
        ),
        tiers=settings.tiers_by_name,
        maintenance=tuple(settings.maintenance),
    )


def rules_by_name(settings: Settings, loaded: plugins.Loaded) -> Rules:
    """The daemon's own rules, for commands that judge as it does and need no responder themselves."""
    repairs = {name: bool(one.plugin.repairs) for name, one in loaded.responders.items()}
    plugins_by_name = {name: one.plugin for name, one in loaded.responders.items()}
    return rules_of(
        settings,
        loaded,
        repairers={
            name: aspects_of(recipe) for name, recipe in loaded.responders.items() if repairs[name]
        },
        sight=sight_repairers(plugins_by_name),
        tellers=tuple(name for name, one in repairs.items() if not one),
    )


def aspects_of(recipe: plugins.Recipe[plugins.Services, plugins.Responder]) -> frozenset[Aspect]:
    """What a responder that is not made can put back: as its options say, else as its class does."""
    chosen = getattr(recipe.options, "aspects", recipe.plugin.aspects)
    return frozenset(chosen)


def still_told(rule: ResponseRule, there: set[str], tellers: tuple[str, ...]) -> ResponseRule:
    """The rule; where all that it tells by are broken plugins, by everybody who tells."""
    named = rule.responders or []
    if there.issuperset(named) or not set(named).isdisjoint(tellers):
        return rule
    return rule.model_copy(update={"responders": [*named, *tellers]})


def sight_repairers(responders: Mapping[str, object]) -> tuple[str, ...]:
    """The names of those that put back what we see by, of responders or of their classes."""
    return tuple(name for name, one in responders.items() if getattr(one, "sight", False))
