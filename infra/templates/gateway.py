"""The upload gateway as an ECS service on Fargate behind a load balancer, where an image is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from infra.templates.names import STACK, Resource, att, ref, sub
from infra.templates.roles import assumed_by

POLICY: Final = Path(__file__).parents[1] / "gateway" / "policy.json"
PORT: Final = 8080
CONDITION: Final = "HasGateway"
# Longer than CCR_DRAIN_SECONDS.
STOP_SECONDS: Final = 120


def resources() -> dict[str, Resource]:
    found = {
        "GatewayKey": _key(),
        "GatewayLog": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {"LogGroupName": sub(f"/ecs/{STACK}-gateway"), "RetentionInDays": ref("LogDays")},
        },
        "GatewayRole": _role("own", statements()),
        "GatewayStartRole": _role("start", _start()),
        "GatewayCluster": {
            "Type": "AWS::ECS::Cluster",
            "Properties": {"ClusterName": sub(f"{STACK}-gateway")},
        },
        "GatewayTask": _task(),
        "GatewayLoadBalancerGroup": _group("the edge", {"SourcePrefixListId": ref("GatewayPrefixList")}, 443),
        "GatewayGroup": _group(
            "the load balancer", {"SourceSecurityGroupId": att("GatewayLoadBalancerGroup", "GroupId")}, PORT
        ),
        **_balancer(),
        "GatewayService": _service(),
    }
    return {name: {"Condition": CONDITION, **one} for name, one in found.items()}


def _key() -> Resource:
    """Of capabilities alone; filled in as the deployment is opened: it comes from the key of tokens."""
    return {
        "Type": "AWS::SecretsManager::Secret",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {"Name": sub(f"{STACK}-gateway-key")},
    }


def statements() -> list[dict[str, Any]]:
    """`infra/gateway/policy.json`, which a test compares with what the gateway calls."""
    text = POLICY.read_text()
    for theirs, ours in (
        ("${Region}", "${AWS::Region}"),
        ("${Account}", "${AWS::AccountId}"),
        ("${TablePrefix}", f"{STACK}-"),
        ("${Bucket}", f"{STACK}-${{AWS::AccountId}}-${{AWS::Region}}"),
        ("arn:aws:", "arn:${AWS::Partition}:"),
    ):
        text = text.replace(theirs, ours)
    return [{**one, "Resource": sub(one["Resource"])} for one in json.loads(text)["Statement"]]


def _start() -> list[dict[str, Any]]:
    repository = "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/*"
    pulls = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
    logs = ["logs:CreateLogStream", "logs:PutLogEvents"]
    secrets = [ref("GatewayKey"), ref("OriginSecret")]
    return [
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secrets},
        {"Effect": "Allow", "Action": logs, "Resource": att("GatewayLog", "Arn")},
        {"Effect": "Allow", "Action": pulls, "Resource": sub(repository)},
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
    ]


def _role(name: str, statements: list[dict[str, Any]]) -> Resource:
    policy = {"Version": "2012-10-17", "Statement": statements}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": assumed_by("ecs-tasks.amazonaws.com"),
            "Policies": [{"PolicyName": name, "PolicyDocument": policy}],
        },
    }


def _task() -> Resource:
    environment = {
        "AWS_REGION": ref("AWS::Region"),
        "CCR_BUCKET": sub(f"{STACK}-${{AWS::AccountId}}-${{AWS::Region}}"),
        "CCR_TABLE_PREFIX": sub(f"{STACK}-"),
        "CCR_REGISTRY_URL": att("RegistryFunctionUrl", "FunctionUrl"),
        "CCR_DRAIN_SECONDS": str(STOP_SECONDS - 10),
    }
    secrets = {"CCR_CAPABILITY_KEY": ref("GatewayKey"), "CCR_ORIGIN_SECRET": ref("OriginSecret")}
    container = {
        "Name": "gateway",
        "Image": ref("GatewayImage"),
        "Essential": True,
        "ReadonlyRootFilesystem": True,
        "StopTimeout": STOP_SECONDS,
        "LinuxParameters": {"Capabilities": {"Drop": ["ALL"]}, "InitProcessEnabled": True},
        "PortMappings": [{"ContainerPort": PORT}],
        "Environment": [{"Name": name, "Value": value} for name, value in environment.items()],
        "Secrets": [{"Name": name, "ValueFrom": value} for name, value in secrets.items()],
        "LogConfiguration": {
            "LogDriver": "awslogs",
            "Options": {
                "awslogs-group": ref("GatewayLog"),
                "awslogs-region": ref("AWS::Region"),
                "awslogs-stream-prefix": "gateway",
            },
        },
    }
    return {
        "Type": "AWS::ECS::TaskDefinition",
        "Properties": {
            "Family": sub(f"{STACK}-gateway"),
            "RequiresCompatibilities": ["FARGATE"],
            "NetworkMode": "awsvpc",
            "Cpu": "512",
            "Memory": "1024",
            "RuntimePlatform": {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"},
            "TaskRoleArn": att("GatewayRole", "Arn"),
            "ExecutionRoleArn": att("GatewayStartRole", "Arn"),
            "ContainerDefinitions": [container],
        },
    }


def _group(source: str, rule: dict[str, Any], port: int) -> Resource:
    return {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {
            "GroupDescription": f"Port {port} for {source}",
            "VpcId": ref("GatewayVpc"),
            "SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **rule}],
        },
    }


def _balancer() -> dict[str, Resource]:
    return {
        "GatewayLoadBalancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": {
                "Type": "application",
                "Scheme": "internet-facing",
                "Subnets": ref("GatewaySubnets"),
                "SecurityGroups": [att("GatewayLoadBalancerGroup", "GroupId")],
                "LoadBalancerAttributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "120"}],
            },
        },
        "GatewayTargets": {
            "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
            "Properties": {
                "TargetType": "ip",
                "Protocol": "HTTP",
                "Port": PORT,
                "VpcId": ref("GatewayVpc"),
                "HealthCheckPath": "/readyz",
                "TargetGroupAttributes": [
                    {"Key": "deregistration_delay.timeout_seconds", "Value": str(STOP_SECONDS)}
                ],
            },
        },
        "GatewayListener": {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "LoadBalancerArn": ref("GatewayLoadBalancer"),
                "Port": 443,
                "Protocol": "HTTPS",
                "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
                "Certificates": [{"CertificateArn": ref("GatewayCertificateArn")}],
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": ref("GatewayTargets")}],
            },
        },
    }


def _service() -> Resource:
    network = {
        "AssignPublicIp": "ENABLED",
        "Subnets": ref("GatewaySubnets"),
        "SecurityGroups": [att("GatewayGroup", "GroupId")],
    }
    target = {"ContainerName": "gateway", "ContainerPort": PORT, "TargetGroupArn": ref("GatewayTargets")}
    return {
        "Type": "AWS::ECS::Service",
        "DependsOn": "GatewayListener",
        "Properties": {
            "Cluster": ref("GatewayCluster"),
            "LaunchType": "FARGATE",
            "TaskDefinition": ref("GatewayTask"),
            "DesiredCount": ref("GatewayCount"),
            "DeploymentConfiguration": {"MinimumHealthyPercent": 100, "MaximumPercent": 200},
            "LoadBalancers": [target],
            "NetworkConfiguration": {"AwsvpcConfiguration": network},
        },
    }
