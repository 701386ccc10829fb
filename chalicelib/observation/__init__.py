"""What a request or a run was, as a line of the log and as metrics; never a secret."""
