"""The transport of /api/v1: accounts, projects, registries, credentials, audit."""
