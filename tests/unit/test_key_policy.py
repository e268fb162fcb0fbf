"""Key policies, against an oracle that tries every caller, action and context one by one.

The oracle knows nothing of the code under test: it reads the JSON itself and follows the IAM user
guide, "Policy evaluation logic", for the few callers, actions and conditions that the policies
here are made of.
"""

import json
from copy import deepcopy
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import Unreadable
from monitor.finding import Severity
from monitor.iam_policy.callers import direct_caller
from monitor.iam_policy.document import Policy, matches
from monitor.key_policy.access import Right, right
from monitor.key_policy.actions import as_object, in_words
from monitor.key_policy.answers import (
    Trust,
    administrators,
    foreigners,
    open_to_all,
    our_rights,
)
from monitor.key_policy.dangers import closed, opened
from monitor.key_policy.difference import EVERYBODY, beyond, difference, taken_apart
from monitor.key_policy.document import parse
from tests.samples import ACCOUNT, ARN

OTHER, STRANGE = "444455556666", "777788889999"
S3 = "s3.eu-west-1.amazonaws.com"


def role(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


OURS, APP, ADMIN, FOREIGN = role("ops/kms-monitor"), role("app"), role("admin"), role("x", OTHER)
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
CALLERS = [OURS, APP, ADMIN, role("unnamed"), FOREIGN, role("y", OTHER), role("z", STRANGE)]
ACTIONS = ["kms:Decrypt", "kms:Encrypt", "kms:PutKeyPolicy", "kms:CancelKeyDeletion", "kms:Sign"]
MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
VIA = {"StringEquals": {"kms:ViaService": S3}}
JUDGED: list[dict[str, Any]] = [
    {"StringEquals": {"kms:CallerAccount": ACCOUNT}},
    {"StringNotEquals": {"aws:PrincipalAccount": [ACCOUNT, OTHER]}},
    {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/a*"}},
    {"StringLike": {"aws:PrincipalArn": "*"}, "StringEquals": {"kms:CallerAccount": OTHER}},
]


class Context(NamedTuple):
    mfa: bool = False
    via: str = ""


CONTEXTS = [Context(*one) for one in product([False, True], ["", S3])]


class Oracle(NamedTuple):
    direct: bool
    """A statement allows it, naming him or everybody."""
    delegated: bool
    """A statement allows it to his account."""
    denied: bool

    @property
    def allowed(self) -> bool:
        return (self.direct or self.delegated) and not self.denied


def ask(policy: dict[str, Any], arn: str, action: str, context: Context) -> Oracle:
    hits = {"Allow": (False, False), "Deny": (False, False)}
    for one in policy["Statement"]:
        if action_matches(one, action) and conditions_match(one, arn, context):
            named, account = principals_match(one, arn)
            was = hits[one["Effect"]]
            hits[one["Effect"]] = (was[0] or named, was[1] or account)
    return Oracle(*hits["Allow"], any(hits["Deny"]))


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def action_matches(one: dict[str, Any], action: str) -> bool:
    inverted = "NotAction" in one
    patterns = as_list(one["NotAction" if inverted else "Action"])
    return any(fnmatchcase(action.lower(), each.lower()) for each in patterns) is not inverted


def principals_match(one: dict[str, Any], arn: str) -> tuple[bool, bool]:
    account = arn.split(":")[4]
    given = one["NotPrincipal"] if "NotPrincipal" in one else one["Principal"]
    names = ["*"] if given == "*" else as_list(given.get("AWS", []))
    by_account = account in names or f"arn:aws:iam::{account}:root" in names
    if "NotPrincipal" in one:
        return not (arn in names and by_account), False
    return "*" in names or arn in names, by_account


def conditions_match(one: dict[str, Any], arn: str, context: Context) -> bool:
    account = arn.split(":")[4]
    held = {
        "kms:CallerAccount": account,
        "aws:PrincipalAccount": account,
        "aws:PrincipalArn": arn,
        "kms:ViaService": context.via,
        "aws:MultiFactorAuthPresent": "true" if context.mfa else "false",
    }
    for operator, keys in one.get("Condition", {}).items():
        for key, values in keys.items():
            hit = any(fnmatchcase(held[key], str(each)) for each in as_list(values))
            if hit is ("Not" in operator):
                return False
    return True


PRINCIPALS: list[Any] = [
    "*",
    {"AWS": "*"},
    {"AWS": ROOT},
    {"AWS": ACCOUNT},
    {"AWS": APP},
    {"AWS": [APP, ADMIN]},
    {"AWS": [OURS, OTHER]},
    {"AWS": FOREIGN},
    {"AWS": [f"arn:aws:iam::{OTHER}:root"], "Service": "logs.amazonaws.com"},
]
LEFT_OUT: list[Any] = [{"AWS": [APP, ROOT]}, {"AWS": [OURS, ADMIN, ACCOUNT]}, {"AWS": OTHER}]
patterns = st.sampled_from([*ACTIONS, "kms:*", "*", "kms:*crypt", "KMS:decrypt", "kms:?ign"])


@st.composite
def statements(draw: st.DrawFn, conditions: list[dict[str, Any]], others: bool = True) -> Any:
    one: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"]))}
    inverted = others and one["Effect"] == "Deny" and draw(st.integers(0, 3)) == 0
    if inverted:
        one["NotPrincipal"] = draw(st.sampled_from(LEFT_OUT))
    else:
        one["Principal"] = draw(st.sampled_from(PRINCIPALS))
    name = draw(st.sampled_from(["Action", "Action", "Action", "NotAction"]))
    one[name] = draw(st.lists(patterns, min_size=1, max_size=3) | patterns)
    one["Resource"] = draw(st.sampled_from(["*", ["*"], ARN, "arn:aws:kms:*:*:key/*"]))
    if chosen := draw(st.none() | st.sampled_from(conditions)):
        one["Condition"] = chosen
    return deepcopy(one)


@st.composite
def policies(
    draw: st.DrawFn, conditions: list[dict[str, Any]], others: bool = True
) -> dict[str, Any]:
    found = draw(st.lists(statements(conditions, others), min_size=1, max_size=4))
    return {"Version": "2012-10-17", "Statement": found}


def read(policy: dict[str, Any]) -> Policy:
    return parse(json.dumps(policy))


EVERY: list[dict[str, Any]] = [*JUDGED, MFA, VIA]


@given(policies(EVERY), st.sampled_from(CALLERS), st.sampled_from(ACTIONS))
def test_what_becomes_of_a_right_is_what_the_oracle_says(
    policy: dict[str, Any], arn: str, action: str
) -> None:
    answer = right(read(policy), direct_caller(arn), action.lower(), ARN)
    told = [ask(policy, arn, action, one) for one in CONTEXTS if not one.via]
    if answer is Right.DENIED:
        assert all(one.denied for one in told)
    elif answer is Right.DROPPED:
        assert not any(one.direct or one.delegated for one in told)
    elif answer is Right.KEPT:
        assert all(one.allowed for one in told)
    else:
        assert MFA in [one.get("Condition") for one in policy["Statement"]] or any(
            "NotPrincipal" in one for one in policy["Statement"]
        ), "nothing here that cannot be judged"


@given(policies(EVERY))
def test_what_everybody_may_is_what_the_oracle_lets_a_stranger_do(policy: dict[str, Any]) -> None:
    found = open_to_all(read(policy), ARN)
    for action in ACTIONS:
        stranger = role("anything", "123456789012")
        allowed = any(ask(policy, stranger, action, one).allowed for one in CONTEXTS)
        unsure = any(one["Effect"] == "Deny" and "Condition" in one for one in policy["Statement"])
        assert allowed <= (action.lower() in found)
        assert unsure or allowed == (action.lower() in found)


@given(policies(EVERY, others=False))
def test_which_foreign_accounts_get_what(policy: dict[str, Any]) -> None:
    found = foreigners(read(policy), Trust(frozenset({ACCOUNT})), ARN)
    assert {OTHER, FOREIGN} >= set(found)
    everybody = open_to_all(read(policy), ARN)
    conditions = any("Condition" in one for one in policy["Statement"])
    for action in ACTIONS:
        allowed = any(
            ask(policy, arn, action, one).allowed
            for arn, one in product([FOREIGN, role("y", OTHER)], CONTEXTS)
        )
        by_name = any(action.lower() in actions for actions in found.values())
        assert not by_name or allowed or conditions
        assert not allowed or by_name or action.lower() in everybody


def verdicts(policy: dict[str, Any]) -> list[tuple[bool, bool, bool]]:
    """Directly allowed, allowed at all, denied: for every caller, action and context."""
    told = (ask(policy, *one) for one in product(CALLERS, ACTIONS, CONTEXTS))
    return [(one.direct, one.direct or one.delegated, one.denied) for one in told]


@given(policies(EVERY), policies(EVERY))
def test_no_difference_means_that_nobody_sees_one(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    if not difference(read(before), read(after), ARN):
        assert verdicts(before) == verdicts(after)


@given(policies(EVERY), statements(EVERY))
def test_one_statement_more_that_matters_is_always_reported(
    before: dict[str, Any], more: dict[str, Any]
) -> None:
    after = deepcopy(before)
    after["Statement"].append(more)
    if verdicts(before) != verdicts(after):
        assert difference(read(before), read(after), ARN)
        assert difference(read(after), read(before), ARN)


@given(policies([MFA, VIA], others=False), policies([MFA, VIA], others=False))
def test_whatever_is_said_to_be_gained_is_gained(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    gained = beyond(taken_apart(read(after), ARN), taken_apart(read(before), ARN))
    for part, grants in gained.items():
        (name,) = part.who.principals
        if name.kind == "Service":
            continue
        arn = role("z", STRANGE) if name == EVERYBODY else name.name
        account = arn == name.account
        arn = role("unnamed", arn) if account else arn
        for conditions, actions in grants.items():
            keys = {one.key for one in conditions}
            context = Context("aws:multifactorauthpresent" in keys, S3 * ("kms:viaservice" in keys))
            for action in ACTIONS:
                if action.lower() in actions:
                    was, now = (ask(one, arn, action, context) for one in (before, after))
                    which = "denied" if not part.allow else "delegated" if account else "direct"
                    assert (getattr(was, which), getattr(now, which)) == (False, True)


@st.composite
def rewritten(draw: st.DrawFn, policy: dict[str, Any]) -> str:
    """Another text that means the same."""
    found: list[dict[str, Any]] = []
    for number, one in enumerate(deepcopy(policy["Statement"])):
        name = "NotAction" if "NotAction" in one else "Action"
        patterns = as_list(one[name])
        one[name] = [draw(st.sampled_from([str.upper, str.lower]))(each) for each in patterns]
        if draw(st.booleans()):
            one[name] = one[name][::-1] + one[name][:1]
        if one.get("Principal") in ("*", {"AWS": "*"}):
            one["Principal"] = draw(st.sampled_from(["*", {"AWS": "*"}, {"AWS": ["*"]}]))
        elif one.get("Principal") == {"AWS": ROOT}:
            one["Principal"] = draw(st.sampled_from([{"AWS": ACCOUNT}, {"AWS": [ROOT, ACCOUNT]}]))
        one["Sid"] = f"statement {draw(st.integers())}"
        keys = [(o, k) for o, inner in one.get("Condition", {}).items() for k in inner]
        for operator, key in keys:
            value = one["Condition"][operator].pop(key)
            one["Condition"][operator][draw(st.sampled_from([key, key.upper()]))] = as_list(value)
        split = name == "Action" and draw(st.booleans())
        found += [{**one, "Action": each} for each in one[name]] if split else [one]
        if draw(st.booleans()):
            found.append({**one, "Sid": f"again {number}"})
    whole = {"Statement": draw(st.permutations(found)), "Version": "2012-10-17", "Id": "another"}
    return json.dumps(whole, indent=draw(st.none() | st.integers(0, 4)))


@given(policies(EVERY).flatmap(lambda one: st.tuples(st.just(one), rewritten(one))))
def test_another_text_that_means_the_same_is_no_difference(
    pair: tuple[dict[str, Any], str],
) -> None:
    before, after = read(pair[0]), parse(pair[1])
    assert difference(before, after, ARN) == []
    assert difference(after, before, ARN) == []


MEMBERS = """
    Statement Version Effect Principal NotPrincipal Action NotAction Resource NotResource Condition
    AWS Service StringLike NullIfExists ForAllValues:IpAddress aws:SourceIp aws:PrincipalArn
    aws:SourceArn aws:PrincipalOrgID
"""
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["*", "Allow", "Deny", ROOT, "kms:*", "2012-10-17", "${aws:x}", "arn:::::"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS.split()),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(junk | policies(EVERY), st.sampled_from(["decoded", "text", "cut"]), st.integers(0, 400))
def test_nothing_in_a_policy_breaks_anything_but_reading_it(
    document: Any, how: str, length: int
) -> None:
    text = json.dumps(document)
    try:
        policy = parse({"decoded": document, "text": text, "cut": text[:length]}[how])
    except Unreadable:
        return
    normal = read({"Statement": [statement({"AWS": ROOT}, "kms:*")]})
    for before, after in ((policy, normal), (normal, policy)):
        assert all(isinstance(one, str) for one in difference(before, after, ARN))
        for one in (None, before):
            opened(after, ARN, Trust(), one)
            closed(after, ARN, ACCOUNT, one, roles=[OURS], our_actions=ACTIONS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"Statement": []}',
        '{"Statement": [{"Effect": "Allow", "Effect": "Deny", "Principal": "*"}]}',
        '{"Statement": [{"Effect": "allow", "Principal": "*", "Action": "*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "me", "Action": "*", "Resource": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": {"IAM": "*"}, "Action": "*"}]}',
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": [["*"]]}]}',
        '{"Statement": {"effect": "Allow", "Effect": "Deny"}}',
        "[" * 50_000,
        " " * 200_000,
        '{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Reso',
    ],
)
def test_what_cannot_be_read_is_said_to_be_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="policy_document"):
        parse(text)


def statement(principal: Any, action: Any, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": "*"} | more


def policy(*statements: dict[str, Any]) -> Policy:
    return read({"Version": "2012-10-17", "Statement": list(statements)})


ACCOUNT_ITSELF = statement({"AWS": ROOT}, "kms:*")
USE = ["kms:Decrypt", "kms:Encrypt"]
BASE = policy(ACCOUNT_ITSELF, statement({"AWS": APP}, USE))


@pytest.mark.parametrize(
    ("condition", "public"),
    [
        ({}, True),
        ({"StringEquals": {"kms:CallerAccount": ACCOUNT}}, False),
        ({"StringLike": {"kms:CallerAccount": "*"}}, True),
        ({"StringNotLike": {"kms:CallerAccount": ["0*", "00000000000?", STRANGE]}}, True),
        ({"StringEquals": {"kms:CallerAccount": "${aws:PrincipalAccount}"}}, True),
        ({"StringEquals": {"kms:ViaService": S3}}, True),
        ({"StringEquals": {"kms:ViaService": S3, "kms:CallerAccount": ACCOUNT}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}, True),
        ({"StringLike": {"aws:PrincipalOrgID": "o-*"}}, True),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}, True),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-1/r-1/*"}}, False),
        ({"ForAllValues:StringLike": {"aws:PrincipalOrgPaths": "o-1/r-1/*"}}, True),
        ({"Null": {"aws:PrincipalOrgID": "false"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/*"}}, False),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:*:iam::{ACCOUNT}:*"}}, False),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/admin"}}, True),
        ({"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/*"}}, True),
        ({"StringEquals": {"aws:SourceAccount": ACCOUNT}}, False),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::our-bucket"}}, False),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}, True),
        ({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, False),
        ({"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, True),
        ({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, False),
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, True),
        ({"StringEquals": {"kms:EncryptionContext:app": "x"}}, True),
    ],
)
def test_which_conditions_narrow_everybody_down(condition: dict[str, Any], public: bool) -> None:
    found = policy(ACCOUNT_ITSELF, statement("*", "kms:Decrypt", Condition=condition))
    assert bool(open_to_all(found, ARN)) is public


@pytest.mark.parametrize(
    "denial",
    [
        statement("*", "kms:*", "Deny"),
        statement("*", "*", "Deny", Condition={"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}),
        statement(
            "*", "*", "Deny", Condition={"StringNotEqualsIfExists": {"aws:PrincipalAccount": "1"}}
        ),
        {"Effect": "Deny", "NotPrincipal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"},
    ],
)
def test_a_denial_to_all_outside_takes_the_public_grant_back(denial: dict[str, Any]) -> None:
    everybody = statement("*", "kms:Decrypt")
    assert open_to_all(policy(everybody), ARN)
    assert not open_to_all(policy(everybody, denial), ARN)


def test_everybody_but_some_is_everybody() -> None:
    found = {"Effect": "Allow", "NotPrincipal": {"AWS": APP}, "Action": "*", "Resource": "*"}
    assert open_to_all(policy(found), ARN)


@pytest.mark.parametrize("lacking", ["Action", "Resource"])
def test_a_statement_without_action_or_resource_has_no_effect(lacking: str) -> None:
    found = statement("*", "kms:*")
    del found[lacking]
    assert not open_to_all(policy(found), ARN)
    assert difference(policy(ACCOUNT_ITSELF), policy(ACCOUNT_ITSELF, found), ARN) == []


def test_a_statement_about_another_key_has_no_effect() -> None:
    found = statement("*", "kms:*") | {"Resource": ARN[:-1] + "9"}
    assert not open_to_all(policy(found), ARN)
    assert open_to_all(policy(found | {"Resource": ARN}), ARN)


DENY_US = [
    statement({"AWS": OURS}, "kms:CancelKeyDeletion", "Deny"),
    statement("*", "kms:cancel*", "Deny"),
    statement({"AWS": ACCOUNT}, "*", "Deny"),
    {"Effect": "Deny", "NotPrincipal": {"AWS": [ADMIN, ROOT]}, "Action": "*", "Resource": "*"},
    {"Effect": "Deny", "NotPrincipal": {"AWS": FOREIGN}, "Action": "*", "Resource": "*"},
    {"Effect": "Deny", "Principal": "*", "NotAction": "kms:Decrypt", "Resource": "*"},
    statement("*", "*", "Deny", Condition={"ArnNotEquals": {"aws:PrincipalArn": ADMIN}}),
    statement("*", "*", "Deny", Condition={"StringNotEquals": {"kms:ViaService": S3}}),
    statement("*", "*", "Deny", Condition={"Null": {"kms:ViaService": "true"}}),
    statement("*", "*", "Deny", Condition={"Bool": {"aws:ViaAWSService": "false"}}),
]


@pytest.mark.parametrize("denial", DENY_US)
def test_a_denial_that_hits_us_is_seen_however_it_is_put(denial: dict[str, Any]) -> None:
    found = our_rights(
        policy(ACCOUNT_ITSELF, denial), [OURS], ACCOUNT, ["kms:cancelkeydeletion"], ARN
    )
    assert found == {"kms:cancelkeydeletion": Right.DENIED}


SPARE_US = [
    statement({"AWS": APP}, "*", "Deny"),
    statement({"AWS": OTHER}, "*", "Deny"),
    statement("*", "kms:Decrypt", "Deny"),
    {"Effect": "Deny", "NotPrincipal": {"AWS": [OURS, ROOT]}, "Action": "*", "Resource": "*"},
    statement("*", "*", "Deny", Condition={"StringEquals": {"kms:ViaService": S3}}),
    statement("*", "*", "Deny", Condition={"StringNotEquals": {"kms:CallerAccount": ACCOUNT}}),
    statement("*", "*", "Deny", Condition={"ArnLike": {"aws:PrincipalArn": f"{ROOT}*"}}),
]


@pytest.mark.parametrize("denial", SPARE_US)
def test_a_denial_that_spares_us_is_none(denial: dict[str, Any]) -> None:
    found = our_rights(
        policy(ACCOUNT_ITSELF, denial), [OURS], ACCOUNT, ["kms:cancelkeydeletion"], ARN
    )
    assert found == {"kms:cancelkeydeletion": Right.KEPT}


def test_of_our_roles_only_those_in_the_keys_account_count() -> None:
    assert our_rights(BASE, [role("us", OTHER)], ACCOUNT, ["kms:enablekey"], ARN) == {}
    alone = policy(statement({"AWS": [ADMIN, OURS]}, "kms:*"))
    found = our_rights(alone, [OURS, role("second")], ACCOUNT, ["kms:enablekey"], ARN)
    assert found == {"kms:enablekey": Right.KEPT}


def test_a_session_of_ours_that_is_denied_leaves_it_open() -> None:
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/kms-monitor/kms-monitor-1"
    found = policy(ACCOUNT_ITSELF, statement({"AWS": session}, "*", "Deny"))
    assert our_rights(found, [OURS], ACCOUNT, ["kms:enablekey"], ARN) == {
        "kms:enablekey": Right.UNKNOWN
    }


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (policy(ACCOUNT_ITSELF), f"{APP} may no longer Decrypt, Encrypt"),
        (
            policy(ACCOUNT_ITSELF, statement({"AWS": APP}, "kms:Encrypt")),
            f"{APP} may no longer Decrypt",
        ),
        (
            policy(ACCOUNT_ITSELF, statement({"AWS": [APP, OTHER]}, [*USE, "kms:Sign"])),
            f"account {OTHER} may now Decrypt, Encrypt, Sign",
        ),
        (
            policy(ACCOUNT_ITSELF, statement({"AWS": APP}, "kms:*")),
            f"{APP} may now use kms:* but not Decrypt, Encrypt",
        ),
        (
            policy(statement({"AWS": APP}, USE)),
            "nobody may PutKeyPolicy any more",
        ),
        (
            policy(ACCOUNT_ITSELF, statement({"AWS": APP}, USE, Condition=VIA)),
            f"{APP} may Decrypt, Encrypt only if StringEquals kms:ViaService {S3} now",
        ),
        (
            policy(
                ACCOUNT_ITSELF,
                statement({"AWS": APP}, USE),
                statement({"AWS": ADMIN}, "kms:*", "Deny", Condition=MFA),
            ),
            f"{ADMIN} is now denied kms:*, if Bool aws:MultiFactorAuthPresent true",
        ),
        (
            policy(
                ACCOUNT_ITSELF,
                statement({"AWS": APP}, USE),
                {"Effect": "Deny", "NotPrincipal": {"AWS": ROOT}, "Action": "*", "Resource": "*"},
            ),
            f"everybody but account {ACCOUNT} is now denied kms:*",
        ),
    ],
)
def test_the_sentences_of_a_difference(after: Policy, sentence: str) -> None:
    assert sentence in difference(BASE, after, ARN)
    assert difference(after, after, ARN) == []


def test_a_condition_that_was_dropped_or_replaced_is_said_to_be() -> None:
    org = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
    evil = {"StringEquals": {"aws:PrincipalOrgID": "o-evil"}}
    narrow, wide = statement("*", USE, Condition=org), statement("*", USE)
    assert difference(policy(narrow), policy(wide), ARN) == [
        "condition aws:PrincipalOrgID was dropped for everybody to Decrypt, Encrypt"
    ]
    (said,) = difference(policy(narrow), policy(statement("*", USE, Condition=evil)), ARN)
    assert said == (
        "the conditions for everybody to Decrypt, Encrypt were StringEquals aws:PrincipalOrgID o-1 "
        "and are now StringEquals aws:PrincipalOrgID o-evil"
    )


def test_policy_variables_that_become_text_are_a_difference() -> None:
    one = statement("*", USE, Condition={"StringLike": {"aws:PrincipalArn": "*${aws:userid}"}})
    new, old = (
        {"Version": version, "Statement": [one]} for version in ("2012-10-17", "2008-10-17")
    )
    assert difference(read(new), read(new)) == []
    assert difference(read(new), read(old))


def test_dangers_are_new_ones_where_the_baseline_is_known() -> None:
    trust = Trust(frozenset({ACCOUNT}))
    lets_in = policy(ACCOUNT_ITSELF, statement({"AWS": FOREIGN}, USE))
    assert [one.words for one in opened(lets_in, ARN, trust)] == [f"{FOREIGN} may Decrypt, Encrypt"]
    assert opened(lets_in, ARN, trust, lets_in) == []
    trusting = Trust(frozenset({ACCOUNT}), (f"arn:aws:iam::{OTHER}:role/*",))
    assert opened(lets_in, ARN, trusting) == []


def test_a_denial_that_spares_a_foreigner_lets_him_in() -> None:
    everybody = statement("*", "kms:Decrypt")
    for denial in (
        statement("*", "*", "Deny", Condition={"StringNotEquals": {"kms:CallerAccount": OTHER}}),
        {"Effect": "Deny", "NotPrincipal": {"AWS": OTHER}, "Action": "*", "Resource": "*"},
    ):
        found = foreigners(policy(everybody, denial), Trust(frozenset({ACCOUNT})), ARN)
        assert found == {OTHER: frozenset({"kms:decrypt"})}


def test_that_one_of_an_account_is_denied_binds_not_the_others() -> None:
    one = statement({"AWS": FOREIGN}, "*", "Deny")
    found = foreigners(policy(statement({"AWS": OTHER}, USE), one), Trust(), ARN)
    assert found == {OTHER: frozenset({"kms:decrypt", "kms:encrypt"})}


def test_what_is_denied_to_one_of_our_roles_is_denied() -> None:
    found = policy(ACCOUNT_ITSELF, statement({"AWS": OURS}, "*", "Deny"))
    rights = our_rights(found, [OURS, role("second")], ACCOUNT, ["kms:enablekey"], ARN)
    assert rights == {"kms:enablekey": Right.DENIED}


def test_rights_that_we_never_had_are_not_lost() -> None:
    before = policy(ACCOUNT_ITSELF, statement("*", "kms:PutKeyPolicy", "Deny", Condition=MFA))
    denied = policy(ACCOUNT_ITSELF, statement({"AWS": OURS}, "kms:PutKeyPolicy", "Deny"))
    us = {"roles": [OURS], "our_actions": ["kms:PutKeyPolicy", "kms:EnableKey"]}
    assert closed(denied, ARN, ACCOUNT, denied, **us) == []
    (said,) = closed(denied, ARN, ACCOUNT, before, **us)
    assert said.words == "kms-monitor is denied PutKeyPolicy"


def test_an_organization_is_a_danger_where_something_tells_ours() -> None:
    org = statement("*", USE, Condition={"StringEquals": {"aws:PrincipalOrgID": "o-evil"}})
    accounts = frozenset({ACCOUNT})
    found, ours = policy(ACCOUNT_ITSELF, org), Trust(accounts, organizations=frozenset({"o-1"}))
    said = ["every account of organization o-evil may Decrypt, Encrypt"]
    assert [one.words for one in opened(found, ARN, ours)] == said
    assert [one.words for one in opened(found, ARN, Trust(accounts), BASE)] == said
    assert opened(found, ARN, Trust(accounts)) == []


def test_who_rules_a_key() -> None:
    assert administrators(BASE, ARN) == {ACCOUNT}
    shut = policy(ACCOUNT_ITSELF, statement({"AWS": ACCOUNT}, "kms:PutKeyPolicy", "Deny"))
    assert administrators(shut, ARN) == frozenset()
    said = closed(shut, ARN, ACCOUNT, BASE, roles=[], our_actions=[])
    assert (Severity.CRITICAL, "nobody may PutKeyPolicy any more") in [
        (one.severity, one.words) for one in said
    ]


def test_a_new_condition_on_an_administrator_is_less_than_a_loss() -> None:
    after = policy(ACCOUNT_ITSELF | {"Condition": MFA})
    (said,) = closed(after, ARN, ACCOUNT, BASE, roles=[], our_actions=[])
    assert said.severity is Severity.MEDIUM
    assert "only under a new condition may" in said.words


EVIL = {"ArnNotEquals": {"aws:PrincipalArn": role("evil")}}
ELSEWHERE = {"StringNotEquals": {"aws:SourceVpc": "vpc-evil"}}
RULED = statement({"AWS": ADMIN}, ["kms:PutKeyPolicy", "kms:EnableKey"])


@pytest.mark.parametrize(
    ("after", "severity", "words"),
    [
        (
            [statement({"AWS": APP}, "kms:Decrypt", "Deny")],
            Severity.HIGH,
            f"{APP} is denied Decrypt",
        ),
        (
            [statement("*", "kms:Decrypt", "Deny", Condition=EVIL)],
            Severity.HIGH,
            "whoever is not spared by name is denied Decrypt",
        ),
        (
            [statement("*", ["kms:Encrypt", "kms:Decrypt"], "Deny", Condition=ELSEWHERE)],
            Severity.MEDIUM,
            "under a new condition whoever is not spared by name is denied Decrypt, Encrypt",
        ),
        (
            [statement({"AWS": APP}, "kms:Decrypt", "Deny", Condition=MFA)],
            Severity.MEDIUM,
            f"under a new condition {APP} is denied Decrypt",
        ),
        # what every security handbook advises, or what does not keep anybody from using it
        (
            [statement("*", "*", "Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})],
            0,
            "",
        ),
        ([statement({"AWS": APP}, "kms:ScheduleKeyDeletion", "Deny")], 0, ""),
        ([statement({"AWS": FOREIGN}, "kms:Decrypt", "Deny")], 0, ""),
        ([statement({"AWS": role("second")}, USE)], 0, ""),
    ],
)
def test_who_is_kept_from_using_the_key(after: list[Any], severity: int, words: str) -> None:
    """To deny everybody but oneself what a key is for holds the data hostage."""
    statements = [ACCOUNT_ITSELF, statement({"AWS": APP}, USE)]
    found = closed(policy(*statements, *after), ARN, ACCOUNT, BASE, roles=[], our_actions=[])
    said = {(one.severity, one.words) for one in found}
    assert said == set() if not words else (severity, words) in said
    # It is no news where the baseline says so already.
    known = policy(*statements, *after)
    assert closed(known, ARN, ACCOUNT, known, roles=[], our_actions=[]) == []


def test_that_a_use_is_dropped_counts_once_nobody_is_left_who_has_it() -> None:
    before = policy(RULED, statement({"AWS": APP}, USE), statement({"AWS": role("b")}, USE))
    one_less = policy(RULED, statement({"AWS": role("b")}, USE))
    assert closed(one_less, ARN, ACCOUNT, before, roles=[], our_actions=[]) == []
    (said,) = closed(policy(RULED), ARN, ACCOUNT, before, roles=[], our_actions=[])
    assert (said.severity, said.words) == (Severity.HIGH, "nobody may Decrypt, Encrypt any more")


@pytest.mark.parametrize(
    "after",
    [
        [ACCOUNT_ITSELF, statement("*", "kms:*", "Deny", Condition=ELSEWHERE)],
        [
            ACCOUNT_ITSELF
            | {"Condition": {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}}
        ],
    ],
)
def test_rights_of_ours_that_hang_on_a_new_condition_are_a_danger(after: list[Any]) -> None:
    """Nobody can say whether it is ever met: it may be there to lock us out."""
    us = {"roles": [OURS], "our_actions": ["kms:PutKeyPolicy", "kms:EnableKey"]}
    found = closed(policy(*after), ARN, ACCOUNT, BASE, **us)
    words = "only under a new condition may kms-monitor EnableKey, PutKeyPolicy"
    assert (Severity.HIGH, words) in [(one.severity, one.words) for one in found]


def test_actions_in_words() -> None:
    everything = next(iter(BASE.statements)).actions
    assert in_words(everything) == "use kms:*"
    assert as_object(everything) == "kms:*"
    many = {one for one in everything if "key" in one}
    assert in_words(many).startswith("DeleteImportedKeyMaterial, DisableKey, PutKeyPolicy")
    assert in_words(many).endswith("more")


def test_a_pattern_made_to_keep_us_busy_does_not() -> None:
    assert not matches("*a" * 20 + "*b", "a" * 60)
    assert matches("a*b?d", "a.b.b\ncd") is False
    assert matches("a*b?d", "a.b.b\nd")
    assert not matches("a[bc]", "ab")
