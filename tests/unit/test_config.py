"""Settings from the environment: defaults, switches, refusals."""

from __future__ import annotations

import pytest

from chalicelib.config import Settings, SettingsError

KEY = {"CCR_TOKEN_KEY": "00" * 32}


def test_defaults_are_amazons_own_endpoints() -> None:
    settings = Settings.from_environment(KEY)
    assert (settings.s3_endpoint, settings.dynamodb_endpoint, settings.redirect_blobs) == ("", "", True)


def test_clients_reach_s3_where_the_registry_does_unless_told() -> None:
    own = {**KEY, "CCR_S3_ENDPOINT": "http://inside:1"}
    assert Settings.from_environment(own).s3_public_endpoint == "http://inside:1"
    public = {**own, "CCR_S3_PUBLIC_ENDPOINT": "http://outside:1"}
    assert Settings.from_environment(public).s3_public_endpoint == "http://outside:1"


def test_head_carries_a_body_behind_a_function_url_only() -> None:
    assert not Settings.from_environment(KEY).head_carries_body
    assert Settings.from_environment({**KEY, "CCR_EMULATE": "function-url"}).head_carries_body
    assert Settings.from_environment({**KEY, "AWS_LAMBDA_FUNCTION_NAME": "registry"}).head_carries_body


@pytest.mark.parametrize(
    "wrong",
    [
        {"CCR_TOKEN_KEY": ""},
        {"CCR_TOKEN_KEY": "00"},
        {"CCR_TOKEN_KEY": "no hex"},
        {**KEY, "CCR_EMULATE": "everything"},
        {**KEY, "CCR_PUBLIC_URL": "registry.example"},
        {**KEY, "CCR_BLOB_REDIRECT": "perhaps"},
        {**KEY, "CCR_UPLOADS": "function,pigeon"},
        {**KEY, "CCR_ORIGIN_SECRET": "too short"},
        {**KEY, "CCR_REFUSE_STREAMS": "some"},
    ],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="CCR_"):
        Settings.from_environment(wrong)


def test_a_public_url_loses_its_last_slash() -> None:
    settings = Settings.from_environment({**KEY, "CCR_PUBLIC_URL": "https://registry.example/"})
    assert settings.public_url == "https://registry.example"


@pytest.mark.parametrize(
    ("environ", "carriers"),
    [
        ({}, {"gateway"}),
        ({"CCR_EMULATE": "function-url"}, {"function"}),
        ({"CCR_EMULATE": "aws"}, {"function", "edge", "gateway"}),
        ({"AWS_LAMBDA_FUNCTION_NAME": "registry"}, {"function"}),
        ({"CCR_UPLOADS": "function, edge,gateway"}, {"function", "edge", "gateway"}),
    ],
)
def test_who_carries_uploads_is_what_the_deployment_has(environ: dict[str, str], carriers: set[str]) -> None:
    assert Settings.from_environment({**KEY, **environ}).uploads == carriers


def test_secrets_of_the_edge_may_be_rotated_and_are_not_shown() -> None:
    secrets = ("one that is long enough", "and one before it too")
    settings = Settings.from_environment({**KEY, "CCR_ORIGIN_SECRET": ",".join(secrets)})
    assert settings.origin_secrets == secrets
    assert secrets[0] not in repr(settings)
