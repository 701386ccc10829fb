"""How many ways of running a test needs: every one of them, unless it wears one of these."""

from __future__ import annotations

import pytest

# What depends neither on the engines nor on a function URL's front end: grammars, parsing, headers.
EMBEDDED = pytest.mark.parametrize("way", ["redirect", "passthrough"], indirect=True)
# What takes seconds, or is the same whatever runs it.
ONCE = pytest.mark.parametrize("way", ["redirect"], indirect=True)
REDIRECTED = pytest.mark.parametrize("way", ["redirect", "real", "function-url"], indirect=True)
PASSED_THROUGH = pytest.mark.parametrize("way", ["passthrough"], indirect=True)
BARE = pytest.mark.parametrize("way", ["function-url"], indirect=True)
# What the edge cannot know: that an upload is over. It sends the bytes to S3, and nobody adopts them.
SEES_SESSIONS = pytest.mark.parametrize(
    "way", ["redirect", "passthrough", "real", "function-url"], indirect=True
)
