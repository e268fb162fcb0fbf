"""The metrics of the connection to the MQTT broker: see `monitor.metrics`, which holds them."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class MqttMetrics:
    def __init__(self, registry: CollectorRegistry, prefix: str) -> None:
        p, r = prefix + "mqtt_", registry
        self.connected = Gauge(
            p + "connected", "1 while the MQTT broker has us connected.", registry=r
        )
        self.reconnects = Counter(
            p + "reconnects", "Connections to the MQTT broker made anew.", registry=r
        )
        self.waiting = Gauge(
            p + "waiting_messages", "Messages kept while the MQTT broker is away.", registry=r
        )
        self.dropped = Counter(
            p + "dropped", "Messages dropped because the buffer was full.", registry=r
        )
