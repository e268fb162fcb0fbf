"""In whatever form people and machines are told: every question of whoever is paged is answered.

One notification, all channels. Nothing is replaced; all of it is pure.
"""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from monitor.decision import Decision, IncidentNote, Outcome, Stage
from monitor.finding import Actor, Severity
from monitor.responders.sns import SnsOptions, publish_request
from monitor.telling import (
    advice,
    asff,
    cloudevents,
    notification,
    ocsf,
    pagerduty,
    slack,
    teams,
)
from tests.unit.test_channel_payloads import BUSES, NOW, texts
from tests.unit.test_notification import BOTH, SCHEDULED, decided

ENVIRONMENT = "production"
CALLER = Actor(
    type="AssumedRole",
    arn="arn:aws:sts::111122223333:assumed-role/Admin/bob",
    session="bob",
    source_ip="198.51.100.7",
    user_agent="aws-cli/2.31.0 md/awscrt#0.27.6 exec-env/CloudShell",
)
ENDED = replace(
    decided(Outcome.DONE, BOTH, finding=replace(SCHEDULED, actor=CALLER)),
    incident=IncidentNote(
        id="5" * 32,
        stage=Stage.CLOSED,
        opened_at=NOW - 41,
        severity=Severity.CRITICAL,
        findings=2,
        at=NOW,
        closed_at=NOW,
        closed_by="us",
    ),
)
TOPIC = SnsOptions(topic_arn="arn:aws:sns:eu-west-1:111122223333:kms-guard")
FORMS: dict[str, Callable[[Decision], Any]] = {
    "e-mail": lambda one: notification.text(one, ENVIRONMENT),
    "json, mqtt": lambda one: notification.message(one, ENVIRONMENT),
    "sns": lambda one: publish_request(one, ENVIRONMENT, TOPIC),
    "slack": lambda one: slack.message(one, ENVIRONMENT),
    "teams": lambda one: teams.message(one, ENVIRONMENT),
    "pagerduty": lambda one: pagerduty.trigger(one, ENVIRONMENT),
    "cloudevents": lambda one: cloudevents.cloud_event(one, ENVIRONMENT),
    "ocsf": lambda one: ocsf.detection_finding(one, ENVIRONMENT, NOW),
    "security hub": lambda one: asff.finding_of(one, ENVIRONMENT, NOW),
    "eventbridge": BUSES[0].entry,
    "eventbridge, ocsf": BUSES[1].entry,
}
assert SCHEDULED.key
LINKS = advice.links(SCHEDULED)
QUESTIONS = {
    "who": ["assumed-role/Admin/bob"],
    "what": ["ScheduleKeyDeletion", "KMS key scheduled for deletion"],
    "where": [SCHEDULED.key.arn, "111122223333", "eu-west-1"],
    "when": ["2025-11-24T09:34:03Z"],
    "from which address": ["198.51.100.7"],
    "with which tool": ["aws-cli/2.31.0", "CloudShell"],
    "what it endangers": [advice.impact(ENDED)],
    "what was done": ["restore_key", "as it says"],
    "how long it was unsafe": ["41"],
    "what to do next": [notification.what_to_do(ENDED)[0].split("\n")[0]],
    "which console page": [LINKS["key"]],
    "which event": [SCHEDULED.event_id],
    "which incident": ["5" * 8],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_it_is_answered(form: str, question: str) -> None:
    whole = "\n".join(texts(numbers_too(FORMS[form](ENDED)))).replace("\\/", "/")
    for words in QUESTIONS[question]:
        assert words in whole, whole


def numbers_too(document: Any) -> Any:
    """With every number as a text."""
    match document:
        case dict():
            return {name: numbers_too(value) for name, value in document.items()}
        case list():
            return [numbers_too(one) for one in document]
        case int() | float():
            return str(document)
        case _:
            return document
