// Anthropic's JavaScript SDK with the gateway: each scenario checks what the SDK returns for a reply.
//
//     node anthropic_sdk.mjs SCENARIO BASE_URL [ARGUMENT...]
//
// tests/clients/anthropic_sdks.rs scripts the upstream and runs this. The exit code is 0 if all checks pass.

import assert from "node:assert/strict";

import Anthropic, { ContentTooLargeError, OverloadedError, ServiceUnavailableError } from "@anthropic-ai/sdk";

const MODEL = "test-model";
const QUESTION = [{ role: "user", content: "How is the weather in Genève?" }];
const TOOL = {
  name: "get_weather",
  description: "The weather in a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const CLOCK = {
  name: "get_time",
  description: "The time in some zones",
  input_schema: { type: "object", properties: { zones: { type: "array" } }, required: ["zones"] },
};

function connect(baseURL, options = {}) {
  return new Anthropic({ baseURL, apiKey: "sk-of-the-client", maxRetries: 0, ...options });
}

const complete = (body) => ({ model: MODEL, max_tokens: 2048, messages: QUESTION, ...body });

const whole = (client, body) => client.messages.create(complete(body));

// The message that the SDK assembles, with the text pieces of the stream on request.
async function streamed(client, body, pieces = []) {
  const stream = client.messages.stream(complete(body));
  for await (const event of stream) {
    if (event.type === "content_block_delta" && event.delta.type === "text_delta") pieces.push(event.delta.text);
  }
  return stream.finalMessage();
}

// A message, whole and streamed.
const WAYS = [whole, streamed];

const textOf = (message) => message.content.map((block) => (block.type === "text" ? block.text : "")).join("");

// The entries of an object that another one also has.
const among = (object, other) => Object.fromEntries(Object.keys(other).map((name) => [name, object[name]]));

async function text(url) {
  const client = connect(url);
  const pieces = [];
  for (const answer of [await streamed(client, {}, pieces), await whole(client)]) {
    assert.equal(textOf(answer), "Hello there!");
    const expected = { type: "message", role: "assistant", stop_reason: "end_turn" };
    assert.deepEqual(among(answer, expected), expected);
    assert.match(answer.id, /^msg_/);
    assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0, JSON.stringify(answer));
  }
  assert.deepEqual(pieces, ["Hello ", "there!"]);
}

// A thinking block and a call; then the result is sent and answered. `signature` is the start of the block's signature.
async function tools(url, signature) {
  const client = connect(url);
  const offer = { tools: [TOOL], thinking: { type: "enabled", budget_tokens: 1024 } };
  for (const ask of WAYS) {
    const first = await ask(client, offer);
    assert.deepEqual(first.content.map((block) => block.type), ["thinking", "tool_use"]);
    const [thought, call] = first.content;
    assert.equal(thought.thinking, "A tool is needed here.");
    assert.ok(thought.signature.startsWith(signature), thought.signature);
    assert.equal(call.name, "get_weather");
    assert.deepEqual(call.input, { city: 'Genève "Cornavin"' });
    assert.equal(first.stop_reason, "tool_use");

    const result = { type: "tool_result", tool_use_id: call.id, content: "Sunny" };
    const turns = [{ role: "assistant", content: first.content }, { role: "user", content: [result] }];
    const second = await ask(client, { ...offer, messages: [...QUESTION, ...turns] });
    assert.equal(textOf(second), "It is sunny there.");
    assert.notEqual(second.id, first.id);
  }
}

// Two parallel calls with these inputs; then both results are sent and answered.
async function two_calls(url, inputs) {
  const client = connect(url);
  const tools = [TOOL, CLOCK];
  for (const ask of WAYS) {
    const first = await ask(client, { tools });
    assert.deepEqual(first.content.map((block) => block.type), ["text", "tool_use", "tool_use"]);
    assert.equal(first.stop_reason, "tool_use");
    const calls = first.content.slice(1);
    assert.deepEqual(calls.map((call) => call.name), ["get_weather", "get_time"]);
    assert.deepEqual(calls.map((call) => call.input), JSON.parse(inputs));
    assert.notEqual(calls[0].id, calls[1].id);

    const results = calls.map(({ id, name }) => ({ type: "tool_result", tool_use_id: id, content: `of ${name}` }));
    const turns = [{ role: "assistant", content: first.content }, { role: "user", content: results }];
    const second = await ask(client, { tools, messages: [...QUESTION, ...turns] });
    assert.deepEqual([textOf(second), second.stop_reason], ["Sunny, and noon.", "end_turn"]);
  }
}

// Sends these parts of a request. The test checks what the upstream receives.
async function carries(url, body) {
  for (const ask of WAYS) assert.equal(textOf(await ask(connect(url), JSON.parse(body))), "Hello there!");
}

// The tokens are those of the upstream.
async function usage(url, expected) {
  expected = JSON.parse(expected);
  for (const ask of WAYS) assert.deepEqual(among((await ask(connect(url))).usage, expected), expected, ask.name);
}

// The tokens of a request, and whether the gateway estimated them.
async function count(client, body) {
  const question = { model: MODEL, messages: QUESTION, ...body };
  const { data, response } = await client.messages.countTokens(question).withResponse();
  return [data.input_tokens, response.headers.has("x-vdm-estimate")];
}

// The upstream counts.
async function counted(url, tokens) {
  assert.deepEqual(await count(connect(url), { system: "Be brief.", tools: [TOOL] }), [Number(tokens), false]);
}

// The gateway estimates, and a longer request has more tokens.
async function estimated(url) {
  const client = connect(url);
  const [short] = await count(client);
  const [long, isEstimate] = await count(client, { system: "Be brief.", tools: [TOOL] });
  assert.ok(isEstimate && 0 < short && short < long - 10, `${short} ${long}`);
}

// The class that the SDK documents for a status, and its error type in the Messages API.
const ERRORS = {
  400: [Anthropic.BadRequestError, "invalid_request_error"],
  401: [Anthropic.AuthenticationError, "authentication_error"],
  403: [Anthropic.PermissionDeniedError, "permission_error"],
  404: [Anthropic.NotFoundError, "not_found_error"],
  413: [ContentTooLargeError, "request_too_large"],
  429: [Anthropic.RateLimitError, "rate_limit_error"],
  500: [Anthropic.InternalServerError, "api_error"],
  503: [ServiceUnavailableError, "api_error"],
  529: [OverloadedError, "overloaded_error"],
};

async function refusal(promise) {
  const answer = await promise.catch((error) => error);
  assert.ok(answer instanceof Anthropic.APIError, `an error was expected, not ${JSON.stringify(answer)}`);
  return answer;
}

// The upstream answers with this status. For the SDK it must look like Anthropic's own error.
async function errors(status, url) {
  const [kind, type] = ERRORS[status];
  for (const ask of WAYS) {
    const error = await refusal(ask(connect(url)));
    assert.equal(error.constructor, kind, String(error));
    assert.deepEqual([error.status, error.type, error.error.type], [status, type, "error"]);
    assert.ok(error.requestID, `${status}: no request id`);
    if (status === 429) assert.ok(Number(error.headers.get("retry-after")) >= 1);
    else assert.match(error.apiMessage, /upstream said no/);
  }
}

async function all_errors(...pairs) {
  for (const pair of pairs) {
    const [status, url] = pair.split("=");
    await errors(Number(status), url);
  }
}

// The gateway itself refuses the request, without a call.
async function refused(url, status, model = MODEL) {
  const [kind, type] = ERRORS[status];
  const error = await refusal(whole(connect(url), { model }));
  assert.equal(error.constructor, kind, String(error));
  assert.equal(error.type, type);
}

// The upstream's reply is truncated: this is an error, never a shorter answer.
async function cut(url) {
  const pieces = [];
  const error = await refusal(streamed(connect(url), {}, pieces));
  assert.equal(error.error.type, "error");
  assert.ok(error.type && error.apiMessage, String(error));
  assert.deepEqual(pieces, ["Hello "]);
  assert.ok((await refusal(whole(connect(url)))) instanceof Anthropic.InternalServerError);
}

// The client disconnects before the upstream has answered.
async function impatient(url) {
  const error = await refusal(whole(connect(url, { timeout: 1000 })));
  assert.ok(error instanceof Anthropic.APIConnectionTimeoutError, String(error));
}

// The upstream is unreachable: the gateway answers with a server error, which clients retry.
async function unreachable(url) {
  for (const ask of WAYS) {
    const error = await refusal(ask(connect(url)));
    assert.ok(error instanceof Anthropic.InternalServerError, String(error));
    assert.equal(error.error.type, "error");
  }
}

// The provider's models, page by page and one by one.
async function models(url, provider) {
  const client = connect(url, { defaultHeaders: { provider } });
  const listed = [];
  for await (const model of client.models.list({ limit: 1 })) listed.push(model);
  assert.deepEqual(listed.map((model) => model.id), ["model-1", "vendor/model-2"]);
  assert.ok(listed.every((model) => model.type === "model" && model.display_name), JSON.stringify(listed));
  assert.equal((await client.models.retrieve("vendor/model-2")).id, "vendor/model-2");
  assert.ok((await refusal(client.models.retrieve("model-3"))) instanceof Anthropic.NotFoundError);
}

// Streams of many vendors, each under a model's name: the assembled stream equals the whole reply.
async function reads(url, ...models) {
  const client = connect(url);
  for (const model of models) {
    const said = [];
    for (const ask of WAYS) {
      const message = await ask(client, { model, thinking: { type: "enabled", budget_tokens: 1024 } });
      // SDKs differ in how they parse truncated arguments.
      const isWhole = (block) => message.stop_reason !== "max_tokens" || block.type !== "tool_use";
      // If the vendor sends no id, each reply has a new one.
      const content = message.content.filter(isWhole).map(({ id, ...block }) => block);
      said.push([content, message.stop_reason, message.stop_sequence, message.usage.output_tokens]);
    }
    assert.deepEqual(JSON.parse(JSON.stringify(said[0])), JSON.parse(JSON.stringify(said[1])), model);
  }
}

const SCENARIOS = {
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
};

await SCENARIOS[process.argv[2]](...process.argv.slice(3));
