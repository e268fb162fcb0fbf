"""kms-monitor keeps AWS KMS keys alive: it detects, undoes, verifies and tells."""
