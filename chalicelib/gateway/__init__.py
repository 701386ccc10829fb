"""The ASGI process: HTTP to function URL events, and the streaming upload path."""
