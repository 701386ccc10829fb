"""Calls that botocore sent again because no answer came: the first one may have taken effect."""

from __future__ import annotations

from botocore.exceptions import ClientError


def was_sent_again(error: BaseException | None) -> bool:
    """Whether the refusal in `error` is that of a repeated call, and so may be of its own effect."""
    while error is not None:
        if isinstance(error, ClientError) and error.response.get("ResponseMetadata", {}).get("RetryAttempts"):
            return True
        error = getattr(error, "cause", None) or error.__cause__
    return False
