"""Whether the rest of a deployment answers: the management API, paths, uploads, the collector."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import requests

from ccr.cli import VERSION
from ccr.cli.api import PREFIX
from ccr.cli.doctor.findings import Check, Finding, ok, skipped, warning, wrong
from ccr.cli.doctor.visit import PROBE, Visit, codes, said
from ccr.cli.doctor.wire import announced

# What commands ask for, each with one of them: a deployment that lacks it is older than this command line.
NEEDED: Final = {
    "/whoami": "login",
    "/uploads": "push",
    "/promotions": "promote",
    "/audit": "audit",
    "/collections/next": "gc plan",
    "/checks": "fsck",
    "/webhooks": "webhooks",
    "/registries/{registry}/lifecycle": "lifecycle",
    "/repositories/{repository}/trash": "trash",
    "/policies/{scope}/retention": "policy",
}
# More than the event of a function URL holds: 6,291,456 bytes after base64.
LARGE: Final = 5 * 1024 * 1024
# The longest of the pauses between two runs is a quarter of an hour.
OVERDUE: Final = timedelta(hours=1)
_LOOKED_AT: Final = 5
_AS_IT_CAME: Final = "what stands in front decodes the path: have it pass the path as it came"
_UPLOAD: Final = "/u/doctor.doctor/v2/{}/blobs/uploads/{}"


def management(visit: Visit) -> Finding:
    answer = visit.get(f"{PREFIX}/whoami", auth=visit.basic())
    document = _document(answer)
    if answer.status_code != 200 or "id" not in document:
        return wrong(
            f"{PREFIX}/whoami answers {answer.status_code} {document.get('detail', '')}".strip(),
            "send /api/ to the management function, with Authorization",
        )
    return ok(f"{document['id']} of the account {document.get('account')}")


def version(visit: Visit) -> Finding:
    answer = visit.get(f"{PREFIX}/openapi.json")
    paths = _document(answer).get("paths")
    if answer.status_code != 200 or not isinstance(paths, dict):
        return wrong(
            f"{PREFIX}/openapi.json answers {answer.status_code}", "send /api/ to the management function"
        )
    lacking = [path for path in NEEDED if f"{PREFIX}{path}" not in paths]
    if lacking:
        commands = ", ".join(f"`ccr {NEEDED[path]}`" for path in lacking)
        return warning(
            f"this is ccr {VERSION}, and the registry lacks {', '.join(lacking)}",
            f"deploy a newer version of it; until then {commands} will not work",
        )
    return ok(f"{len(paths)} paths, all that ccr {VERSION} asks for")


def paths(visit: Visit) -> Finding:
    """As any credential sees them: what is compared is the same whether the repository is there or not."""
    name, digest = visit.repository or PROBE, "0" * 64
    plain = visit.get(f"/v2/{name}/blobs/sha256:{digest}", auth=visit.basic())
    encoded = visit.get(f"/v2/{name}/blobs/sha256%3A{digest}", auth=visit.basic())
    if (plain.status_code, codes(plain)) != (encoded.status_code, codes(encoded)):
        return wrong(
            f"sha256:… is answered {said(plain)}, and sha256%3A… {said(encoded)}",
            "what stands in front encodes the path a second time: have it pass the path as it came",
        )
    hidden = visit.get("/v2/doctor%2Fprobe/tags/list", auth=visit.basic())
    if (hidden.status_code, codes(hidden)) != (400, ["NAME_INVALID"]):
        return wrong(
            f"an encoded slash in a name is answered {said(hidden)}, not 400 NAME_INVALID", _AS_IT_CAME
        )
    token = secrets.token_hex(6)
    for kind, absent in (("repositories", f"doctor/{token}"), ("credentials", f"{token}+x")):
        path = f"{PREFIX}/{kind}/{quote(absent, safe='')}"
        detail = str(_document(visit.get(path, auth=visit.basic())).get("detail", ""))
        if absent not in detail:
            return wrong(f"{path} is answered as another path: {detail[:200] or 'nothing'}", _AS_IT_CAME)
    return ok("%3A, %2F and %2B arrive as they are sent")


def uploads(visit: Visit) -> Finding:
    """With a capability that nobody gave: whoever serves uploads knows none, and says so."""
    answer = visit.get(_UPLOAD.format(PROBE, "0" * 32))
    if answer.status_code == 404 and codes(answer) == ["BLOB_UPLOAD_UNKNOWN"]:
        return ok("/u/ is served")
    return wrong(
        f"/u/ is answered {said(answer)}, not 404 BLOB_UPLOAD_UNKNOWN",
        "start the upload gateway, and point its record (GatewayHostName) to the output GatewayTarget; where "
        "there is none, leave GatewayImage empty and run open.sh again, so that the edge knows",
    )


def large(visit: Visit) -> Finding:
    """The same upload that nobody opened, with a body that a function does not take."""
    url = f"{visit.url}{_UPLOAD.format(PROBE, '0' * 32)}?digest=sha256:{'0' * 64}"
    status, body, is_early = announced("PUT", url, LARGE)
    when = "before it is sent" if is_early else "after it is sent"
    found = _error(body)
    if status == 404 and found.get("code") == "BLOB_UPLOAD_UNKNOWN":
        return ok("a body of 5 MiB reaches who takes uploads")
    if status == 413 and "ccr push" in str(found.get("message", "")):
        return ok(f"a body of 5 MiB is refused {when}, and told of `ccr push`")
    if status == 413:
        return wrong(
            f"a body of 5 MiB is answered 413 {body[:200].decode(errors='replace')}",
            "clients are not told what to do: put the edge before the function URL, or raise the limit of "
            "the proxy (nginx: client_max_body_size 0)",
        )
    return wrong(f"a body of 5 MiB is answered {status}", "look into the logs of what serves /u/")


def collector(visit: Visit) -> Finding:
    answer = visit.get(f"{PREFIX}/collections/next", params={"limit": "50"}, auth=visit.basic())
    if answer.status_code == 403:
        return skipped("only who may write in every project is told what is due")
    items = _document(answer).get("items")
    if answer.status_code != 200 or not isinstance(items, list):
        return wrong(
            f"{PREFIX}/collections/next answers {answer.status_code}", "look into the logs of the registry"
        )
    due = [one for one in items if one["kind"] in {"blob", "link"}]
    moments = [moment for one in due[:_LOOKED_AT] if (moment := _due_since(visit, one))]
    runs = _document(visit.get(f"{PREFIX}/collections", params={"limit": "1"}, auth=visit.basic()))
    last = next((f", last freed something at {one['at']}" for one in runs.get("items") or ()), "")
    if moments and datetime.now(UTC) - min(moments) > OVERDUE:
        return warning(
            f"garbage is due since {min(moments):%Y-%m-%d %H:%M}Z and was not freed{last}",
            "the scheduled function `collect` does not run or fails: look into its rule, its logs and the "
            "queue of failures (locally: CCR_COLLECT_SECONDS); `ccr gc run` frees it now",
        )
    return ok(f"nothing is overdue{last}")


def _due_since(visit: Visit, one: dict[str, Any]) -> datetime | None:
    repository, _, digest = one["what"].rpartition("@")
    answer = visit.get(f"{PREFIX}/holders/{quote(digest, safe='')}", auth=visit.basic())
    told = _document(answer)
    waits = [wait["until"] for wait in told.get("waiting") or () if wait["repository"] == repository]
    moment = next(iter(waits), None) if repository else told.get("goes_at")
    return datetime.fromisoformat(moment) if moment else None


def _document(answer: requests.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except requests.exceptions.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _error(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)["errors"][0]
    except (ValueError, LookupError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


CHECKS: Final = (
    Check("management", "`/api/v1` answers, with the stored credential", management, ("login",)),
    Check("version", "the registry has what this command line asks for", version, ("reachable",)),
    Check("paths", "`%3A`, `%2F` and `%2B` in paths arrive as they are sent", paths, ("login", "management")),
    Check(
        "uploads", "whoever serves `/u/` (the gateway, where there is one) answers", uploads, ("reachable",)
    ),
    Check(
        "large-body",
        "a body that no function takes reaches a gateway, or is refused with what to do",
        large,
        ("uploads",),
    ),
    Check("collector", "no garbage has been due for an hour", collector, ("management",)),
)
