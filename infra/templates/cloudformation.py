"""The whole template, and the small one of what Lambda@Edge wants in us-east-1."""

from __future__ import annotations

from typing import Any, Final

from infra.templates import bucket, edge, events, gateway, lambdas, roles, tables, watch
from infra.templates.names import att, either, ref, sub

Template = dict[str, Any]


def _text(said: str, default: str = "", **more: Any) -> dict[str, Any]:
    return {"Type": "String", "Default": default, "Description": said, **more}


def _switch(said: str, default: str) -> dict[str, Any]:
    return _text(said, default, AllowedValues=["true", "false"])


def _number(said: str, default: int, least: int, most: int) -> dict[str, Any]:
    return {"Type": "Number", "Default": default, "MinValue": least, "MaxValue": most, "Description": said}


DAYS: Final = [
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
]
PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "HostName": _text("The public host name; none: the one that CloudFront gives"),
    "CertificateArn": _text("A certificate of that name in us-east-1"),
    "HostedZoneId": _text("The zone of Route 53 for its records; none: they are made elsewhere"),
    "OriginResponseArn": _text(
        "Outside us-east-1: the output Version of the stack of origin-response.json, which is there"
    ),
    "PriceClass": _text(
        "Where CloudFront serves from",
        "PriceClass_200",
        AllowedValues=["PriceClass_100", "PriceClass_200", "PriceClass_All"],
    ),
    "Protect": _switch("Whether tables refuse to be deleted", "true"),
    "PointInTimeRecovery": _switch("Whether tables can be restored to any second of 35 days", "true"),
    "Versioning": _switch("Whether the bucket keeps what was deleted for 30 days", "false"),
    "LogDays": {
        "Type": "Number",
        "Default": 30,
        "AllowedValues": DAYS,
        "Description": "How long logs are kept",
    },
    "GraceSeconds": _number("How long a blob stays that no manifest names", 86400, 1, 31536000),
    "RetentionDays": _number("How long what is deleted can be restored", 7, 0, 365),
    "RetentionCounted": _switch(
        "Whether what can be restored counts; false: it gives way to pushes that have no other room",
        "true",
    ),
    "EventBus": _switch("Whether every change is told to an EventBridge bus, named as the stack is", "true"),
    "PullEvents": _text(
        "Pulls that are told too: off, all, or a share of them such as 0.01",
        "off",
        AllowedPattern=r"off|all|0|1|0?\.[0-9]{1,6}",
    ),
    "WebhookRetries": _text(
        "After how many seconds a delivery is tried again; after the last of them it is given up",
        "5,300,1800,7200,18000,36000,36000",
        AllowedPattern=r"[0-9]{1,6}(,[0-9]{1,6}){0,19}",
    ),
    "CreateOnPush": _switch("Whether a push makes the registry that it names, for who may", "false"),
    "AlarmMail": _text("Where alarms are mailed to"),
    "GatewayImage": _text(
        "The image of infra/gateway; none: no gateway, and layers go by `ccr push` or one PUT"
    ),
    "GatewayHostName": _text("The name of its load balancer, which CloudFront reaches it by"),
    "GatewayCertificateArn": _text("A certificate of that name in the region of the stack"),
    "GatewayVpc": _text("The VPC of the gateway"),
    "GatewaySubnets": {
        "Type": "CommaDelimitedList",
        "Default": "",
        "Description": "Two or more public subnets of it",
    },
    "GatewayPrefixList": _text("The id of com.amazonaws.global.cloudfront.origin-facing in the region"),
    "GatewayCount": _number("How many of it run", 2, 0, 100),
}


def _is_set(parameter: str) -> dict[str, Any]:
    return {"Fn::Not": [{"Fn::Equals": [ref(parameter), ""]}]}


def _is_true(parameter: str) -> dict[str, Any]:
    return {"Fn::Equals": [ref(parameter), "true"]}


CONDITIONS: Final[dict[str, Any]] = {
    "HasHost": _is_set("HostName"),
    "HasZone": _is_set("HostedZoneId"),
    "HasMail": _is_set("AlarmMail"),
    "HasGateway": _is_set("GatewayImage"),
    "HasBus": _is_true("EventBus"),
    "CountsRetention": _is_true("RetentionCounted"),
    "CreatesOnPush": _is_true("CreateOnPush"),
    "IsVersioned": _is_true("Versioning"),
    "InUsEast1": {"Fn::Equals": [ref("AWS::Region"), "us-east-1"]},
}


def template() -> Template:
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Description": "A private container registry on Lambda, DynamoDB and S3",
        "Parameters": PARAMETERS,
        "Conditions": CONDITIONS,
        "Resources": {
            **tables.resources(),
            **bucket.resources(),
            **roles.resources(),
            **lambdas.resources(),
            **events.resources(),
            **edge.resources(),
            **gateway.resources(),
            **watch.resources(),
        },
        "Outputs": outputs(),
    }


def outputs() -> dict[str, Any]:
    values = {
        "Url": (
            "Where clients reach the registry",
            either("HasHost", sub("https://${HostName}"), sub("https://${Distribution.DomainName}")),
        ),
        "DistributionDomain": ("What a record of the host name points to", att("Distribution", "DomainName")),
        "Region": ("The region of the stack", ref("AWS::Region")),
        "Bucket": ("CCR_BUCKET", ref("Bucket")),
        "TablePrefix": ("CCR_TABLE_PREFIX", sub("${AWS::StackName}-")),
        "TokenKeySecret": ("CCR_TOKEN_KEY_SECRET", ref("TokenKey")),
        "OriginSecretSecret": ("CCR_ORIGIN_SECRET_SECRET", ref("OriginSecret")),
        "EdgeKeys": ("The key value store of the edge", att("EdgeKeys", "Arn")),
        "SetupFunction": ("What opens the deployment", ref("SetupFunction")),
        "RegistryFunctionUrl": (
            "The registry, for who knows the origin secret",
            att("RegistryFunctionUrl", "FunctionUrl"),
        ),
        "AlarmTopic": ("Where alarms go", ref("Alarms")),
        "FailureQueue": ("What functions failed at", ref("Failures")),
    }
    found: dict[str, Any] = {
        name: {"Description": said, "Value": value} for name, (said, value) in values.items()
    }
    found["EventBusName"] = {
        "Condition": events.CONDITION,
        "Description": "CCR_EVENT_BUS",
        "Value": ref("Bus"),
    }
    found["GatewayTarget"] = {
        "Condition": gateway.CONDITION,
        "Description": "What a record of GatewayHostName points to",
        "Value": att("GatewayLoadBalancer", "DNSName"),
    }
    return found


def origin_response_template() -> Template:
    version = edge.version_of_origin_response()
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The function of origin responses, in us-east-1, for a registry in another region",
        "Resources": edge.origin_response(),
        "Outputs": {"Version": {"Description": "OriginResponseArn", "Value": ref(version)}},
    }
