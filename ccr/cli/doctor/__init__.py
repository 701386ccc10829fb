"""What `ccr doctor` looks at: a deployment as its clients meet it, check by check."""
