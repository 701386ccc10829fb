#!/usr/bin/env bash
# Opens a deployment after it was made or its keys were changed: tells the edge (and the gateway) their keys, makes the
# first account, and prints the password of `admin` the first time. Needs the AWS CLI, version 2, and jq.
#   infra/cloudformation/open.sh ccr-prod [region]
#   infra/cloudformation/open.sh --terraform infra/terraform/example
set -euo pipefail

usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
}

case ${1:-} in
-h | --help)
    usage
    exit 0
    ;;
--terraform) [ -n "${2:-}" ] || { usage >&2 && exit 2; } ;;
'' | -*)
    usage >&2
    exit 2
    ;;
esac
for tool in aws jq; do
    if ! command -v "$tool" >/dev/null; then
        echo "open.sh needs $tool on the PATH" >&2
        exit 1
    fi
done
# Version 1 has neither the options nor the signatures (SigV4A) that this takes.
version=$(aws --version 2>&1)
if [[ $version != aws-cli/[2-9]* ]]; then
    echo "open.sh needs version 2 of the AWS CLI; this is ${version%% *}" >&2
    exit 1
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 700 "$scratch"

if [ "$1" = --terraform ]; then
    terraform -chdir="$2" output -json registry >"$scratch/outputs"
    name=$(jq -r '.table_prefix | rtrimstr("-")' "$scratch/outputs")
    region=$(jq -r .region "$scratch/outputs")
else
    name=$1
    region=${2:-${AWS_REGION:-us-east-1}}
    aws cloudformation describe-stacks --region "$region" --stack-name "$name" --output json |
        jq '.Stacks[0].Outputs | map({(.OutputKey): .OutputValue}) | add' >"$scratch/outputs"
fi

# By its name in the template; Terraform's has underscores.
output() {
    jq -r --arg name "$1" 'to_entries[] | select((.key | gsub("_"; "") | ascii_downcase) == ($name | ascii_downcase)) |
        .value // empty' "$scratch/outputs"
}

setup() {
    aws lambda invoke --region "$region" --function-name "$(output SetupFunction):live" \
        --cli-binary-format raw-in-base64-out --payload "$1" "$scratch/answer" >"$scratch/told"
    if jq -e .FunctionError "$scratch/told" >/dev/null; then
        cat "$scratch/answer" >&2
        exit 1
    fi
    cat "$scratch/answer"
}

asked=$(jq -nc --arg gateway "$(output GatewayTarget)" '{edge: true, gateway: ($gateway != "")}')
setup "$asked" >"$scratch/edge"

store=$(output EdgeKeys)
etag=$(aws cloudfront-keyvaluestore describe-key-value-store --kvs-arn "$store" --query ETag --output text)
aws cloudfront-keyvaluestore put-key --kvs-arn "$store" --if-match "$etag" --key edge \
    --value "file://$scratch/edge" >/dev/null

if jq -e .gateway <<<"$asked" >/dev/null; then
    jq -j '.keys | join(",")' "$scratch/edge" >"$scratch/keys"
    aws secretsmanager put-secret-value --region "$region" --secret-id "$name-gateway-key" \
        --secret-string "file://$scratch/keys" >/dev/null
    aws ecs update-service --region "$region" --cluster "$name-gateway" --force-new-deployment \
        --service "$(aws ecs list-services --region "$region" --cluster "$name-gateway" --query 'serviceArns[0]' \
            --output text)" >/dev/null
fi

setup '{}' | jq -r '"user      \(.username)", if .password then "password  \(.password)    (shown this once)" else empty end'
echo "registry  $(output Url)"
