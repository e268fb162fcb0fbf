"""What `kms-monitor check` says of the rules for response; and what is refused, with its line.

In scope: `monitor.response_check`, `monitor.assembly.load`, `kms-monitor check`.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import monitor
from monitor.assembly import load
from monitor.cli import app
from monitor.errors import SettingsError
from monitor.finding import Aspect
from monitor.judgement import rules_by_name, still_told
from monitor.replay.run import rests_on_labels
from monitor.response_check import idle
from monitor.response_rules import ResponseRule
from monitor.settings_file import read_settings
from tests.samples import ACCOUNT, ARN, OTHER_ACCOUNT, REGION

HEAD = f"""\
mode: enforce
accounts: [{{id: "{ACCOUNT}", regions: [{REGION}]}}]
queues: [{{url: "https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/kms", region: {REGION}}}]
responders: {{restore_key: , sns: {{topic_arn: "arn:aws:sns:{REGION}:{ACCOUNT}:people"}}}}
trusted_accounts: ["123456789012"]
tiers: [{{name: tier-0, keys: [alias/root-*]}}]
"""
FIRST = len(HEAD.splitlines()) + 2
WINDOW = 'cron: "0 2 * * sun", time_zone: Europe/Berlin, minutes: 240, actors: [arn:x]'


def read(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "settings.yaml"
    file.write_text(HEAD + text)
    settings = read_settings(file, {})
    return settings, load(settings, file)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "response:\n  - {name: a, responders: [restore_key, sms]}\n",
            "response.0.responders: the settings have no responder sms; did you mean sns?",
        ),
        (
            "response:\n  - {name: a, responders: [sns, restore_key]}\n",
            "response.0.responders: those that repair have to stand before those that tell",
        ),
        (
            "response:\n  - {name: a, time_limit_seconds: {mqtt: 5}}\n",
            "response.0.time_limit_seconds: the settings have no responder mqtt",
        ),
        (
            "response:\n  - {name: a, responders: [sns], time_limit_seconds: {restore_key: 5}}\n",
            "response.0.time_limit_seconds: restore_key is none of the rule's own responders",
        ),
        (
            "response:\n  - {name: a, detectors: [key_disable]}\n",
            "response.0.detectors: there is no detector key_disable; did you mean key_disabled",
        ),
        (
            "response:\n  - {name: a, tiers: [tier-1]}\n",
            "response.0.tiers: tiers has no tier-1; did you mean tier-0?",
        ),
        (
            "maintenance:\n  - {name: a, tiers: [x], " + WINDOW + "}\n",
            "maintenance.0.tiers: tiers has no x",
        ),
        (
            "maintenance:\n  - {name: a, " + WINDOW.replace("0 2", "0 25") + "}\n",
            "maintenance.0.cron: is no cron expression: Bad hour",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, text)
    assert len(refused.value.faults) == 1
    assert refused.value.faults[0].startswith(f"{tmp_path}/settings.yaml:{FIRST}: {fault}")


@pytest.mark.parametrize("setting", ["response", "maintenance", "tiers"])
def test_names_differ(tmp_path: Path, setting: str) -> None:
    about = {"response": "", "maintenance": f", {WINDOW}", "tiers": ", keys: [x]"}[setting]
    text = f"{setting}:\n  - {{name: a{about}}}\n  - {{name: a{about}}}\n"
    with pytest.raises(SettingsError, match=rf":\d+: {setting}.1.name: a stands there twice"):
        read_over(tmp_path, setting, text)


def read_over(tmp_path: Path, setting: str, text: str) -> Any:
    file = tmp_path / "settings.yaml"
    head = "".join(line for line in HEAD.splitlines(keepends=True) if setting not in line)
    file.write_text(head + text)
    settings = read_settings(file, {})
    return settings, load(settings, file)


def test_tier_0_cannot_be_approved_for(tmp_path: Path) -> None:
    text = "tiers:\n  - {name: tier-0, keys: [x], never_approve: false}\n"
    with pytest.raises(SettingsError, match=r"tiers.0.never_approve: is always on for tier-0"):
        read_over(tmp_path, "tiers", text)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["tiers: [tier-0]", "mode: observe"], []),
        (["mode: observe", "tiers: [tier-0]"], ["rule r1 never decides: r0, which stands before"]),
        (
            ["accounts: ['111122223333']", "accounts: ['111122223333'], keys: [x]"],
            ["rule r1 never decides: r0, which stands before it, matches all that it does"],
        ),
        (["tags: {a: '1'}", "tags: {a: '1', b: '2'}"], ["rule r1 never decides: r0"]),
        (["tags: {a: '1', b: '2'}", "tags: {a: '1'}"], []),
        (["keys: [a]", "keys: [a, b]"], []),
        (["min_severity: high", "min_severity: critical"], ["rule r1 never decides: r0"]),
        (["min_severity: critical", "min_severity: high"], []),
        ([f"accounts: ['{OTHER_ACCOUNT}']"], ["rule r0 never decides: none of its accounts"]),
        # calls on what is ours may be told from an account that is not guarded, keys may not
        (["accounts: ['123456789012']"], []),
        (["accounts: ['123456789012'], keys: [x]"], ["rule r0 never decides: no key is guarded"]),
        (["regions: [us-*], tiers: [tier-0]"], ["rule r0 never decides: no key is guarded"]),
        (["regions: [us-*]"], []),
        (["detectors: [objects_*]"], ["rule r0 never decides: none of its detectors runs"]),
        (["detectors: [key_*]"], []),
        ([f"keys: ['{ARN}']"], []),
        (
            [f"keys: ['{ARN.replace(REGION, 'us-east-1')}']"],
            ["rule r0 never decides: none of its keys is guarded"],
        ),
    ],
)
def test_what_never_decides_is_said(tmp_path: Path, rules: list[str], said: list[str]) -> None:
    lines = "".join(f"  - {{name: r{number}, {one}}}\n" for number, one in enumerate(rules))
    found = idle(*read(tmp_path, f"detectors: {{objects_reencrypted: false}}\nresponse:\n{lines}"))
    assert len(found) == len(said)
    assert all(one.startswith(words) for one, words in zip(found, said, strict=True))


def test_a_window_of_no_use_is_said(tmp_path: Path) -> None:
    text = f"maintenance:\n  - {{name: a, accounts: ['{OTHER_ACCOUNT}'], {WINDOW}}}\n"
    assert idle(*read(tmp_path, text)) == [
        "maintenance window a is never of use: none of its accounts is guarded"
    ]


def test_check_says_what_each_rule_would_do(tmp_path: Path) -> None:
    read(
        tmp_path,
        "detectors: {key_disabled: {mode: observe}}\n"
        "response:\n"
        "  - {name: watched, accounts: ['111122223333'], mode: observe, responders: [restore_key]}\n"
        "  - {name: told, keys: [x], responders: [sns], time_limit_seconds: {sns: 5}}\n"
        f"maintenance:\n  - {{name: sunday, {WINDOW}}}\n"
        "kill_switch: true\n",
    )
    result = CliRunner().invoke(
        app, ["check", "--offline", "--config", str(tmp_path / "settings.yaml")]
    )
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[1:6] == [
        "response: the first rule that matches decides",
        "  1. watched: restore_key would only say what it would do; nobody would be told",
        "  2. told: nobody would write; sns would tell; sns within 5 s",
        "  else: restore_key would write; sns would tell",
        "detector key_disabled: observe, unless a rule says otherwise",
    ]
    assert lines[6].startswith("maintenance window sunday: next 20")
    assert lines[6].endswith(":00 (Europe/Berlin), for 240 min")
    assert lines[7] == "nothing would be written: the kill switch of the settings is on"
    assert result.stderr == ""


def test_without_rules_check_says_nothing_of_them(tmp_path: Path) -> None:
    read(tmp_path, "")
    result = CliRunner().invoke(
        app, ["check", "--offline", "--config", str(tmp_path / "settings.yaml")]
    )
    assert len(result.stdout.splitlines()) == 1


def test_commands_judge_by_the_daemons_own_rules(tmp_path: Path) -> None:
    rules = rules_by_name(*read(tmp_path, "response:\n  - {name: a, mode: observe}\n"))
    assert (rules.repairers, rules.tellers) == (("restore_key",), ("sns",))
    assert rules.response[0].name == "a"
    assert "key_disabled" in rules.detectors
    assert rules.never_approve.keys == ["alias/root-*"]


@pytest.mark.parametrize(
    ("named", "there", "left"),
    [
        (["restore_key", "pager"], {"restore_key", "sns"}, ["restore_key", "pager", "sns"]),
        (["pager", "sns"], {"restore_key", "sns"}, ["pager", "sns"]),
        (["restore_key"], {"restore_key", "sns"}, ["restore_key"]),
        (None, {"restore_key", "sns"}, None),
    ],
)
def test_where_all_that_a_rule_tells_by_is_broken_everybody_tells(
    named: list[str] | None, there: set[str], left: list[str] | None
) -> None:
    rule = ResponseRule(name="a", responders=named)
    assert still_told(rule, there, ("sns",)).responders == left


def test_the_examples_of_the_page_are_good(tmp_path: Path) -> None:
    page = (Path(monitor.__file__).parents[1] / "docs" / "response.md").read_text("utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    head = HEAD.replace(
        "\naccounts: [", f'\naccounts: [{{id: "{OTHER_ACCOUNT}", regions: [{REGION}]}}, '
    )
    file = tmp_path / "settings.yaml"
    for example in examples:
        whole = yaml.safe_load(head) | {"tiers": []} | yaml.safe_load(example)
        whole["responders"] |= {"mqtt": {"host": "broker"}}
        file.write_text(yaml.safe_dump(whole))
        settings = read_settings(file, {})
        assert idle(settings, load(settings, file)) == []


@pytest.mark.parametrize(
    ("text", "rests"),
    [
        ("response: [{name: a, keys: ['1234*']}]\n", False),
        ("response: [{name: a, keys: ['alias/a']}]\n", True),
        ("response: [{name: a, tags: {a: b}}]\n", True),
        ("maintenance: [{name: a, tags: {a: b}, " + WINDOW + "}]\n", True),
        ("maintenance: [{name: a, " + WINDOW + "}]\n", False),
        ("never_approve: {tags: {a: b}}\n", True),
        ("tiers: [{name: a, keys: ['*']}]\n", True),
    ],
)
def test_replay_knows_when_history_does_not_tell_enough(
    tmp_path: Path, text: str, rests: bool
) -> None:
    assert rests_on_labels(rules_by_name(*read_over(tmp_path, "tiers", text))) is rests


@pytest.mark.parametrize(("options", "count"), [("", len(Aspect)), ("aspects: [state]", 1)])
def test_commands_know_what_a_repairer_is_to_put_back(
    tmp_path: Path, options: str, count: int
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(HEAD.replace("restore_key: ,", f"restore_key: {{{options}}},"))
    settings = read_settings(file, {})
    rules = rules_by_name(settings, load(settings, file))
    assert len(rules.aspects) == len(rules.aspects_of["restore_key"]) == count
