"""The strict local AWS that tests, demo and drills run against.

moto enforces no KMS key states, so KMS, CloudTrail and the EventBridge hop are our own
implementation of what AWS documents; SQS, SNS, S3, STS and DynamoDB come from moto.
"""
