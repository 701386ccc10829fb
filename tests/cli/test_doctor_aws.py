"""`ccr doctor --aws` where AWS is imitated: each fact is found true there, and false where it is not so."""

from __future__ import annotations

import functools
import json
import re
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from ccr.cli.connection import Connection
from ccr.cli.cost.requests import SCHEDULES
from ccr.cli.doctor import account, aws_command, facts, wire
from ccr.cli.doctor.aws_command import AwsError, Stack
from ccr.cli.doctor.checks import AWS, CHECKS
from ccr.cli.doctor.findings import Check, Finding, Result
from ccr.cli.doctor.visit import Visit
from ccr.edge.front_door import front_door, function_url
from ccr.engines.process import EngineError
from chalicelib.config import AWS as EMULATE_AWS
from chalicelib.config import EDGE, FUNCTION, FUNCTION_URL, Settings
from chalicelib.endpoints.edge import PROOF
from chalicelib.gateway.server import served, server_config
from chalicelib.wiring import Deployment
from tests.cli.aws_in_process import aws_of
from tests.cli.faulty_proxy import FaultyProxy, Passing, faulty_proxy
from tests.cli.terminal import Terminal
from tests.support.client import Client
from tests.support.in_thread import in_thread
from tests.support.process import ROOT, RegistryProcess

FACTS = (ROOT / "docs" / "aws-facts.md").read_text()
PAGE = (ROOT / "docs" / "doctor.md").read_text()
SECRET = "a-secret-of-the-edge"
# Nothing that is asked of it here comes as far as a table or a bucket.
SETTINGS = Settings(
    token_keys=(b"key of the tests".ljust(32),),
    s3_endpoint="http://127.0.0.1:1",
    dynamodb_endpoint="http://127.0.0.1:1",
    head_carries_body=False,
)


@pytest.fixture(scope="module", autouse=True)
def keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "keyofthetests")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secretofthetests")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setattr(wire, "HELD_BACK_SECONDS", 0.2)
        yield


def look(checks: Sequence[Check], name: str, visit: Visit) -> Finding:
    return next(check for check in checks if check.name == name).look(visit)


def no_call(*arguments: str) -> dict[str, Any]:
    raise AssertionError(arguments)


def seen_from(url: str) -> Visit:
    """Whose function URL and public name are both `url`."""
    return Visit(url, stack=Stack("ccr-test", no_call, {"RegistryFunctionUrl": f"{url}/"}))


@pytest.fixture(scope="module")
def emulated() -> Iterator[str]:
    """A function URL."""
    settings = replace(SETTINGS, emulate=FUNCTION_URL, head_carries_body=True)
    with function_url(Deployment(settings)) as url:
        yield url


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    """The same without the emulation."""
    with function_url(Deployment(SETTINGS)) as url:
        yield url


@pytest.fixture(scope="module")
def proxy(plain: str) -> Iterator[FaultyProxy]:
    with faulty_proxy(plain.removeprefix("http://")) as proxy:
        yield proxy


@pytest.mark.parametrize(
    "name", ["function-url", "event-limit", "413-body", "renamed-challenge", "head-length", "raw-path"]
)
def test_a_fact_of_function_urls_is_true_of_the_emulated_one(emulated: str, name: str) -> None:
    assert look(facts.FACTS, f"aws-{name}", seen_from(emulated)).result == Result.OK


@pytest.mark.parametrize("name", ["event-limit", "413-body", "renamed-challenge"])
def test_a_fact_of_function_urls_is_false_without_the_emulation(plain: str, name: str) -> None:
    finding = look(facts.FACTS, f"aws-{name}", seen_from(plain))
    assert finding.result == Result.WRONG
    assert finding.mend


def test_a_head_without_its_length_and_a_decoded_path_are_found(proxy: FaultyProxy) -> None:
    def forgetful(passing: Passing) -> None:
        passing.path = passing.path.replace("%2F", "/")

    proxy.forward = forgetful
    proxy.back = lambda passing: passing.set("Content-Length", "0") if passing.method == "HEAD" else None
    assert "Content-Length 0" in look(facts.FACTS, "aws-head-length", seen_from(proxy.url)).seen
    assert "rawPath is decoded" in look(facts.FACTS, "aws-raw-path", seen_from(proxy.url)).seen
    proxy.heal()


def test_who_comes_past_the_edge_is_refused_and_where_not_that_is_found(plain: str) -> None:
    guarded = replace(SETTINGS, origin_secrets=(SECRET,))
    with function_url(Deployment(guarded)) as url:
        assert look(facts.FACTS, "aws-past-the-edge", secretive(url)).result == Result.OK
        # The secret goes to https alone.
        assert look(facts.FACTS, "aws-function-url", secretive(url)).result == Result.WRONG
    finding = look(facts.FACTS, "aws-past-the-edge", secretive(plain))
    assert (finding.result, "CCR_ORIGIN_SECRET_SECRET" in finding.mend) == (Result.WRONG, True)


def test_the_secret_is_shown_as_the_edge_shows_it_and_to_https_alone() -> None:
    assert facts._proof(secretive("https://registry.example.id")) == {PROOF: SECRET}
    assert facts._proof(secretive("http://registry.example.id")) == {}


def test_a_command_that_hangs_is_given_up(stranger: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_command, "_SECONDS", 0.1)
    stranger.install("aws", "#!/bin/sh\nexec sleep 30\n")
    ended = stranger.try_ccr("doctor", "--aws", "--stack", "ccr-test", "--url", "http://127.0.0.1:1")
    assert (ended.exit_code, ended.err) == (1, "ccr: aws: no answer within 0.1 s\n")


def secretive(url: str) -> Visit:
    visit = seen_from(url)
    assert visit.stack is not None
    return replace(visit, stack=replace(visit.stack, origin_secret=SECRET))


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = replace(
        SETTINGS, emulate=EMULATE_AWS, uploads=frozenset({FUNCTION, EDGE}), origin_secrets=(SECRET,)
    )
    with ExitStack() as stack:
        try:
            door = stack.enter_context(front_door(Deployment(settings), "", tmp_path_factory.mktemp("edge")))
        except EngineError as error:
            pytest.skip(str(error))
        yield stack.enter_context(served_by(door))


@contextmanager
def served_by(application: Any) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    with served(listener, server_config(application)):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_the_emulated_edge_refuses_a_large_body_but_not_early(edge: str) -> None:
    """It takes the body first, for clients that read no answer before they have sent all."""
    finding = look(facts.FACTS, "aws-early-413", seen_from(edge))
    assert finding.result == Result.WARNING
    assert "only after the body" in finding.seen


def test_the_emulated_edge_passes_paths_as_they_come(edge: str) -> None:
    assert look(facts.FACTS, "aws-path-as-it-came", seen_from(edge)).result == Result.OK


def test_without_an_edge_a_large_body_is_not_refused_and_a_normalized_path_is_found(
    proxy: FaultyProxy,
) -> None:
    def normalized(passing: Passing) -> None:
        passing.path = passing.path.replace("/doctor/../s/", "/u/x/v2/doctor/probe/blobs/uploads/")

    proxy.forward = normalized
    assert look(facts.FACTS, "aws-path-as-it-came", seen_from(proxy.url)).result == Result.WRONG
    assert look(facts.FACTS, "aws-early-413", seen_from(proxy.url)).result == Result.WRONG
    proxy.heal()


def test_a_413_to_the_head_alone_is_early() -> None:
    class Early(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.send_response(413)
            self.end_headers()
            self.wfile.write(b"push with `ccr push`")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Early)) as address:
        finding = look(facts.FACTS, "aws-early-413", seen_from(f"http://{address}"))
    assert (finding.result, finding.seen) == (Result.OK, "413 with what to do, before the body is sent")


def clients(endpoint: str, access: str, secret: str) -> Callable[[str], Any]:
    """S3 at `endpoint`, '' is moto; all else on moto. Each is made once: its model is large."""
    session = boto3.session.Session()

    @functools.cache
    def client_of(service: str) -> Any:
        is_own = service == "s3" and endpoint
        own = {
            "endpoint_url": endpoint,
            "aws_access_key_id": access,
            "aws_secret_access_key": secret,
            "config": Config(s3={"addressing_style": "path"}),
        }
        return session.client(service, region_name="us-east-1", **(own if is_own else {}))

    return client_of


OUTPUTS = {"Bucket": "ccr", "TablePrefix": "ccr-", "EventBusName": "default"}


@pytest.fixture(scope="module")
def on_moto() -> Iterator[Stack]:
    """Beside what the template makes: the one table and bucket that are asked."""
    with mock_aws():
        client_of = clients("", "", "")
        client_of("s3").create_bucket(Bucket="ccr")
        client_of("dynamodb").create_table(
            TableName="ccr-links",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "account", "AttributeType": "S"},
                {"AttributeName": "digest", "AttributeType": "S"},
            ],
            KeySchema=[
                {"AttributeName": "account", "KeyType": "HASH"},
                {"AttributeName": "digest", "KeyType": "RANGE"},
            ],
        )
        yield Stack("ccr-test", aws_of(client_of), OUTPUTS)


@pytest.fixture(scope="module")
def storage_endpoint(served: RegistryProcess) -> str:
    own = Client(served.url, served.username, served.password, "doctors/probe")
    location = own.get(f"blobs/{own.push_blob(b'where is S3?')}", allow_redirects=False).headers["Location"]
    return "/".join(location.split("/")[:3])


@pytest.fixture(scope="module")
def on_seaweedfs(served: RegistryProcess, storage_endpoint: str) -> Stack:
    """The bucket of the registry that runs."""
    kept = json.loads((served.log.parent / "secrets.json").read_text())
    return Stack(
        "ccr-test", aws_of(clients(storage_endpoint, kept["access_key"], kept["secret_key"])), OUTPUTS
    )


def of_account(stack: Stack, name: str) -> Finding:
    return look(account.FACTS, f"aws-{name}", Visit("http://127.0.0.1:1", stack=stack))


@pytest.mark.parametrize(
    "name", ["if-none-match", "part-minimum", "copy-checksum", "transaction-items", "item-size"]
)
def test_a_fact_is_true_on_moto(on_moto: Stack, name: str) -> None:
    finding = of_account(on_moto, name)
    assert (finding.result, finding.mend) == (Result.OK, ""), finding


@pytest.mark.parametrize("name", ["checksum-refused", "if-none-match", "part-minimum"])
def test_a_fact_is_true_on_seaweedfs(on_seaweedfs: Stack, name: str) -> None:
    finding = of_account(on_seaweedfs, name)
    assert (finding.result, finding.mend) == (Result.OK, ""), finding


def test_nothing_of_it_stays_in_the_bucket(on_moto: Stack) -> None:
    for name in ("checksum-refused", "if-none-match", "part-minimum", "part-checksums", "copy-checksum"):
        of_account(on_moto, name)
    assert on_moto.call("s3api", "list-objects-v2", "--bucket", "ccr")["KeyCount"] == 0
    assert on_moto.call("s3api", "list-multipart-uploads", "--bucket", "ccr").get("Uploads", []) == []


def test_a_presigned_put_of_another_length_is_refused(served: RegistryProcess) -> None:
    connection = Connection(served.url, served.username, served.password)
    visit = replace(seen_from(served.url), connection=connection, repository="doctors/probe")
    finding = look(facts.FACTS, "aws-signed-length", visit)
    assert (finding.result, "403 SignatureDoesNotMatch" in finding.seen) == (Result.OK, True)


def test_a_presigned_put_of_another_length_that_is_taken_is_found(served: RegistryProcess) -> None:
    """By a storage that looks at no signature."""
    with faulty_proxy(served.host) as proxy:

        def careless(passing: Passing) -> None:
            if passing.path == "/anything":
                passing.say(200, {})
            elif passing.method == "POST":
                passing.say(201, {**json.loads(passing.body), "url": f"{proxy.url}/anything"})

        proxy.back = careless
        connection = Connection(proxy.url, served.username, served.password)
        visit = replace(seen_from(proxy.url), connection=connection, repository="doctors/probe")
        finding = look(facts.FACTS, "aws-signed-length", visit)
    assert (finding.result, finding.seen) == (
        Result.WRONG,
        "a byte less than was signed for is answered 200",
    )


@pytest.mark.parametrize("name", ["checksum-refused", "part-checksums"])
def test_what_moto_does_not_imitate_is_found_false(on_moto: Stack, name: str) -> None:
    finding = of_account(on_moto, name)
    assert finding.result == Result.WRONG
    assert "docs/aws-facts.md" in finding.mend


def bent(stack: Stack, operation: str, answer: dict[str, Any]) -> Stack:
    """AWS as it would be if the fact were not so: `operation` answers this."""

    def call(service: str, asked: str, *options: str) -> dict[str, Any]:
        return answer if asked == operation else stack.call(service, asked, *options)

    return replace(stack, call=call)


@pytest.mark.parametrize(
    ("name", "operation", "answer", "seen"),
    [
        ("if-none-match", "put-object", {}, "is taken"),
        ("part-minimum", "complete-multipart-upload", {}, "is taken"),
        ("copy-checksum", "copy-object", {"CopyObjectResult": {"ChecksumSHA256": "x-1"}}, "tells x-1"),
        ("transaction-items", "transact-write-items", {}, "101 conditions are taken"),
        ("item-size", "put-item", {}, "more than it ok"),
        ("failed-entries", "put-events", {"FailedEntryCount": 0}, "FailedEntryCount is 0"),
        ("snapstart", "get-function-configuration", {"Runtime": "python3.13"}, "SnapStart Off"),
        ("schedules", "list-rules", {"Rules": []}, "0 schedules of 5"),
    ],
)
def test_a_fact_that_is_not_so_is_found_false(
    on_moto: Stack, name: str, operation: str, answer: dict[str, Any], seen: str
) -> None:
    finding = of_account(bent(on_moto, operation, answer), name)
    assert finding.result == Result.WRONG
    assert seen in finding.seen


def test_an_entry_that_fails_and_a_function_with_a_snapshot_are_as_documented(on_moto: Stack) -> None:
    assert of_account(on_moto, "failed-entries").result == Result.OK
    told = {
        "Runtime": "python3.13",
        "Architectures": ["arm64"],
        "SnapStart": {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"},
    }
    finding = of_account(bent(on_moto, "get-function-configuration", told), "snapstart")
    assert finding == Finding(Result.OK, "python3.13, arm64, SnapStart On")


def test_a_schedule_that_is_off_is_found(on_moto: Stack) -> None:
    with mock_aws():
        rules = boto3.Session(region_name="us-east-1").client("events")
        stack = Stack(on_moto.name, aws_of(lambda _: rules), {})
        for name in SCHEDULES:
            rules.put_rule(Name=f"{stack.name}-{name}", ScheduleExpression="rate(1 hour)")
        rules.put_rule(Name=f"{stack.name}-changes", EventPattern="{}", State="DISABLED")
        assert of_account(stack, "schedules") == Finding(Result.OK, "5 schedules are on")
        rules.disable_rule(Name=f"{stack.name}-collect")
        finding = of_account(stack, "schedules")
    assert (finding.result, finding.seen) == (Result.WRONG, f"{stack.name}-collect do not run")


def test_checksums_of_parts_as_documented(on_moto: Stack) -> None:
    """Moto keeps none of them, and refuses no completion without."""
    parts = {"Parts": [{"PartNumber": 1, "ETag": "e", "ChecksumSHA256": account._sha256(account._CONTENT)}]}

    def call(service: str, asked: str, *options: str) -> dict[str, Any]:
        if asked == "complete-multipart-upload":
            raise AwsError("InvalidRequest", "The upload was created using a sha256 checksum")
        return parts if asked == "list-parts" else on_moto.call(service, asked, *options)

    finding = of_account(replace(on_moto, call=call), "part-checksums")
    assert (finding.result, "InvalidRequest" in finding.seen) == (Result.OK, True)


AWS_SCRIPT = """#!/bin/sh
case "$2" in
describe-stacks) echo '{"Stacks": [{"Outputs": [{"OutputKey": "RegistryFunctionUrl", "OutputValue": "URL/"},
    {"OutputKey": "TablePrefix", "OutputValue": "ccr-"}]}]}' ;;
describe-table) echo "DEBUG Response headers: HEADERS" >&2 ;;
*) echo "An error occurred (AccessDenied) when calling the $2 operation: not you" >&2; exit 254 ;;
esac
"""


@pytest.mark.parametrize(("headers", "result"), [("{'x-amz-crc32': '1'}", "ok"), ("{}", "wrong")])
def test_the_command_finds_the_function_url_by_the_stack(
    stranger: Terminal, emulated: str, headers: str, result: str
) -> None:
    stranger.install("aws", AWS_SCRIPT.replace("URL", emulated).replace("HEADERS", headers))
    named = [f"--check=aws-{one}" for one in ("renamed-challenge", "crc32", "failed-entries", "item-size")]
    arguments = ("doctor", "--aws", "--stack", "ccr-test", "--url", emulated, *named, "--output", "json")
    ended = stranger.try_ccr(*arguments)
    found = {one["check"]: one for one in ended.document["checks"]}
    assert found["aws-renamed-challenge"]["result"] == "ok"
    assert found["aws-crc32"]["result"] == result
    assert found["aws-failed-entries"]["seen"] == "the stack has no event bus"
    assert (found["aws-item-size"]["result"], ended.exit_code) == ("wrong", 1)


def test_what_aws_refuses_is_said(stranger: Terminal) -> None:
    stranger.install("aws", AWS_SCRIPT.replace("describe-stacks", "nothing"))
    ended = stranger.try_ccr("doctor", "--aws", "--stack", "ccr-test", "--url", "http://127.0.0.1:1")
    assert (ended.exit_code, ended.err) == (1, "ccr: aws: AccessDenied not you\n")


def test_without_the_aws_command_it_is_asked_for(stranger: Terminal) -> None:
    stranger.environ["PATH"] = str(stranger.home)
    ended = stranger.try_ccr("doctor", "--aws", "--stack", "ccr-test", "--url", "http://127.0.0.1:1")
    assert (ended.exit_code, "needs the AWS CLI" in ended.err) == (2, True)


@pytest.mark.skipif(shutil.which("aws") is None, reason="there is no `aws` here")
def test_what_the_real_command_says_is_understood(
    served: RegistryProcess, storage_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of SeaweedFS: an answer, a refusal, and what it says by itself."""
    kept = json.loads((served.log.parent / "secrets.json").read_text())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", kept["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", kept["secret_key"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", storage_endpoint)
    assert aws_command.run("s3api", "list-objects-v2", "--bucket", "ccr", "--max-items", "1")["Contents"]
    named = ("--bucket", "ccr", "--key", "none", "--upload-id", "none")
    with pytest.raises(AwsError) as refused:
        aws_command.run("s3api", "list-parts", *named)
    assert refused.value.code == "NoSuchUpload"
    headers = aws_command.response_headers("s3api", "list-objects-v2", "--bucket", "ccr", "--max-items", "1")
    assert "content-type" in headers
    assert kept["access_key"] not in headers


def test_every_fact_says_by_what_it_is_looked_at() -> None:
    rows = [line for line in FACTS.splitlines() if line.startswith("| ") and not line.startswith("| fact")]
    assert len(rows) >= 40
    known = {check.name for check in AWS}
    for row in rows:
        looked_at = row.split(" | ")[3]
        named = set(re.findall(r"`([a-z0-9-]+)`", looked_at))
        assert named <= known, row
        assert named or looked_at.startswith("not:"), row


def test_every_check_of_a_fact_is_in_the_page_and_beside_its_fact() -> None:
    own = [check.name for check in AWS if check not in CHECKS]
    assert [name for name in own if f"| `{name}` |" not in PAGE] == []
    assert [name for name in own if f"`{name}`" not in FACTS] == []
