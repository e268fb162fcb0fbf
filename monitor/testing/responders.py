"""Everything that must hold of a responder."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from monitor import foreign
from monitor.decision import Action, Decision
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.plugin_contract import faults_of
from monitor.plugins import Responder

T = TypeVar("T")


async def check_responder(
    responder: Responder,
    decisions: Sequence[Decision],
    *,
    effects: Callable[[], object] = lambda: None,
) -> list[Action]:
    """Everything that must hold of a responder; what it answered to each decision.

    `effects` shows what it did to your fake so far, as a value that can be compared, such as a copy
    of the list of calls that change something. One that repairs and does it again must change
    nothing more, nor may it in mode `observe`. One that tells may tell twice: the daemon's ledger
    sees to it that it is not asked twice.
    """
    wrong = faults_of("responders", str(getattr(responder, "name", "")), responder)
    assert not wrong, f"{type(responder).__name__}: {'; '.join(wrong)}"
    problem = responder.problem()
    assert problem is None or isinstance(problem, str), "problem: must give a text or None"
    answers = []
    for number, one in enumerate(decisions):
        where = f"decisions[{number}]"
        if responder.repairs:
            before = effects()
            await respond(responder, replace(one, dry_run=True), f"{where} in mode observe")
            assert effects() == before, f"{where}: in mode observe it changed something"
        answers += await respond(responder, one, where)
        if responder.repairs:
            once = effects()
            await respond(responder, one, f"{where} for the second time")
            assert effects() == once, f"{where}: the second time it changed something again"
    return answers


async def respond(responder: Responder, one: Decision, where: str) -> list[Action]:
    """Its answer; none where it raised one of the errors that it may raise."""
    error, answer = await ending(responder.respond(one))
    if isinstance(error, (WorthRetrying, NotWorthRetrying)):
        return []
    if error is not None:
        raise AssertionError(
            f"{where}: it raised {foreign.text_of(error)}; a responder raises only WorthRetrying"
            " and NotWorthRetrying"
        ) from error
    assert isinstance(answer, Action), f"{where}: it must answer with an Action"
    assert answer.responder == responder.name, f"{where}: the Action must bear its own name"
    return [answer]


async def ending(work: Coroutine[Any, Any, T]) -> tuple[BaseException | None, T | None]:
    """How it ended: its error, or its value."""
    task = asyncio.create_task(work, name="try a responder")
    await asyncio.wait([task])
    error = task.exception()
    return (error, None) if error is not None else (None, task.result())
