"""CloudFront before the functions, the bucket and the gateway, with the functions of `infra/edge`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from infra.templates.names import NOTHING, STACK, Resource, att, either, logical, ref, sub
from infra.templates.roles import assumed_by

EDGE: Final = Path(__file__).parents[1] / "edge"
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
CACHING_DISABLED: Final = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
ALL_BUT_HOST: Final = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
METHODS: Final = ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"]
ORIGIN_SECONDS: Final = 60
# Of the aliases of a distribution, for Route 53.
ZONE: Final = "Z2FDTNDATAQYW2"
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-at-edge-function-restrictions.html
EDGE_RUNTIME: Final = "nodejs22.x"


def code(name: str) -> str:
    return (EDGE / f"{name}.js").read_text()


def resources() -> dict[str, Resource]:
    return {
        "EdgeKeys": {
            "Type": "AWS::CloudFront::KeyValueStore",
            "Properties": {"Name": sub(f"{STACK}-edge"), "Comment": "What viewer-request.js knows"},
        },
        "ViewerRequest": _function("viewer-request", knows=True),
        "ViewerResponse": _function("viewer-response", knows=False),
        **origin_response("InUsEast1"),
        "StorageAccess": {
            "Type": "AWS::CloudFront::OriginAccessControl",
            "Properties": {
                "OriginAccessControlConfig": {
                    "Name": sub(f"{STACK}-storage"),
                    "OriginAccessControlOriginType": "s3",
                    "SigningBehavior": "always",
                    "SigningProtocol": "sigv4",
                }
            },
        },
        "Distribution": _distribution(),
        **{f"Alias{kind}": _alias(kind) for kind in ("A", "AAAA")},
    }


def _function(name: str, *, knows: bool) -> Resource:
    config: dict[str, Any] = {"Comment": f"infra/edge/{name}.js", "Runtime": "cloudfront-js-2.0"}
    if knows:
        config["KeyValueStoreAssociations"] = [{"KeyValueStoreARN": att("EdgeKeys", "Arn")}]
    return {
        "Type": "AWS::CloudFront::Function",
        "Properties": {
            "Name": sub(f"{STACK}-{name}"),
            "AutoPublish": True,
            "FunctionConfig": config,
            "FunctionCode": code(name),
        },
    }


def origin_response(condition: str = "") -> dict[str, Resource]:
    """Lambda@Edge: in us-east-1 only, so that elsewhere a stack of its own has it."""
    text = code("origin-response")
    version = f"OriginResponseVersion{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    basic = "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    role = assumed_by("lambda.amazonaws.com")
    role["Statement"][0]["Principal"]["Service"] = ["lambda.amazonaws.com", "edgelambda.amazonaws.com"]
    found: dict[str, Resource] = {
        "OriginResponseRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": role, "ManagedPolicyArns": [sub(basic)]},
        },
        "OriginResponseFunction": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Description": "infra/edge/origin-response.js",
                "Runtime": EDGE_RUNTIME,
                "Handler": "index.handler",
                "MemorySize": 128,
                "Timeout": 5,
                "Role": att("OriginResponseRole", "Arn"),
                "Code": {"ZipFile": text},
            },
        },
        # A version stays as it was published: new code wants a new one.
        version: {
            "Type": "AWS::Lambda::Version",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {"FunctionName": ref("OriginResponseFunction")},
        },
    }
    return {name: {"Condition": condition, **one} if condition else one for name, one in found.items()}


def version_of_origin_response() -> str:
    """Its logical name, which tells the code."""
    return next(name for name in origin_response() if name.startswith("OriginResponseVersion"))


def _distribution() -> Resource:
    config = {
        "Comment": sub(f"{STACK}: container registry"),
        "Enabled": True,
        "HttpVersion": "http2and3",
        "IPV6Enabled": True,
        "PriceClass": ref("PriceClass"),
        "Aliases": either("HasHost", [ref("HostName")], NOTHING),
        "ViewerCertificate": either(
            "HasHost",
            {
                "AcmCertificateArn": ref("CertificateArn"),
                "SslSupportMethod": "sni-only",
                "MinimumProtocolVersion": "TLSv1.2_2021",
            },
            {"CloudFrontDefaultCertificate": True},
        ),
        "Origins": [
            _url("registry"),
            _url("management"),
            {
                "Id": "storage",
                "DomainName": att("Bucket", "RegionalDomainName"),
                "OriginAccessControlId": att("StorageAccess", "Id"),
                "S3OriginConfig": {"OriginAccessIdentity": ""},
            },
            either("HasGateway", _origin("gateway", ref("GatewayHostName")), NOTHING),
        ],
        "DefaultCacheBehavior": _behaviour("registry"),
        "CacheBehaviors": [
            {"PathPattern": "/s/*", **_behaviour("storage")},
            {"PathPattern": "/api/*", **_behaviour("management")},
        ],
    }
    return {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": config}}


def _url(name: str) -> dict[str, Any]:
    parts = {"Fn::Split": ["/", att(logical(name, "FunctionUrl"), "FunctionUrl")]}
    return _origin(name, {"Fn::Select": [2, parts]})


def _origin(name: str, host: Any) -> dict[str, Any]:
    custom = {
        "OriginProtocolPolicy": "https-only",
        "OriginSSLProtocols": ["TLSv1.2"],
        "OriginReadTimeout": ORIGIN_SECONDS,
    }
    return {"Id": name, "DomainName": host, "CustomOriginConfig": custom}


def _behaviour(origin: str) -> dict[str, Any]:
    functions = [{"EventType": "viewer-request", "FunctionARN": att("ViewerRequest", "FunctionARN")}]
    if origin == "storage":
        answer = att("ViewerResponse", "FunctionARN")
        functions.append({"EventType": "viewer-response", "FunctionARN": answer})
    restoring = {
        "EventType": "origin-response",
        "LambdaFunctionARN": either("InUsEast1", ref(version_of_origin_response()), ref("OriginResponseArn")),
    }
    return {
        "TargetOriginId": origin,
        "ViewerProtocolPolicy": "https-only",
        "AllowedMethods": METHODS,
        "CachedMethods": ["GET", "HEAD"],
        "Compress": False,
        "CachePolicyId": CACHING_DISABLED,
        "OriginRequestPolicyId": ALL_BUT_HOST,
        "FunctionAssociations": functions,
        "LambdaFunctionAssociations": [restoring],
    }


def _alias(kind: str) -> Resource:
    return {
        "Type": "AWS::Route53::RecordSet",
        "Condition": "HasZone",
        "Properties": {
            "HostedZoneId": ref("HostedZoneId"),
            "Name": ref("HostName"),
            "Type": kind,
            "AliasTarget": {"DNSName": att("Distribution", "DomainName"), "HostedZoneId": ZONE},
        },
    }
