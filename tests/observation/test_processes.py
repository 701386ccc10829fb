"""What the local process and a gateway tell: the same lines, and metrics where no client comes."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.config import FUNCTION_URL, ProcessSettings, SettingsError
from chalicelib.gateway.exposition import exposed
from chalicelib.observation import catalogue
from chalicelib.observation.lines import Lines
from chalicelib.observation.measuring import Run
from chalicelib.observation.processes import ProcessWatch
from chalicelib.observation.prometheus import CONTENT_TYPE
from chalicelib.wiring import Deployment
from tests.endpoints.driver import Driver
from tests.gateway.conftest import Served, serving
from tests.gateway.wire import Wire, WireAnswer
from tests.observation.conftest import FUNCTION, Log


@pytest.fixture
def process(lines: Lines) -> ProcessWatch:
    return ProcessWatch(lines)


@pytest.fixture
def served(deployment: Deployment, process: ProcessWatch) -> Iterator[Served]:
    with serving(deployment, process) as served:
        yield served


@pytest.fixture
def bearer(deployment: Deployment) -> str:
    driver = Driver(deployment, "dev/none")
    driver.log_in()
    return f"Authorization: {driver.authorization}"


def ask(wire: Wire, line: str, *headers: str, body: bytes = b"") -> WireAnswer:
    wire.request(line, *headers, body=body)
    return wire.answer()


def test_a_request_has_the_line_that_a_function_writes_and_an_id(
    served: Served, log: Log, bearer: str, process: ProcessWatch
) -> None:
    with served.connect() as wire:
        answer = ask(wire, "GET /v2/", bearer, "X-Request-Id: build-42-a")
        made = ask(wire, "GET /v2/dev/none/tags/list?n=5", bearer)
        opened = ask(wire, "POST /v2/dev/none/blobs/uploads/", bearer, "Content-Length: 0")
        location = opened.headers["location"]
        patched = ask(wire, f"PATCH {location}", body=b"bytes")
    assert patched.status == 202
    first, second, third, fourth = log.lines
    assert (answer.headers["x-request-id"], first["request_id"]) == ("build-42-a", "build-42-a")
    assert made.headers["x-request-id"] == second["request_id"]
    assert (first["service"], first["operation"], first["status"]) == (FUNCTION, "discovery.version", 200)
    assert (second["error"], second["bytes_sent"]) == ("NAME_UNKNOWN", len(made.body))
    assert (third["operation"], fourth["operation"]) == ("uploads.start", "uploads.append")
    assert fourth["repository"] == "dev/none"
    assert location.split("/")[2] not in log.text.getvalue()
    assert "_aws" not in first
    text = process.instruments.text()
    assert 'ccr_requests_total{operation="uploads.append",status="2xx"} 1.0' in text
    assert 'ccr_client_errors_total{operation="discovery.tag_list",status="4xx"} 1.0' in text
    assert 'ccr_uploads_opened_total{operation="uploads.start",status="2xx"} 1.0' in text


def test_what_no_handler_sees_has_its_line_too(
    deployment: Deployment, process: ProcessWatch, log: Log, bearer: str
) -> None:
    """What the front end of a function URL refuses by itself."""
    emulated = Deployment(replace(deployment.settings, emulate=FUNCTION_URL))
    with serving(emulated, process) as served, served.connect() as wire:
        body = bytes(5_000_000)
        answer = ask(wire, "PUT /v2/dev/none/manifests/1.0", bearer, body=body)
    (line,) = log.lines
    assert (answer.status, line["status"], line["operation"]) == (413, 413, "unmatched")
    assert answer.headers["x-request-id"] == line["request_id"]


def test_lines_can_be_turned_off_and_requests_are_counted_all_the_same(
    deployment: Deployment, lines: Lines, log: Log
) -> None:
    quiet = ProcessWatch(lines, has_requests=False)
    with serving(deployment, quiet) as served, served.connect() as wire:
        assert ask(wire, "GET /healthz").status == 200
    assert log.lines == []
    assert 'ccr_requests_total{operation="health.live",status="2xx"} 1.0' in quiet.instruments.text()


def test_metrics_are_on_their_own_port_and_not_on_that_of_clients(
    served: Served, process: ProcessWatch, bearer: str
) -> None:
    with served.connect() as wire:
        assert ask(wire, "GET /metrics", bearer).status == 404
    with exposed(("127.0.0.1", 0), process.instruments.text) as url:
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.headers["content-type"] == CONTENT_TYPE
            assert b'ccr_requests_total{operation="unmatched",status="4xx"} 1.0' in answer.read()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url.replace("/metrics", "/v2/"), timeout=10)
        assert refused.value.code == 404
        refused.value.close()
        with pytest.raises(urllib.error.HTTPError) as changed:
            urllib.request.urlopen(url, b"x", timeout=10)
        assert (changed.value.code, changed.value.headers["allow"]) == (405, "GET, HEAD")
        changed.value.close()


def test_metrics_are_nowhere_unless_they_are_asked_for(process: ProcessWatch) -> None:
    assert ProcessSettings.from_environment({}).metrics is None
    with exposed(None, process.instruments.text) as url:
        assert url == ""


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        with pytest.raises(SettingsError, match=f"CCR_METRICS: cannot listen on 127.0.0.1:{address[1]}"):
            exposed(address, str).__enter__()


@pytest.mark.parametrize("text", ["9180", "127.0.0.1", ":9180", "127.0.0.1:x", "127.0.0.1:65536"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="CCR_METRICS takes off, or host:port"):
        ProcessSettings.from_environment({"CCR_METRICS": text})


def test_settings_of_a_process_are_read() -> None:
    read = ProcessSettings.from_environment({"CCR_METRICS": "[::1]:9180", "CCR_ACCESS_LOG": "off"})
    assert read == ProcessSettings(("::1", 9180), has_access_log=False)


def test_a_run_is_told_and_counted(process: ProcessWatch, log: Log) -> None:
    process.run(Run("collect", {catalogue.BLOBS_FREED: 3, catalogue.UPLOADS_OPEN: 1}, {"is_complete": True}))
    (line,) = log.lines
    assert json.loads(json.dumps({"BlobsFreed": 3, "is_complete": True})).items() <= line.items()
    assert "ccr_freed_blobs_total 3.0" in process.instruments.text()
