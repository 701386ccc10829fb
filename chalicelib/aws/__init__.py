"""The adapters that keep the registry in DynamoDB and S3."""
