"""`kms-monitor dlq`: why messages are dead, and back to the queue with them."""
