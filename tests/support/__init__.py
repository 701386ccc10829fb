"""What the tests over HTTP share: a registry process, a client, content."""
