"""/uploads: blobs that clients send to S3 themselves."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path

from chalicelib.identity.grants import PULL, PUSH, Scope
from chalicelib.identity.refusals import Reason, RefusedError, not_found
from chalicelib.identity.sign_in import SignedIn
from chalicelib.management.models import (
    PartsIn,
    PartUrlOut,
    PartUrlsOut,
    UploadedPartOut,
    UploadIn,
    UploadOut,
)
from chalicelib.management.services import answered, caller_of, moment, services_of
from chalicelib.registry.blobs import unknown_upload
from chalicelib.registry.direct import DirectUploads, count_of_parts
from chalicelib.registry.stores import OPEN, VERIFYING, CheckedPart, DirectRow, Presigned
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository, check_name

router = Router()  # type: ignore[no-untyped-call]
# Those of another form are sessions that are not there.
SessionPath = Annotated[
    str, Path(min_length=1, max_length=255, json_schema_extra={"pattern": "^direct-[0-9a-f]{32}$"})
]


@router.post("/uploads", tags=["uploads"], responses={201: {"description": "opened, or mounted"}})
def open_upload(upload: UploadIn) -> Response[UploadOut]:
    """A blob that the repository has not: how to send it to S3. `present` and `mounted` need no more."""
    repository, digest = _may_push(upload.repository), _digest(upload.digest)
    direct = _direct()
    if direct.present(repository, digest):
        return answered(_done("present", upload))
    if direct.mounted(repository, digest, _may_pull(upload.mount_from)):
        return answered(_done("mounted", upload), status=201)
    return answered(_document(direct.open(repository, digest, upload.size)), status=201)


@router.get("/uploads/<session>", tags=["uploads"])
def describe_upload(session: SessionPath) -> UploadOut:
    """Where it stands, and which parts S3 has."""
    row = _seen(session)
    _direct().revive(row)
    return _document(row, uploaded=_direct().uploaded(row))


@router.post("/uploads/<session>/parts", tags=["uploads"])
def sign_parts(session: SessionPath, wanted: PartsIn) -> PartUrlsOut:
    """A URL for each part, good for 20 minutes and for bytes of that SHA-256 alone."""
    row = _seen(session)
    parts = [CheckedPart(part.number, part.size, part.sha256) for part in wanted.parts]
    urls = _direct().part_urls(row, parts)
    return PartUrlsOut(
        parts=[
            PartUrlOut(number=part.number, url=signed.url, headers=dict(signed.headers))
            for part, signed in zip(parts, urls, strict=True)
        ]
    )


@router.post(
    "/uploads/<session>/completion", tags=["uploads"], responses={202: {"description": "being verified"}}
)
def complete_upload(session: SessionPath) -> Response[UploadOut]:
    """All bytes are sent. What is verified at once is published; what is not, later: look again."""
    row = _direct().complete(_seen(session))
    return answered(_document(row), status=202 if row.state == VERIFYING else 200)


@router.delete("/uploads/<session>", tags=["uploads"], responses={204: {"description": "cancelled"}})
def cancel_upload(session: SessionPath) -> Response[None]:
    _direct().cancel(_seen(session))
    return Response(204)


def _direct() -> DirectUploads:
    return services_of(router.context).direct


def _may_push(name: str) -> Repository:
    """Raises RefusedError: who may only pull is told so; nobody else learns that it is there."""
    services, caller = services_of(router.context), caller_of(router.context)
    repository = Repository(caller.credential.account, check_name(name))
    registry = services.tenancy.store.registry(repository.registry)
    if registry is None:
        scope = Scope("repository", name, (PULL, PUSH))
        registry = services.opening.opened(SignedIn(caller.credential, {}), [scope]).get(repository.registry)
    actions = caller.actions_on(name, registry)
    if PUSH not in actions and PULL in actions:
        raise RefusedError(Reason.FORBIDDEN, "this credential may not push to the repository")
    if PUSH not in actions:
        raise not_found("repository", name)
    return repository


def _may_pull(names: list[str]) -> list[Repository]:
    """Those of them; the others count as if they were not there."""
    services, caller = services_of(router.context), caller_of(router.context)
    found = [Repository(caller.credential.account, check_name(name)) for name in names]
    return [
        one
        for one in found
        if PULL in caller.actions_on(one.name, services.tenancy.store.registry(one.registry))
    ]


def _seen(session: str) -> DirectRow:
    """Raises BLOB_UPLOAD_UNKNOWN (404) also for one whose repository the caller may not push to."""
    services, caller = services_of(router.context), caller_of(router.context)
    row = services.direct.find(session)
    repository = row.repository
    registry = services.tenancy.store.registry(repository.registry)
    is_own = repository.account == caller.credential.account
    if not is_own or PUSH not in caller.actions_on(repository.name, registry):
        raise unknown_upload()
    return row


def _digest(text: str) -> Digest:
    """Raises DIGEST_INVALID (422)."""
    try:
        return Digest.parse(text)
    except RegistryError as error:
        raise RegistryError(ErrorCode.DIGEST_INVALID, error.message, status=422) from error


def _done(state: str, upload: UploadIn) -> UploadOut:
    return UploadOut.model_validate(
        {"state": state, "repository": upload.repository, "digest": upload.digest, "size": upload.size}
    )


def _document(row: DirectRow, uploaded: list[CheckedPart] | None = None) -> UploadOut:
    is_put = row.multipart_id is None
    signed = _direct().put_url(row) if is_put and row.state == OPEN else Presigned("", {})
    return UploadOut.model_validate(
        {
            "state": row.state,
            "session": row.session,
            "repository": row.repository.name,
            "digest": row.digest,
            "size": row.size,
            "method": "put" if is_put else "multipart",
            "part_size": row.part_size,
            "parts": count_of_parts(row),
            "expires": moment(row.expires),
            "url": signed.url or None,
            "headers": dict(signed.headers),
            "uploaded": [
                UploadedPartOut(number=part.number, size=part.size, sha256=part.sha256 or None)
                for part in uploaded or ()
            ],
            "verified": row.verified,
            "detail": row.detail,
        }
    )
