"""Whether a deployment is reached at all: its name, its certificate, its answers, its clock."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Final

from ccr.cli.doctor.findings import Check, Finding, ok, skipped, warning, wrong
from ccr.cli.doctor.visit import Visit
from ccr.cli.doctor.wire import addresses, certificate_end
from ccr.cli.profiles import is_clear_text

DAY: Final = 24 * 3600
RENEW_DAYS: Final = 14
# Tokens live for 15 minutes by both clocks, and clients renew them a little before.
SKEW_SECONDS: Final = 30
SKEW_LIMIT: Final = 300


def name(visit: Visit) -> Finding:
    found = addresses(visit.host, visit.port)
    return ok(f"{visit.host} is {', '.join(found[:4])}")


def tls(visit: Visit) -> Finding:
    if not visit.is_secure:
        if not is_clear_text(visit.url):
            return skipped("http on this machine itself")
        return warning(
            f"{visit.url} has no TLS: everybody between here and there can read secrets",
            "put TLS in front of it, and set CCR_PUBLIC_URL",
        )
    days = (certificate_end(visit.host, visit.port) - time.time()) / DAY
    seen = f"trusted, {days:.0f} days to its end" if days >= 1 else f"ends in {days * 24:.1f} hours"
    if days < RENEW_DAYS:
        return warning(
            seen, "renew the certificate (ACM renews by itself while its validation record stands in DNS)"
        )
    return ok(seen)


def reachable(visit: Visit) -> Finding:
    answer = visit.get("/v2/")
    if answer.is_redirect:
        target = answer.headers["Location"][:200]
        return wrong(f"/v2/ sends on to {target}", f"use {target.partition('/v2')[0] or target} as the URL")
    if answer.status_code in {502, 503, 504}:
        return wrong(
            f"/v2/ answers {answer.status_code}",
            "what stands in front runs and the registry behind it does not: look into its logs",
        )
    if answer.status_code == 404:
        return wrong("/v2/ answers 404", "what answers is no registry: check host and port")
    return ok(f"/v2/ answers {answer.status_code}")


def clock(visit: Visit) -> Finding:
    before = time.time()
    told = visit.get("/v2/").headers.get("Date", "")
    here = (before + time.time()) / 2
    try:
        there = parsedate_to_datetime(told).timestamp()
    except ValueError:
        return skipped("no Date in the answer")
    # A Date has whole seconds.
    skew = there + 0.5 - here
    seen = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine"
    mend = (
        "run NTP on both: tokens are good for 15 minutes, signed URLs for 20, by the clock of who reads them"
    )
    if abs(skew) >= SKEW_LIMIT:
        return wrong(seen, mend)
    if abs(skew) >= SKEW_SECONDS:
        return warning(seen, mend)
    return ok(f"within {SKEW_SECONDS} s of this machine")


CHECKS: Final = (
    Check("name", "the host name has an address", name),
    Check("tls", "the certificate is trusted here, is of this host, and has 14 days left", tls, ("name",)),
    Check("reachable", "something answers at `/v2/` that is a registry", reachable, ("name",)),
    Check("clock", "its clock is that of this machine, within 30 s", clock, ("reachable",)),
)
