"""S3 and DynamoDB engines that run on this machine, behind endpoint URLs."""
