"""Webhooks and the event bus: what is told, to whom, signed how, and where it never goes."""
