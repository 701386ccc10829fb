"""The bucket of all bytes."""

from __future__ import annotations

from typing import Any

from chalicelib.aws.provision import EXPIRY
from infra.templates.names import BUCKET_ARN, BUCKET_NAME, NOTHING, Resource, att, either, ref, sub


def resources() -> dict[str, Resource]:
    return {"Bucket": _bucket(), "BucketPolicy": _policy(), "AdoptPermission": _permission()}


def _bucket() -> Resource:
    encryption = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
    staged = {"S3Key": {"Rules": [{"Name": "prefix", "Value": "staged/"}]}}
    notification = {
        "Event": "s3:ObjectCreated:*",
        "Function": ref("AdoptFunction.Alias"),
        "Filter": staged,
    }
    return {
        "Type": "AWS::S3::Bucket",
        "DependsOn": "AdoptPermission",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "BucketName": sub(BUCKET_NAME),
            "PublicAccessBlockConfiguration": dict.fromkeys(
                ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
            ),
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
            "VersioningConfiguration": either("IsVersioned", {"Status": "Enabled"}, NOTHING),
            "LifecycleConfiguration": {"Rules": lifecycle()},
            "NotificationConfiguration": {"LambdaConfigurations": [notification]},
        },
    }


def lifecycle() -> list[dict[str, Any]]:
    return [*(_rule(rule) for rule in EXPIRY), _former()]


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Of S3's API in the words of CloudFormation."""
    said: dict[str, Any] = {"Id": rule["ID"], "Status": rule["Status"]}
    if rule["Filter"]["Prefix"]:
        said["Prefix"] = rule["Filter"]["Prefix"]
    if "Expiration" in rule:
        said["ExpirationInDays"] = rule["Expiration"]["Days"]
    if "AbortIncompleteMultipartUpload" in rule:
        said["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    return said


def _former() -> dict[str, Any]:
    """Where there are versions, those that the registry has deleted go after a month."""
    return {
        "Id": "ccr-former-versions",
        "Status": "Enabled",
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    }


def _policy() -> Resource:
    distribution = "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${Distribution}"
    statements = [
        {
            "Sid": "TlsAlone",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [att("Bucket", "Arn"), sub("${Bucket.Arn}/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Sid": "WhatTheEdgeStores",
            "Effect": "Allow",
            "Principal": {"Service": "cloudfront.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": sub("${Bucket.Arn}/staged/*"),
            "Condition": {"StringEquals": {"AWS:SourceArn": sub(distribution)}},
        },
    ]
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": ref("Bucket"),
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
        },
    }


def _permission() -> Resource:
    return {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": ref("AdoptFunction.Alias"),
            "Principal": "s3.amazonaws.com",
            "SourceAccount": ref("AWS::AccountId"),
            "SourceArn": sub(BUCKET_ARN),
        },
    }
