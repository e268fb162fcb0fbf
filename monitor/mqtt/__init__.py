"""MQTT, for the responder of that name: one connection for all that is told by it."""
