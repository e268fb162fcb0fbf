"""The pictures of the pages: docs/pictures/*.svg."""

from manual.drawing import Box, arrow, picture, text


def architecture() -> str:
    """The loop that a change of a key goes round, and what stands beside it."""
    kms = Box(720, 30, 150, 60, "AWS KMS", ("the keys",))
    trail = Box(490, 30, 150, 60, "CloudTrail", ("every call",))
    rules = Box(260, 30, 150, 60, "EventBridge", ("rules that choose",))
    queue = Box(40, 30, 150, 60, "SQS", ("queue and DLQ",))
    room = Box(20, 140, 870, 330, "kms-monitor", (), "room")
    source = Box(40, 190, 130, 70, "source", ("receives, settles",), "ours")
    envelope = Box(210, 190, 130, 70, "envelope", ("body to events",), "ours")
    detectors = Box(380, 190, 130, 70, "detectors", ("events to findings",), "ours")
    policy = Box(550, 190, 130, 70, "policy", ("findings to", "decisions"), "ours")
    responders = Box(720, 190, 150, 70, "responders", ("put back, verify,", "tell"), "ours")
    loops = Box(
        210, 340, 300, 90, "loops", ("sweep, canaries, inventory,", "looks, reminders"), "ours"
    )
    store = Box(
        550,
        340,
        320,
        90,
        "store",
        ("ledger, baselines, incidents,", "approvals, action log"),
        "ours",
    )
    people = Box(950, 195, 150, 60, "people", ("pager, chat, mail",))
    metrics = Box(950, 355, 150, 60, "Prometheus", ("alerts, dashboards",))
    parts = [one.svg() for one in (room, kms, trail, rules, queue, source, envelope, detectors)]
    parts += [one.svg() for one in (policy, responders, loops, store, people, metrics)]
    parts += [
        arrow(kms.left, trail.right),
        arrow(trail.left, rules.right),
        arrow(rules.left, queue.right),
        arrow((105, 90), (105, 190)),
        arrow(source.right, envelope.left),
        arrow(envelope.right, detectors.left),
        arrow(detectors.right, policy.left),
        arrow(policy.right, responders.left),
        arrow(responders.top, kms.bottom, both=True),
        text((735, 120), "read, write, read", "note"),
        arrow(responders.right, people.left),
        arrow((445, 340), (445, 260)),
        text((395, 305), "what they find", "note"),
        arrow((360, 430), (360, 452), (914, 452), (914, 60), kms.right, asks=True),
        text((640, 446), "ask how every key is", "note"),
        arrow((615, 340), (615, 260), both=True),
        arrow((795, 340), (795, 260), both=True),
        arrow(store.right, metrics.left),
    ]
    title = (
        "A change of a key goes from KMS through CloudTrail, EventBridge and SQS into kms-monitor"
    )
    return picture(
        1120, 490, f"{title}, which reads the key, puts it back, and tells people.", parts
    )


def contested() -> str:
    """When a key is contested, and when it no longer is: docs/limits.md."""
    free = Box(30, 40, 150, 60, "free", ("put back at once",))
    fight = Box(400, 40, 150, 60, "contested", ("only deletions are", "cancelled"))
    trial = Box(730, 40, 150, 60, "put back once", ("and watched",))
    parts = [one.svg() for one in (free, fight, trial)]
    parts += [
        arrow(free.right, fight.left),
        text((290, 58), "damaged after 5 repairs", "note"),
        text((290, 88), "in 30 minutes", "note"),
        arrow(fight.right, trial.left),
        text((640, 58), "30 minutes later", "note"),
        arrow((780, 100), (780, 140), (475, 140), (475, 100)),
        text((628, 132), "damaged again within 30 minutes", "note"),
        arrow((830, 100), (830, 180), (105, 180), (105, 100)),
        text((468, 172), "30 minutes without damage", "note"),
    ]
    return picture(
        910, 200, "Free, contested after too many repairs, put back once, free again.", parts
    )
