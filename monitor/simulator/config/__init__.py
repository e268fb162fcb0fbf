"""AWS Config: a recorder that makes items of keys, rules that call functions, and their verdicts."""

from monitor.simulator.config.service import PERMISSION, Config

__all__ = ["PERMISSION", "Config"]
