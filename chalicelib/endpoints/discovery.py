"""Version check and lists: end-1, end-8a, end-8b, end-12a, end-12b and the catalog."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.endpoints.event import Request
from chalicelib.endpoints.responses import Response, as_json, next_page
from chalicelib.endpoints.services import Call, Services
from chalicelib.identity.grants import PULL, Principal
from chalicelib.registry.discovery import PAGE_LIMIT, Page
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.manifest import OCI_INDEX
from chalicelib.spec.reference import NAME_LIMIT


def version(_services: Services, _call: Call) -> Response:
    return as_json({}, headers={"Docker-Distribution-API-Version": "registry/2.0"})


def tag_list(services: Services, call: Call) -> Response:
    limit = _limit(call.request)
    page = services.discovery.tag_list(call.repository, _last(call.request), limit)
    name = call.repository.name
    return as_json({"name": name, "tags": page.entries}, headers=_link(f"/v2/{name}/tags/list", page, limit))


def catalog(services: Services, call: Call) -> Response:
    """The repositories that the caller may pull from."""
    limit = _limit(call.request)
    last, principal = _last(call.request), call.principal

    page = services.discovery.catalog(principal.account, last, limit, _sight(services, principal))
    return as_json({"repositories": page.entries}, headers=_link("/v2/_catalog", page, limit))


def _sight(services: Services, principal: Principal) -> Callable[[str], bool]:
    """By what the credential may do now: a token names no repository for this."""
    if PULL in principal.everywhere:
        return lambda _name: True
    credential = services.credentials.get(principal.id)
    registries = {one.name: one for one in services.tenancy.registries(principal.account)}

    def may_see(name: str) -> bool:
        if credential is None:
            return False
        return PULL in credential.actions_on(name, registries.get(name.partition("/")[0]))

    return may_see


def referrers(services: Services, call: Call) -> Response:
    """An index, of nothing where nothing refers to the digest: never 404."""
    subject = Digest.parse(call.parameters["digest"])
    artifact_type = call.request.first("artifactType")
    last = call.request.first("last")
    after = Digest.parse(last) if last else ""
    entries, following = services.discovery.referrers(call.repository, subject, artifact_type, after)
    headers: dict[str, str] = {}
    if artifact_type:
        headers["OCI-Filters-Applied"] = "artifactType"
    if following:
        parameters = {"last": following, **({"artifactType": artifact_type} if artifact_type else {})}
        headers |= next_page(f"/v2/{call.repository.name}/referrers/{subject}", parameters)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return as_json(index, content_type=OCI_INDEX, headers=headers)


def _limit(request: Request) -> int:
    text = request.first("n")
    if not text:
        return PAGE_LIMIT
    if not (text.isascii() and text.isdigit()):
        raise RegistryError(ErrorCode.UNSUPPORTED, "n is the number of entries wanted, 0 or more", status=400)
    return min(int(text.lstrip("0")[:9] or "0"), PAGE_LIMIT)


def _last(request: Request) -> str:
    """What a page begins after. Nothing listed is longer than a name, so neither need this be."""
    return request.first("last")[:NAME_LIMIT]


def _link(path: str, page: Page, limit: int) -> dict[str, str]:
    return next_page(path, {"n": str(limit), "last": page.last}) if page.last else {}
