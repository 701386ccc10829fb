"""What is there before schemathesis asks, and who it asks as."""

from __future__ import annotations

from typing import Final

USERNAME: Final = "admin"
# One segment: schemathesis does not encode the slashes of what a hook gives it.
REPOSITORY: Final = "seeded"
# Takes nothing away.
POLICY: Final = {"rules": [{"name": "all", "action": "protect", "tags": ["*"]}]}
