"""The Responses API of OpenAI's Python SDK with the gateway: each scenario checks what the SDK returns for a reply.

    python responses_sdk.py SCENARIO BASE_URL [ARGUMENT...]

tests/clients/responses_sdks.rs scripts the upstream and runs this. The exit code is 0 if all checks pass.
"""

import json
import sys

import openai
from pydantic import BaseModel

MODEL = "test-model"
QUESTION = [{"role": "user", "content": "How is the weather in Genève?"}]


def tool(name, argument, kind):
    parameters = {
        "type": "object",
        "properties": {argument: {"type": kind}},
        "required": [argument],
        "additionalProperties": False,
    }
    return {"type": "function", "name": name, "strict": True, "parameters": parameters}


TOOLS = [tool("get_weather", "city", "string"), tool("get_time", "zones", "array")]


def connect(base_url, **options):
    return openai.OpenAI(base_url=f"{base_url}/v1", api_key="sk-of-the-client", max_retries=0, **options)


def whole(client, **body):
    return client.responses.create(**{"model": MODEL, "input": QUESTION, "store": False, **body})


def assembled(client, **body):
    """The response that the SDK assembles from a stream."""
    with client.responses.stream(**{"model": MODEL, "input": QUESTION, "store": False, **body}) as stream:
        for _ in stream:
            pass
        return stream.get_final_response()


# A response, whole and streamed.
WAYS = (whole, assembled)


def events(client, received, **body):
    """The events of a stream in their order, also those before an error."""
    for event in whole(client, stream=True, **body):
        received.append(event)
    return received


def pieces_of(received):
    return [event.delta for event in received if event.type == "response.output_text.delta"]


def sendable(items):
    """Output items as input of the next request."""
    return [item.model_dump(exclude_unset=True, exclude={"parsed_arguments"}) for item in items]


def items_of(answer, kind):
    return [item for item in answer.output if item.type == kind]


def text(base_url):
    client = connect(base_url)
    for ask in WAYS:
        answer = ask(client)
        assert (answer.status, answer.output_text) == ("completed", "Hello there!"), answer
        assert answer.id.startswith("resp_") and answer.object == "response", answer
        (message,) = items_of(answer, "message")
        assert (message.role, message.status) == ("assistant", "completed"), message
    assert whole(client)._request_id.startswith("req_")
    received = events(client, [])
    assert pieces_of(received) == ["Hello ", "there!"], received
    assert (received[0].type, received[-1].type) == ("response.created", "response.completed"), received
    assert [event.sequence_number for event in received] == list(range(len(received))), received
    assert received[-1].response.output_text == "Hello there!", received[-1]


def two_calls(base_url, inputs):
    """Two parallel calls with these inputs; then both results are sent and answered."""
    client, inputs = connect(base_url), json.loads(inputs)
    for ask in WAYS:
        answer = ask(client, tools=TOOLS)
        calls = items_of(answer, "function_call")
        assert answer.output_text == "Let me look.", answer
        assert [call.name for call in calls] == ["get_weather", "get_time"], answer
        assert [json.loads(call.arguments) for call in calls] == inputs, answer

        results = [
            {"type": "function_call_output", "call_id": call.call_id, "output": f"of {call.name}"} for call in calls
        ]
        answer = ask(client, tools=TOOLS, input=[*QUESTION, *sendable(answer.output), *results])
        assert (answer.status, answer.output_text) == ("completed", "Sunny, and noon."), answer


PATCH = {"type": "custom", "name": "patch", "description": "Applies a patch"}


def custom(base_url, text):
    """A custom tool is called with this text; then its result is sent and answered."""
    client, choice = connect(base_url), {"type": "custom", "name": "patch"}
    for ask in WAYS:
        answer = ask(client, tools=[PATCH], tool_choice=choice)
        (call,) = items_of(answer, "custom_tool_call")
        assert (call.name, call.input) == ("patch", text), call
        result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "applied"}
        answer = ask(client, tools=[PATCH], input=[*QUESTION, *sendable(answer.output), result])
        assert answer.output_text == "It is applied.", answer


class Weather(BaseModel):
    city: str
    degrees: float


def parsed(base_url, expected):
    """A reply that satisfies a schema, parsed by the SDK."""
    client, expected = connect(base_url), Weather(**json.loads(expected))
    answer = client.responses.parse(model=MODEL, input=QUESTION, text_format=Weather, store=False)
    assert answer.output_parsed == expected, answer
    with client.responses.stream(model=MODEL, input=QUESTION, text_format=Weather, store=False) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_parsed == expected


def reasons(base_url, thought):
    """The reasoning of the first turn is returned in the second. The test checks what the upstream receives."""
    client = connect(base_url)
    body = {"tools": TOOLS, "reasoning": {"effort": "high", "summary": "auto"}}
    body["include"] = ["reasoning.encrypted_content"]
    for ask in WAYS:
        answer = ask(client, **body)
        (reasoning,), (call,) = items_of(answer, "reasoning"), items_of(answer, "function_call")
        assert "".join(part.text for part in reasoning.summary) == thought, reasoning
        assert reasoning.encrypted_content, reasoning
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "of get_weather"}
        answer = ask(client, **body, input=[*QUESTION, *sendable(answer.output), result])
        assert answer.output_text == "It is sunny.", answer


def carries(base_url, body):
    """Sends these parts of a request. The test checks what the upstream receives."""
    client, body = connect(base_url), json.loads(body)
    for ask in WAYS:
        answer = ask(client, **body)
        assert answer.output_text == "Hello there!", answer


def usage(base_url, expected):
    client, expected = connect(base_url), json.loads(expected)
    for ask in WAYS:
        told = ask(client).usage
        told = [told.input_tokens, told.input_tokens_details.cached_tokens, told.output_tokens, told.total_tokens]
        assert told == expected, told


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
    return events(client, [])


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


def all_errors(*pairs):
    for pair in pairs:
        status, base_url = pair.split("=", 1)
        errors(int(status), base_url)


def refused(base_url, status, part, body):
    """The gateway itself refuses the request, without a call. The message contains this part."""
    for ask in WAYS:
        error = refusal(ask, connect(base_url), **json.loads(body))
        assert type(error) is ERRORS[int(status)], repr(error)
        assert error.type == "invalid_request_error" and part in error.body["message"], error.body
        assert error.request_id.startswith("req_"), error.response.headers


def cut(base_url):
    """The upstream's reply is truncated: this never looks like a complete response."""
    client, received = connect(base_url), []
    try:
        events(client, received)
    except openai.APIError as error:
        assert error.body["message"], error.body
    else:
        assert received[-1].type == "response.failed", received
        failed = received[-1].response
        assert failed.status == "failed" and failed.error.message, failed
    assert pieces_of(received) == ["Hello "], received
    assert "response.completed" not in [event.type for event in received], received
    try:
        answer = assembled(client)
    except (openai.APIError, RuntimeError):
        pass
    else:
        raise AssertionError(f"an error was expected, not {answer}")
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


SCENARIOS = (
    text,
    two_calls,
    custom,
    parsed,
    reasons,
    carries,
    usage,
    all_errors,
    refused,
    cut,
    impatient,
    unreachable,
)

if __name__ == "__main__":
    {scenario.__name__: scenario for scenario in SCENARIOS}[sys.argv[1]](*sys.argv[2:])
