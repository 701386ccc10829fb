"""The error table and the envelope: the specification's codes, each with a status and words."""

from __future__ import annotations

import json

import pytest

from chalicelib.spec.errors import ErrorCode, RegistryError

# spec.md#error-codes, code-1 to code-14
SPECIFIED = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 400,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "SIZE_INVALID": 400,
    "UNAUTHORIZED": 401,
    "DENIED": 403,
    "UNSUPPORTED": 405,
    "TOOMANYREQUESTS": 429,
}


def test_the_codes_are_those_of_the_specification_with_their_statuses() -> None:
    assert {code.name: code.status for code in ErrorCode} == SPECIFIED


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_that_says_nothing_says_what_its_code_says(code: ErrorCode) -> None:
    error = RegistryError(code)
    assert (error.message, error.status) == (code.message, code.status)
    assert error.envelope() == {"errors": [{"code": code.name, "message": code.message, "detail": {}}]}


def test_every_detail_has_an_entry_of_its_own() -> None:
    error = RegistryError(ErrorCode.MANIFEST_BLOB_UNKNOWN, "missing", ({"digest": "a"}, {"digest": "b"}))
    entries = error.envelope()["errors"]
    assert [entry["detail"] for entry in entries] == [{"digest": "a"}, {"digest": "b"}]
    assert {(entry["code"], entry["message"]) for entry in entries} == {("MANIFEST_BLOB_UNKNOWN", "missing")}
    assert json.loads(json.dumps(error.envelope())) == error.envelope()


def test_an_error_can_be_raised_and_reads_well() -> None:
    with pytest.raises(RegistryError, match="DENIED: not here") as raised:
        raise RegistryError(ErrorCode.DENIED, "not here", status=405, headers={"Allow": "GET"})
    assert (raised.value.status, raised.value.headers) == (405, {"Allow": "GET"})
