"""A month's bill: each line an amount of something that is charged, for this registry and for Amazon ECR."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ccr.cli.cost import requests
from ccr.cli.cost.prices import Prices
from ccr.cli.cost.requests import Request
from ccr.cli.cost.team import GIGABYTE, Team, Way

MONTH_HOURS: Final = 730
DAYS: Final = 30
# Of an upload's tag, history, links, blobs and sessions, in bytes a row, with what DynamoDB adds to it.
SMALL_ROW_BYTES: Final = 500

SERVICES: Final = {
    "lambda-requests": "Lambda requests",
    "lambda-gb-seconds": "Lambda time",
    "snapstart-cache": "SnapStart cache",
    "snapstart-restores": "SnapStart restores",
    "dynamodb-reads": "DynamoDB reads",
    "dynamodb-writes": "DynamoDB writes",
    "dynamodb-storage": "DynamoDB storage",
    "dynamodb-recovery": "DynamoDB recovery",
    "s3-storage": "S3 storage",
    "s3-puts": "S3 PUT, LIST",
    "s3-gets": "S3 GET, HEAD",
    "transfer-out": "S3 to the internet",
    "cloudfront-requests": "CloudFront requests",
    "cloudfront-out": "CloudFront answers",
    "cloudfront-to-origin": "CloudFront uploads",
    "cloudfront-functions": "CloudFront functions",
    "cloudfront-key-values": "CloudFront key values",
    "lambda-edge-requests": "Lambda@Edge requests",
    "lambda-edge-gb-seconds": "Lambda@Edge time",
    "logs": "CloudWatch logs",
    "alarms": "CloudWatch alarms",
    "secrets": "Secrets Manager",
    "fargate-cpus": "Gateway CPU",
    "fargate-memory": "Gateway memory",
    "balancer-hours": "Load balancer",
    "balancer-units": "Load balancer, bytes",
    "addresses": "Public addresses",
    "ecr-storage": "ECR storage",
    "ecr-transfer-out": "ECR to the internet",
}


@dataclass(frozen=True, slots=True)
class Line:
    service: str
    amount: float
    unit: str
    price: float
    month: float


@dataclass(frozen=True, slots=True)
class Bill:
    lines: tuple[Line, ...]

    @property
    def total(self) -> float:
        return sum(line.month for line in self.lines)


def registry_bill(team: Team, prices: Prices) -> Bill:
    return _bill(_Month(team, prices.assumptions).amounts(), team, prices)


def ecr_bill(team: Team, prices: Prices) -> Bill:
    """Requests, pushes and pulls within the region cost nothing there."""
    amounts = {"ecr-storage": team.stored_gb, "ecr-transfer-out": team.outside_gb}
    return _bill(amounts, team, prices)


def _bill(amounts: Mapping[str, float], team: Team, prices: Prices) -> Bill:
    lines = [
        _line(name, amounts[name], team, prices) for name in SERVICES if name in amounts and amounts[name] > 0
    ]
    return Bill(tuple(lines))


def _line(name: str, amount: float, team: Team, prices: Prices) -> Line:
    price = prices.prices[name]
    month = price.of(amount, is_free=team.has_free_tiers)
    return Line(SERVICES[name], amount / price.per, price.unit, price.tiers[0][1], month)


class _Month:
    """Adds up what the requests of a month use."""

    def __init__(self, team: Team, assumed: Mapping[str, float]) -> None:
        self._team, self._assumed = team, assumed
        self._found: defaultdict[str, float] = defaultdict(float)

    def amounts(self) -> dict[str, float]:
        self._pushes()
        self._pulls()
        self._schedules()
        self._stored()
        self._standing()
        if self._team.way is Way.GATEWAY:
            self._gateway()
        return dict(self._found)

    def _pushes(self) -> None:
        """What is asked of every blob, what is uploaded of new ones, and the manifest."""
        team = self._team
        blobs, new = team.layers + 1, team.new_layers + 1
        before = self._found["dynamodb-writes"]
        self._logins(team.images)
        self._ask(requests.MISSING_BLOB, team.images * new)
        self._ask(requests.HEAD_BLOB, team.images * (blobs - new))
        self._ask(requests.OPEN_UPLOAD, team.images * new)
        self._ask(requests.CLOSE_SMALL_UPLOAD, team.images)
        self._upload(team.images * team.new_layers)
        self._ask(requests.put_manifest(team.layers, new), team.images)
        self._run("stream", requests.TELL_CHANGE, team.images)
        self._found["cloudfront-to-origin"] += team.pushed_gb
        pushed = self._found["dynamodb-writes"] - before
        self._found["dynamodb-writes"] += pushed * self._assumed["deletion_share"]

    def _upload(self, layers: int) -> None:
        size = self._team.layer_bytes
        if self._team.way is Way.EDGE:
            self._edge(layers, reaches_origin=True)
            self._found["s3-puts"] += layers
            self._run("adopt", requests.ADOPT, layers)
        elif self._team.way is Way.GATEWAY:
            self._edge(2 * layers, reaches_origin=True)
            self._use(requests.put_gateway_upload(size), layers)
            self._ask(requests.close_upload(size), layers, through_edge=False)
        else:
            chunks, used = requests.put_chunks(size)
            self._edge(chunks * layers, reaches_origin=True)
            self._use(used, layers)
            self._invoke("registry", used, layers, chunks, self._assumed["chunk_ms"] * chunks)
            self._ask(requests.close_upload(size), layers)

    def _pulls(self) -> None:
        """HEAD by the tag and GET by the digest, as containerd and docker do, then every blob from S3."""
        team = self._team
        self._logins(team.pulls)
        self._ask(requests.HEAD_MANIFEST, team.pulls)
        self._ask(requests.get_manifest(team.layers), team.pulls)
        noted = min(team.pulls, max(team.images, team.stored_images) * DAYS)
        self._use(requests.note_pull(team.layers), noted)
        blobs = team.pulls * (team.layers + 1)
        self._ask(requests.GET_BLOB, blobs)
        self._found["s3-gets"] += blobs
        self._found["transfer-out"] += team.outside_gb

    def _logins(self, count: int) -> None:
        """The edge answers the challenge itself."""
        self._edge(count, reaches_origin=False)
        self._ask(requests.TOKEN, count)

    def _ask(self, request: Request, count: float, *, through_edge: bool = True) -> None:
        """Of the registry function."""
        if through_edge:
            self._edge(count, reaches_origin=True)
        self._run("registry", request, count)

    def _run(self, function: str, request: Request, count: float) -> None:
        self._use(request, count)
        self._invoke(function, request, count, 1, 0)

    def _use(self, request: Request, count: float) -> None:
        self._found["dynamodb-reads"] += request.reads * count
        self._found["dynamodb-writes"] += request.writes * count
        self._found["s3-puts"] += request.puts * count
        self._found["s3-gets"] += request.gets * count

    def _invoke(self, function: str, request: Request, count: float, times: int, more_ms: float) -> None:
        """`times` invocations that make the calls of `request` together."""
        assumed, gigabytes = self._assumed, requests.MEMORY[function] / 1024
        waiting = assumed["dynamodb_ms"] * request.dynamodb + assumed["s3_ms"] * request.s3
        milliseconds = assumed["handler_ms"] * times + waiting + more_ms
        invocations = count * times
        self._found["lambda-requests"] += invocations
        self._found["lambda-gb-seconds"] += count * gigabytes * milliseconds / 1000
        if function in requests.SNAPSHOTS:
            self._found["snapstart-restores"] += invocations * assumed["restored_share"] * gigabytes
        self._found["logs"] += invocations * assumed["log_bytes"] / GIGABYTE

    def _edge(self, count: float, *, reaches_origin: bool) -> None:
        self._found["cloudfront-requests"] += count
        self._found["cloudfront-functions"] += count
        self._found["cloudfront-key-values"] += count
        self._found["cloudfront-out"] += count * self._assumed["response_kb"] * 1000 / GIGABYTE
        if reaches_origin:
            seconds = self._assumed["edge_ms"] / 1000
            self._found["lambda-edge-requests"] += count
            self._found["lambda-edge-gb-seconds"] += count * seconds * requests.EDGE_MEMORY / 1024

    def _schedules(self) -> None:
        for name, schedule in requests.SCHEDULES.items():
            self._run(name, schedule.each, MONTH_HOURS * 60 / schedule.minutes)

    def _stored(self) -> None:
        """Rows: the manifest, its tag, history, audit and outbox; a link and a blob for each layer."""
        team = self._team
        rows = requests.manifest_row_bytes(team.layers) + 4 * SMALL_ROW_BYTES
        gigabytes = (
            team.stored_images * rows + (team.stored_layers + team.stored_images) * 2 * SMALL_ROW_BYTES
        ) / GIGABYTE
        self._found["s3-storage"] += team.stored_gb
        self._found["dynamodb-storage"] += gigabytes
        self._found["dynamodb-recovery"] += gigabytes

    def _standing(self) -> None:
        """What costs the same whatever a team does."""
        gigabytes = sum(requests.MEMORY[function] for function in requests.SNAPSHOTS) / 1024
        seconds = MONTH_HOURS * 3600 * self._assumed["published_versions"]
        self._found["snapstart-cache"] += gigabytes * seconds
        self._found["alarms"] += requests.ALARMS
        self._found["secrets"] += requests.SECRETS

    def _gateway(self) -> None:
        team = self._team
        hours = MONTH_HOURS * team.gateway_tasks
        self._found["fargate-cpus"] += hours * requests.GATEWAY_CPUS
        self._found["fargate-memory"] += hours * requests.GATEWAY_GB
        self._found["balancer-hours"] += MONTH_HOURS
        self._found["balancer-units"] += team.pushed_gb
        self._found["addresses"] += hours + MONTH_HOURS * self._assumed["balancer_addresses"]
        self._found["secrets"] += requests.GATEWAY_SECRETS
