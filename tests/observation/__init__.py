"""Logs, metrics and health: what a deployment tells of itself."""
