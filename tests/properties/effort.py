"""How many examples the properties try.

`CCR_PROPERTIES=long` tries many more: ten minutes for most, an hour for everything at once (`make soak`).
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

LONG: Final = os.environ.get("CCR_PROPERTIES") == "long"
# Where it is said, the same examples again; else others each time.
SEED: Final = int(os.environ["CCR_SEED"]) if "CCR_SEED" in os.environ else None


def effort(examples: int, long: int, steps: int = 50) -> settings:
    """`steps` counts the rules of one example of a state machine."""
    return settings(
        max_examples=long if LONG else examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
