"""The management API held to its own OpenAPI document."""
