"""Anthropic's clients for clouds, and boto3, at the gateway's endpoints for them. The argument is its URL."""

import asyncio
import json
import sys

import anthropic
import boto3
import botocore.exceptions

URL = sys.argv[1]
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
VERTEX_MODEL = "claude-sonnet-4-5@20250929"
PROMPT = {"max_tokens": 2000, "messages": [{"role": "user", "content": "hi"}]}
TEXT = "The cloud says hello."


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def sdk(client, model):
    assert text_of(client.messages.create(model=model, **PROMPT)) == TEXT
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with client.messages.stream(model=model, thinking=thinking, **PROMPT) as stream:
        message = stream.get_final_message()
    assert text_of(message) == TEXT, message
    assert message.content[0].thinking == "I think." and message.content[0].signature == "c2ln", message
    try:
        client.messages.create(model="nobody:x", **PROMPT)
    except anthropic.NotFoundError as error:
        assert "nobody" in str(error), error
    else:
        raise AssertionError("an unknown provider was served")


keys = {"aws_access_key_id": "client", "aws_secret_access_key": "secret"}
sdk(
    anthropic.AnthropicBedrock(
        base_url=URL, aws_access_key="client", aws_secret_key="secret", aws_region="us-east-1", max_retries=0
    ),
    MODEL,
)
vertex = anthropic.AnthropicVertex(
    base_url=f"{URL}/v1", region="us-east5", project_id="p", access_token="t", max_retries=0
)
sdk(vertex, VERTEX_MODEL)
assert vertex.messages.count_tokens(model=VERTEX_MODEL, messages=PROMPT["messages"]).input_tokens > 0

# These speak the Messages API, with signatures, a key or a token of Google's.
signed = {"aws_access_key": "client", "aws_secret_key": "secret", "aws_region": "us-east-1", "max_retries": 0}
sdk(anthropic.AnthropicBedrockMantle(base_url=URL, **signed), "anthropic.claude-sonnet-4-5")
sdk(anthropic.AnthropicBedrockMantle(base_url=URL, api_key="any", aws_region="us-east-1", max_retries=0), "sonnet")
sdk(anthropic.AnthropicAWS(base_url=URL, workspace_id="w", **signed), "claude-sonnet-4-5")
google = anthropic.AnthropicGoogleCloud(
    base_url=URL, project="p", location="global", workspace_id="w", token_provider=lambda: "t", max_retries=0
)
sdk(google, "claude-sonnet-4-5")


async def streamed_by(client, model):
    async with client.messages.stream(model=model, **PROMPT) as stream:
        return text_of(await stream.get_final_message())


assert asyncio.run(streamed_by(anthropic.AsyncAnthropicBedrock(base_url=URL, **signed), MODEL)) == TEXT

runtime = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=URL, **keys)
body = json.dumps({"anthropic_version": "bedrock-2023-05-31", **PROMPT})
for model in (MODEL, ARN):
    whole = json.loads(runtime.invoke_model(modelId=model, body=body)["body"].read())
    assert whole["content"][0]["text"] == TEXT, whole
    stream = runtime.invoke_model_with_response_stream(modelId=model, body=body)["body"]
    kinds = [json.loads(event["chunk"]["bytes"])["type"] for event in stream]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop"), kinds
assert runtime.count_tokens(modelId=MODEL, input={"invokeModel": {"body": body}})["inputTokens"] > 0
try:
    runtime.invoke_model(modelId="nobody:x", body=body)
except botocore.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "ResourceNotFoundException", error.response
else:
    raise AssertionError("an unknown provider was served")

control = boto3.client("bedrock", region_name="us-east-1", endpoint_url=URL, **keys)
profiles = control.list_inference_profiles()["inferenceProfileSummaries"]
assert "us.anthropic.claude-sonnet-5-5" in [profile["inferenceProfileId"] for profile in profiles], profiles
assert control.get_inference_profile(inferenceProfileIdentifier=MODEL)["status"] == "ACTIVE"
