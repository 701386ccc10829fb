"""CloudFront on this machine: runs the functions of infra/edge, and puts S3 and the registry behind them."""
