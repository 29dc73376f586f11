"""Anthropic's Python SDK with the gateway: each scenario checks what the SDK returns for a reply.

    python anthropic_sdk.py SCENARIO BASE_URL [ARGUMENT...]

tests/clients/anthropic_sdks.rs scripts the upstream and runs this. The exit code is 0 if all checks pass.
"""

import json
import sys

import anthropic

MODEL = "test-model"
QUESTION = [{"role": "user", "content": "How is the weather in Genève?"}]
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK = {
    "name": "get_time",
    "description": "The time in some zones",
    "input_schema": {"type": "object", "properties": {"zones": {"type": "array"}}, "required": ["zones"]},
}


def connect(base_url, **options):
    return anthropic.Anthropic(base_url=base_url, api_key="sk-of-the-client", max_retries=0, **options)


def whole(client, **body):
    return client.messages.create(**{"model": MODEL, "max_tokens": 2048, "messages": QUESTION, **body})


def streamed(client, **body):
    """The message that the SDK assembles, and the text pieces of the stream."""
    with client.messages.stream(**{"model": MODEL, "max_tokens": 2048, "messages": QUESTION, **body}) as stream:
        texts = list(stream.text_stream)
        return stream.get_final_message(), texts


def assembled(client, **body):
    return streamed(client, **body)[0]


# A message, whole and streamed.
WAYS = (whole, assembled)


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def text(base_url):
    client = connect(base_url)
    message, pieces = streamed(client)
    assert len(pieces) > 1, pieces
    for answer in (message, whole(client)):
        assert text_of(answer) == "Hello there!", answer
        assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn"), answer
        assert answer.id.startswith("msg_"), answer
        assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer
    assert text_of(message) == "".join(pieces)


def tools(base_url, signature):
    """A thinking block and a call; then the result is sent and answered. `signature` is the start of the block's signature."""
    client = connect(base_url)
    thinking = {"type": "enabled", "budget_tokens": 1024}
    for ask in WAYS:
        first = ask(client, tools=[TOOL], thinking=thinking)
        assert [block.type for block in first.content] == ["thinking", "tool_use"], first
        thought, call = first.content
        assert thought.thinking == "A tool is needed here.", first
        assert thought.signature.startswith(signature), first
        assert (call.name, call.input) == ("get_weather", {"city": "Genève \"Cornavin\""}), first
        assert first.stop_reason == "tool_use", first

        result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny"}
        turns = [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        second = ask(client, tools=[TOOL], thinking=thinking, messages=QUESTION + turns)
        assert text_of(second) == "It is sunny there.", second
        assert second.id != first.id, "Claude Code joins messages of one id"


def two_calls(base_url, inputs):
    """Two parallel calls with these inputs; then both results are sent and answered."""
    client, inputs, tools = connect(base_url), json.loads(inputs), [TOOL, CLOCK]
    for ask in WAYS:
        first = ask(client, tools=tools)
        assert [block.type for block in first.content] == ["text", "tool_use", "tool_use"], first
        assert first.stop_reason == "tool_use", first
        calls = first.content[1:]
        assert [call.name for call in calls] == ["get_weather", "get_time"], first
        assert [call.input for call in calls] == inputs, first
        assert calls[0].id != calls[1].id, first

        results = [{"type": "tool_result", "tool_use_id": call.id, "content": f"of {call.name}"} for call in calls]
        turns = [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        second = ask(client, tools=tools, messages=QUESTION + turns)
        assert (text_of(second), second.stop_reason) == ("Sunny, and noon.", "end_turn"), second


def carries(base_url, body):
    """Sends these parts of a request. The test checks what the upstream receives."""
    client, body = connect(base_url), json.loads(body)
    for ask in WAYS:
        answer = ask(client, **body)
        assert text_of(answer) == "Hello there!", answer


def usage(base_url, expected):
    """The tokens are those of the upstream."""
    client, expected = connect(base_url), json.loads(expected)
    for ask in WAYS:
        told = ask(client).usage.model_dump()
        assert {name: told[name] for name in expected} == expected, f"{ask.__name__}: {told}"


def count(client, **body):
    """The tokens of a request, and whether the gateway estimated them."""
    reply = client.messages.with_raw_response.count_tokens(**{"model": MODEL, "messages": QUESTION, **body})
    return reply.parse().input_tokens, reply.headers.get("x-vdm-estimate") is not None


def counted(base_url, tokens):
    """The upstream counts."""
    assert count(connect(base_url), system="Be brief.", tools=[TOOL]) == (int(tokens), False)


def estimated(base_url):
    """The gateway estimates, and a longer request has more tokens."""
    client = connect(base_url)
    (short, _), (long, is_estimate) = count(client), count(client, system="Be brief.", tools=[TOOL])
    assert is_estimate and 0 < short < long - 10, f"{short} {long}"


# The class that the SDK documents for a status, and its error type in the Messages API.
ERRORS = {
    400: (anthropic.BadRequestError, "invalid_request_error"),
    401: (anthropic.AuthenticationError, "authentication_error"),
    403: (anthropic.PermissionDeniedError, "permission_error"),
    404: (anthropic.NotFoundError, "not_found_error"),
    413: (anthropic.ContentTooLargeError, "request_too_large"),
    429: (anthropic.RateLimitError, "rate_limit_error"),
    500: (anthropic.InternalServerError, "api_error"),
    503: (anthropic.ServiceUnavailableError, "api_error"),
    529: (anthropic.OverloadedError, "overloaded_error"),
}


def refusal(ask, *given, **body):
    try:
        answer = ask(*given, **body)
    except anthropic.APIError as error:
        return error
    raise AssertionError(f"an error was expected, not {answer}")


def errors(status, base_url):
    """The upstream answers with this status. For the SDK it must look like Anthropic's own error."""
    status, client = int(status), connect(base_url)
    kind, name = ERRORS[status]
    for ask in (whole, streamed):
        error = refusal(ask, client)
        assert isinstance(error, kind), f"{status}: {error!r}"
        assert (error.status_code, error.type) == (status, name), f"{status}: {error!r} {error.body}"
        assert error.body["type"] == "error" and error.body["error"]["message"], f"{status}: {error.body}"
        assert error.request_id, f"{status}: {error.response.headers}"
    if status == 429:
        assert int(error.response.headers["retry-after"]) >= 1
    else:
        assert "upstream said no" in error.body["error"]["message"], f"{status}: {error.body}"


def all_errors(*pairs):
    for pair in pairs:
        errors(*pair.split("=", 1))


def refused(base_url, status, model=MODEL):
    """The gateway itself refuses the request, without a call."""
    kind, name = ERRORS[int(status)]
    error = refusal(whole, connect(base_url), model=model)
    assert isinstance(error, kind), repr(error)
    assert error.body["error"]["type"] == name, error.body


def cut(base_url):
    """The upstream's reply is truncated: this is an error, never a shorter answer."""
    client, pieces = connect(base_url), []

    def read():
        with client.messages.stream(model=MODEL, max_tokens=2048, messages=QUESTION) as stream:
            pieces.extend(stream.text_stream)
            return stream.get_final_message()

    error = refusal(read)
    assert isinstance(error, anthropic.APIStatusError), repr(error)
    assert error.body["type"] == "error" and error.body["error"]["message"], error.body
    assert pieces == ["Hello "], pieces
    error = refusal(whole, client)
    assert isinstance(error, anthropic.InternalServerError), repr(error)


def impatient(base_url):
    """The client disconnects before the upstream has answered."""
    error = refusal(whole, connect(base_url, timeout=1.0))
    assert isinstance(error, anthropic.APITimeoutError), repr(error)


def unreachable(base_url):
    """The upstream is unreachable: the gateway answers with a server error, which clients retry."""
    for ask in (whole, streamed):
        error = refusal(ask, connect(base_url))
        assert isinstance(error, anthropic.InternalServerError), repr(error)
        assert error.body["type"] == "error", json.dumps(error.body)


def models(base_url, provider):
    """The provider's models, page by page and one by one."""
    client = connect(base_url, default_headers={"provider": provider})
    listed = list(client.models.list(limit=1))
    assert [model.id for model in listed] == ["model-1", "vendor/model-2"], listed
    assert all(model.type == "model" and model.display_name and model.created_at.year for model in listed), listed
    assert client.models.retrieve("vendor/model-2").id == "vendor/model-2"
    error = refusal(client.models.retrieve, "model-3")
    assert isinstance(error, anthropic.NotFoundError), repr(error)


def reads(base_url, *models):
    """Streams of many vendors, each under a model's name: the assembled stream equals the whole reply."""
    client = connect(base_url)
    thinking = {"type": "enabled", "budget_tokens": 1024}
    for model in models:
        said = []
        for ask in WAYS:
            message = ask(client, model=model, thinking=thinking)
            # If the vendor sends no id, each reply has a new one.
            content = [block.model_dump(exclude={"id"}) for block in message.content]
            if message.stop_reason == "max_tokens":
                # SDKs differ in how they parse truncated arguments.
                content = [block for block in content if block["type"] != "tool_use"]
            said.append((content, message.stop_reason, message.stop_sequence, message.usage.output_tokens))
        assert said[0] == said[1], (model, said)


SCENARIOS = (
    text,
    tools,
    two_calls,
    carries,
    usage,
    counted,
    estimated,
    all_errors,
    refused,
    cut,
    impatient,
    unreachable,
    models,
    reads,
)

if __name__ == "__main__":
    {scenario.__name__: scenario for scenario in SCENARIOS}[sys.argv[1]](*sys.argv[2:])
