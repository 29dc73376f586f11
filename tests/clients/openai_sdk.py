"""OpenAI's Python SDK with the gateway: each scenario checks what the SDK returns for a reply.

    python openai_sdk.py SCENARIO BASE_URL [ARGUMENT...]

tests/clients/openai_sdks.rs scripts the upstream and runs this. The exit code is 0 if all checks pass.
"""

import json
import sys

import openai

MODEL = "test-model"
QUESTION = [{"role": "user", "content": "How is the weather in Genève?"}]


def tool(name, argument, kind):
    parameters = {
        "type": "object",
        "properties": {argument: {"type": kind}},
        "required": [argument],
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "strict": True, "parameters": parameters}}


TOOLS = [tool("get_weather", "city", "string"), tool("get_time", "zones", "array")]


def connect(base_url, **options):
    return openai.OpenAI(base_url=f"{base_url}/v1", api_key="sk-of-the-client", max_retries=0, **options)


def whole(client, **body):
    return client.chat.completions.create(**{"model": MODEL, "messages": QUESTION, **body})


def assembled(client, **body):
    """The completion that the SDK assembles."""
    with client.chat.completions.stream(**{"model": MODEL, "messages": QUESTION, **body}) as stream:
        for _ in stream:
            pass
        return stream.get_final_completion()


# A completion, whole and streamed.
WAYS = (whole, assembled)


def chunks(client, received, **body):
    """The chunks of a stream in their order, also those before an error."""
    for chunk in whole(client, stream=True, **body):
        received.append(chunk)
    return received


def pieces_of(received):
    return [choice.delta.content for chunk in received for choice in chunk.choices if choice.delta.content]


def text(base_url):
    client = connect(base_url)
    for ask in WAYS:
        answer = ask(client)
        (choice,) = answer.choices
        assert (choice.message.role, choice.message.content) == ("assistant", "Hello there!"), answer
        assert choice.finish_reason == "stop" and answer.id.startswith("chatcmpl-"), answer
    assert whole(client)._request_id.startswith("req_")
    received = chunks(client, [])
    assert pieces_of(received) == ["Hello ", "there!"], received
    assert [choice.finish_reason for chunk in received for choice in chunk.choices][-1] == "stop", received


def two_calls(base_url, inputs):
    """Two parallel calls with these inputs; then both results are sent and answered."""
    client, inputs = connect(base_url), json.loads(inputs)
    for ask in WAYS:
        (choice,) = ask(client, tools=TOOLS).choices
        message = choice.message
        assert (choice.finish_reason, message.content) == ("tool_calls", "Let me look."), choice
        assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"], message
        assert [json.loads(call.function.arguments) for call in message.tool_calls] == inputs, message

        results = [
            {"role": "tool", "tool_call_id": call.id, "content": f"of {call.function.name}"}
            for call in message.tool_calls
        ]
        (choice,) = ask(client, tools=TOOLS, messages=[*QUESTION, message, *results]).choices
        assert (choice.finish_reason, choice.message.content) == ("stop", "Sunny, and noon."), choice


PATCH = {"type": "custom", "custom": {"name": "patch", "description": "Applies a patch"}}


def streamed_custom(client, **body):
    """Assembles the custom call of a stream here, because the SDK's helper for streams refuses custom tools."""
    call, finish_reason = None, None
    for chunk in chunks(client, [], **body):
        for choice in chunk.choices:
            finish_reason = choice.finish_reason or finish_reason
            for piece in choice.delta.tool_calls or []:
                assert piece.index == 0, piece
                if call is None:
                    assert piece.type == "custom", piece
                    call = {"id": piece.id, "type": piece.type, "custom": dict(piece.custom)}
                else:
                    call["custom"]["input"] += piece.custom["input"]
    return call, finish_reason


def custom(base_url, text):
    """A custom tool is called with this text; then its result is sent and answered."""
    client, choice = connect(base_url), {"type": "custom", "custom": {"name": "patch"}}
    (first,) = whole(client, tools=[PATCH], tool_choice=choice).choices
    called = first.message.tool_calls[0].model_dump(exclude_unset=True)
    for call, finish_reason in (
        (called, first.finish_reason),
        streamed_custom(client, tools=[PATCH], tool_choice=choice),
    ):
        assert finish_reason == "tool_calls", (call, finish_reason)
        assert (call["type"], call["custom"]["name"]) == ("custom", "patch"), call
        assert call["custom"]["input"] == text, call
        turns = [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "applied"},
        ]
        (choice_,) = whole(client, tools=[PATCH], messages=[*QUESTION, *turns]).choices
        assert (choice_.finish_reason, choice_.message.content) == ("stop", "It is applied."), choice_


def cited(base_url, expected):
    """The sources of an answer, each once, whole and streamed."""
    client, expected = connect(base_url), json.loads(expected)
    for ask in WAYS:
        message = ask(client).choices[0].message.model_dump(exclude_unset=True)
        told = [{key: one[key] for key in ("type", "url_citation")} for one in message["annotations"]]
        assert told == expected, f"{ask.__name__}: {message}"
    received = chunks(client, [])
    deltas = [choice.delta.model_dump(exclude_unset=True) for chunk in received for choice in chunk.choices]
    told = [one for delta in deltas for one in delta.get("annotations") or []]
    assert [one["index"] for one in told] == list(range(len(expected))), told


def carries(base_url, body):
    """Sends these parts of a request. The test checks what the upstream receives."""
    client, body = connect(base_url), json.loads(body)
    for ask in WAYS:
        answer = ask(client, **body)
        assert answer.choices[0].message.content == "Hello there!", answer


def usage(base_url, expected):
    """The tokens are those of the upstream. In a stream only the last chunk has them."""
    client, expected = connect(base_url), json.loads(expected)
    told = whole(client).usage.model_dump(exclude_unset=True)
    assert told == expected, told
    told = assembled(client, stream_options={"include_usage": True}).usage.model_dump(exclude_unset=True)
    assert told == expected, told
    *others, last = chunks(client, [], stream_options={"include_usage": True})
    assert last.choices == [] and last.usage.model_dump(exclude_unset=True) == expected, last
    assert all(chunk.choices and chunk.usage is None for chunk in others), others


def usage_unasked(base_url):
    """Without a request for usage, a stream contains none."""
    client = connect(base_url)
    for options in ({}, {"stream_options": {"include_usage": False}}):
        received = chunks(client, [], **options)
        assert pieces_of(received) == ["Hello ", "there!"], received
        assert all(chunk.choices for chunk in received), received
        assert not any("usage" in chunk.model_fields_set for chunk in received), received
    assert assembled(client).usage is None


# The class that the SDK documents for a status. Some have none.
ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    413: openai.APIStatusError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
    529: openai.InternalServerError,
}


def refusal(ask, *given, **body):
    try:
        answer = ask(*given, **body)
    except openai.APIError as error:
        return error
    raise AssertionError(f"an error was expected, not {answer}")


def streamed(client):
    return chunks(client, [])


def errors(status, base_url):
    """The upstream answers with this status. For the SDK it must look like OpenAI's own error; OpenAI has no 529."""
    client = connect(base_url)
    told = 503 if status == 529 else status
    for ask in (whole, streamed, assembled):
        error = refusal(ask, client)
        assert type(error) is ERRORS[status], f"{status}: {error!r}"
        assert error.status_code == told and error.type, f"{status}: {error!r} {error.body}"
        assert error.request_id.startswith("req_"), f"{status}: {error.response.headers}"
        assert error.body["message"], f"{status}: {error.body}"
        if status == 429:
            assert int(error.response.headers["retry-after"]) >= 1
        else:
            assert (error.code, error.body["message"]) == ("a_code", "upstream said no"), f"{status}: {error.body}"


def all_errors(*pairs):
    for pair in pairs:
        status, base_url = pair.split("=", 1)
        errors(int(status), base_url)


def refused(base_url, status, code, model=MODEL):
    """The gateway itself refuses the request, without a call."""
    for ask in WAYS:
        error = refusal(ask, connect(base_url), model=model)
        assert type(error) is ERRORS[int(status)], repr(error)
        assert (error.type, error.code, error.param) == ("invalid_request_error", code, None), error.body
        assert error.body["message"], error.body
        assert error.request_id.startswith("req_"), error.response.headers


def cut(base_url):
    """The upstream's reply is truncated: this is an error, never a shorter answer."""
    client, received = connect(base_url), []
    for error in (refusal(chunks, client, received), refusal(assembled, client)):
        assert type(error) is openai.APIError, repr(error)
        assert error.body["message"] and error.type == "server_error", error.body
    assert pieces_of(received) == ["Hello "], received
    assert not any(choice.finish_reason for chunk in received for choice in chunk.choices), received
    error = refusal(whole, client)
    assert isinstance(error, openai.InternalServerError), repr(error)


def impatient(base_url):
    """The client disconnects before the upstream has answered."""
    error = refusal(whole, connect(base_url, timeout=1.0))
    assert isinstance(error, openai.APITimeoutError), repr(error)


def unreachable(base_url):
    """The upstream is unreachable: the gateway answers with a server error, which clients retry."""
    for ask in WAYS:
        error = refusal(ask, connect(base_url))
        assert isinstance(error, openai.InternalServerError), repr(error)
        assert error.type == "server_error" and error.body["message"], error.body


def models(base_url):
    """The provider's models, listed and one by one."""
    client = connect(base_url)
    listed = list(client.models.list())
    assert [model.id for model in listed] == ["model-1", "vendor/model-2"], listed
    assert all(model.object == "model" and model.owned_by and model.created >= 0 for model in listed), listed
    assert client.models.retrieve("vendor/model-2").id == "vendor/model-2"
    error = refusal(client.models.retrieve, "model-3")
    assert isinstance(error, openai.NotFoundError), repr(error)


def endpoints(base_url):
    """Embeddings, moderations, images and audio, with JSON, forms and bytes."""
    client = connect(base_url)
    embedded = client.embeddings.create(model="openai:embedder", input=["one"])
    assert [round(value, 2) for value in embedded.data[0].embedding] == [0.5, -1.0], embedded
    assert embedded.usage.prompt_tokens == 8, embedded
    (judged,) = client.moderations.create(model="openai:judge", input="hi").results
    assert judged.flagged is False, judged
    heard = client.audio.transcriptions.create(model="openai:ear", file=("talk.mp3", b"ID3\x00\xff\r\n--"))
    assert heard.text == "Hello there!", heard
    image = ("cat.png", b"\x89PNG\r\n", "image/png")
    edited = client.images.edit(model="openai:brush", image=[image, image], prompt="a hat")
    assert edited.data[0].b64_json == "AAAA", edited
    spoken = client.audio.speech.create(model="openai:mouth", voice="alloy", input="hi")
    assert spoken.read() == bytes(range(256)), spoken
    with client.audio.speech.with_streaming_response.create(model="openai:mouth", voice="alloy", input="hi") as stream:
        assert b"".join(stream.iter_bytes()) == bytes(range(256))
    error = refusal(client.embeddings.create, model="anthropic:claude-x", input="hi")
    assert isinstance(error, openai.BadRequestError) and "anthropic:claude-x" in str(error), repr(error)


SCENARIOS = (
    text,
    two_calls,
    custom,
    cited,
    carries,
    usage,
    usage_unasked,
    all_errors,
    refused,
    cut,
    impatient,
    unreachable,
    models,
    endpoints,
)

if __name__ == "__main__":
    {scenario.__name__: scenario for scenario in SCENARIOS}[sys.argv[1]](*sys.argv[2:])
