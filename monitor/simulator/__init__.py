"""The strict local AWS that tests, demo and drills run against.

moto enforces no KMS key states, so KMS, CloudTrail, the EventBridge hop and STS are our own
implementation of what AWS documents; SQS, SNS, S3, DynamoDB, IAM and Secrets Manager come from moto. A call goes

    server (HTTP)  ->  endpoint (who, may they, which service; `wire`, `identity`, `deny`)
      ->  kms | cloudtrail | events | sts | borrowed (moto)
      ->  recorder (CloudTrail records)  ->  hop (delay, duplicates, disorder)  ->  queue or topic

`world` is what exists when it is ready, `command` is `kms-monitor simulate`.

What it does not do: check signatures, IAM policies (deny rules stand in for them), queue, topic
and bus policies; write log files of trails; record data events; know a bus between accounts (each
account's rule sends straight into the one queue).
"""
