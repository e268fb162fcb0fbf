"""The rules that the daemon's events come by: those that `kms-monitor generate event-pattern` prints."""

from monitor.assembly import load
from monitor.demo.daemon import config_file
from monitor.demo.people import ACCOUNT, REGION
from monitor.detection import Detection
from monitor.knowledge import Knowledge
from monitor.metrics import Metrics
from monitor.settings_file import read_settings
from monitor.sight.pattern_writer import rule_patterns
from monitor.simulator.events import EVERY_MANAGEMENT_EVENT
from monitor.simulator.server import Simulator
from monitor.simulator.words import Caller


def put_rules(simulator: Simulator) -> int:
    """Put them in the place of the simulator's own rule, which lets only KMS through; how many."""
    file, knowledge = config_file(), Knowledge()
    loaded = load(read_settings(file, {}), file)
    detectors = [make(knowledge) for make in loaded.detectors.values()]
    patterns = rule_patterns(Detection(detectors, Metrics(), knowledge).wanted)
    for number, one in enumerate(patterns, 1):
        rule = f"{simulator.rule_name}-{number}"
        state = EVERY_MANAGEMENT_EVENT if one.reads else "ENABLED"
        call(simulator, "PutRule", Name=rule, EventPattern=one.text, State=state)
        queue = {"Id": "queue", "Arn": simulator.queue_arn}
        call(simulator, "PutTargets", Rule=rule, Targets=[queue])
    call(simulator, "RemoveTargets", Rule=simulator.rule_name, Ids=[simulator.rule_name])
    call(simulator, "DeleteRule", Name=simulator.rule_name)
    return len(patterns)


def call(simulator: Simulator, operation: str, **parameters: object) -> None:
    root = Caller(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:root")
    simulator.bridge.call(operation, parameters, caller=root, account=ACCOUNT, region=REGION)
