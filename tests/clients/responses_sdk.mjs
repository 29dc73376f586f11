// The Responses API of OpenAI's JavaScript SDK with the gateway: each scenario checks what the SDK returns for a reply.
//
//     node responses_sdk.mjs SCENARIO BASE_URL [ARGUMENT...]
//
// tests/clients/responses_sdks.rs scripts the upstream and runs this. The exit code is 0 if all checks pass.

import assert from "node:assert/strict";

import OpenAI from "openai";

const MODEL = "test-model";
const QUESTION = [{ role: "user", content: "How is the weather in Genève?" }];

function tool(name, argument, type) {
  const parameters = {
    type: "object",
    properties: { [argument]: { type } },
    required: [argument],
    additionalProperties: false,
  };
  return { type: "function", name, strict: true, parameters };
}

const TOOLS = [tool("get_weather", "city", "string"), tool("get_time", "zones", "array")];

function connect(url, options = {}) {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-of-the-client", maxRetries: 0, ...options });
}

const complete = (body) => ({ model: MODEL, input: QUESTION, store: false, ...body });

const whole = (client, body) => client.responses.create(complete(body));

// The response that the SDK assembles from a stream.
async function assembled(client, body) {
  return client.responses.stream(complete(body)).finalResponse();
}

// A response, whole and streamed.
const WAYS = [whole, assembled];

// The events of a stream in their order, also those before an error.
async function events(client, body, received = []) {
  for await (const event of await whole(client, { stream: true, ...body })) received.push(event);
  return received;
}

const typesOf = (received) => received.map((event) => event.type);
const piecesOf = (received) =>
  received.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
const itemsOf = (answer, type) => answer.output.filter((item) => item.type === type);

// Output items as input of the next request: the SDK adds what it has parsed.
function sendable(items) {
  return items.map((item) => {
    const { parsed_arguments: _, ...rest } = item;
    if (!rest.content) return rest;
    return { ...rest, content: rest.content.map(({ parsed: _parsed, ...part }) => part) };
  });
}

async function text(url) {
  const client = connect(url);
  for (const ask of WAYS) {
    const answer = await ask(client);
    assert.deepEqual([answer.status, answer.output_text], ["completed", "Hello there!"]);
    assert.match(answer.id, /^resp_/);
    const [message, ...others] = itemsOf(answer, "message");
    assert.deepEqual([message.role, message.status, others], ["assistant", "completed", []]);
  }
  assert.match((await whole(client))._request_id, /^req_/);
  const received = await events(client);
  assert.deepEqual(piecesOf(received), ["Hello ", "there!"]);
  const types = typesOf(received);
  assert.deepEqual([types[0], types.at(-1)], ["response.created", "response.completed"]);
  assert.deepEqual(received.map((event) => event.sequence_number), [...received.keys()]);
}

// Two parallel calls with these inputs; then both results are sent and answered.
async function two_calls(url, inputs) {
  const client = connect(url);
  for (const ask of WAYS) {
    const answer = await ask(client, { tools: TOOLS });
    const calls = itemsOf(answer, "function_call");
    assert.equal(answer.output_text, "Let me look.");
    assert.deepEqual(calls.map((call) => call.name), ["get_weather", "get_time"]);
    assert.deepEqual(calls.map((call) => JSON.parse(call.arguments)), JSON.parse(inputs));

    const results = calls.map(({ call_id, name }) => {
      return { type: "function_call_output", call_id, output: `of ${name}` };
    });
    const input = [...QUESTION, ...sendable(answer.output), ...results];
    const second = await ask(client, { tools: TOOLS, input });
    assert.deepEqual([second.status, second.output_text], ["completed", "Sunny, and noon."]);
  }
}

const PATCH = { type: "custom", name: "patch", description: "Applies a patch" };

// A custom tool is called with this text; then its result is sent and answered.
async function custom(url, text) {
  const client = connect(url);
  for (const ask of WAYS) {
    const body = { tools: [PATCH], tool_choice: { type: "custom", name: "patch" } };
    const answer = await ask(client, body);
    const [call, ...others] = itemsOf(answer, "custom_tool_call");
    assert.deepEqual([call.name, call.input, others], ["patch", text, []]);
    const result = { type: "custom_tool_call_output", call_id: call.call_id, output: "applied" };
    const input = [...QUESTION, ...sendable(answer.output), result];
    assert.equal((await ask(client, { tools: [PATCH], input })).output_text, "It is applied.");
  }
}

// A reply that satisfies a schema, parsed by the SDK.
async function parsed(url, expected) {
  const client = connect(url);
  const properties = { city: { type: "string" }, degrees: { type: "number" } };
  const required = Object.keys(properties);
  const schema = { type: "object", properties, required, additionalProperties: false };
  const body = complete({ text: { format: { type: "json_schema", name: "Weather", strict: true, schema } } });
  const answers = [await client.responses.parse(body), await client.responses.stream(body).finalResponse()];
  for (const answer of answers) assert.deepEqual(answer.output_parsed, JSON.parse(expected));
}

// The reasoning of the first turn is returned in the second. The test checks what the upstream receives.
async function reasons(url, thought) {
  const client = connect(url);
  const reasoning = { effort: "high", summary: "auto" };
  const body = { tools: TOOLS, reasoning, include: ["reasoning.encrypted_content"] };
  for (const ask of WAYS) {
    const answer = await ask(client, body);
    const [[reasoned], [call]] = [itemsOf(answer, "reasoning"), itemsOf(answer, "function_call")];
    assert.equal(reasoned.summary.map((part) => part.text).join(""), thought);
    assert.ok(reasoned.encrypted_content);
    const result = { type: "function_call_output", call_id: call.call_id, output: "of get_weather" };
    const input = [...QUESTION, ...sendable(answer.output), result];
    assert.equal((await ask(client, { ...body, input })).output_text, "It is sunny.");
  }
}

// Sends these parts of a request. The test checks what the upstream receives.
async function carries(url, body) {
  for (const ask of WAYS) assert.equal((await ask(connect(url), JSON.parse(body))).output_text, "Hello there!");
}

async function usage(url, expected) {
  for (const ask of WAYS) {
    const { input_tokens, input_tokens_details, output_tokens, total_tokens } = (await ask(connect(url))).usage;
    const told = [input_tokens, input_tokens_details.cached_tokens, output_tokens, total_tokens];
    assert.deepEqual(told, JSON.parse(expected));
  }
}

// The class that the SDK documents for a status. Some have none.
const ERRORS = {
  400: OpenAI.BadRequestError,
  401: OpenAI.AuthenticationError,
  403: OpenAI.PermissionDeniedError,
  404: OpenAI.NotFoundError,
  413: OpenAI.APIError,
  429: OpenAI.RateLimitError,
  500: OpenAI.InternalServerError,
  503: OpenAI.InternalServerError,
  529: OpenAI.InternalServerError,
};

async function refusal(promise) {
  const answer = await promise.catch((error) => error);
  assert.ok(answer instanceof OpenAI.APIError, `an error was expected, not ${JSON.stringify(answer)}`);
  return answer;
}

// The upstream answers with this status. For the SDK it must look like OpenAI's own error; OpenAI has no 529.
async function errors(status, url) {
  const client = connect(url);
  for (const ask of [whole, (client) => events(client), assembled]) {
    const error = await refusal(ask(client));
    assert.equal(error.constructor, ERRORS[status], `${status}: ${error}`);
    assert.equal(error.status, status === 529 ? 503 : status);
    assert.ok(error.type && error.error.message, `${status}: ${JSON.stringify(error.error)}`);
    assert.match(error.requestID, /^req_/);
    if (status === 429) assert.ok(Number(error.headers.get("retry-after")) >= 1);
  }
}

async function all_errors(...pairs) {
  for (const pair of pairs) {
    const [status, url] = pair.split("=");
    await errors(Number(status), url);
  }
}

// The gateway itself refuses the request, without a call. The message contains this part.
async function refused(url, status, part, body) {
  for (const ask of WAYS) {
    const error = await refusal(ask(connect(url), JSON.parse(body)));
    assert.equal(error.constructor, ERRORS[status], String(error));
    assert.equal(error.type, "invalid_request_error");
    assert.ok(error.error.message.includes(part), error.error.message);
    assert.match(error.requestID, /^req_/);
  }
}

// The upstream's reply is truncated: this never looks like a complete response.
async function cut(url) {
  const client = connect(url);
  const received = [];
  const error = await events(client, {}, received).then(() => null, (error) => error);
  if (error) assert.ok(error instanceof OpenAI.APIError, String(error));
  else assert.equal(received.at(-1).type, "response.failed");
  assert.deepEqual(piecesOf(received), ["Hello "]);
  assert.ok(!typesOf(received).includes("response.completed"), JSON.stringify(received));
  const answer = await assembled(client).catch((error) => error);
  assert.ok(answer instanceof Error || answer.status === "failed", JSON.stringify(answer));
  assert.ok((await refusal(whole(client))) instanceof OpenAI.InternalServerError);
}

// The client disconnects before the upstream has answered.
async function impatient(url) {
  const error = await refusal(whole(connect(url, { timeout: 1000 })));
  assert.ok(error instanceof OpenAI.APIConnectionTimeoutError, String(error));
}

// The upstream is unreachable: the gateway answers with a server error, which clients retry.
async function unreachable(url) {
  for (const ask of WAYS) {
    const error = await refusal(ask(connect(url)));
    assert.ok(error instanceof OpenAI.InternalServerError, String(error));
    assert.ok(error.type === "server_error" && error.error.message, JSON.stringify(error.error));
  }
}

const SCENARIOS = {
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
};

await SCENARIOS[process.argv[2]](...process.argv.slice(3));
