"""What a deployment costs a month on AWS, computed from what a push and a pull do; no network, no account."""
