// OpenAI's JavaScript SDK with the gateway: each scenario checks what the SDK returns for a reply.
//
//     node openai_sdk.mjs SCENARIO BASE_URL [ARGUMENT...]
//
// tests/clients/openai_sdks.rs scripts the upstream and runs this. The exit code is 0 if all checks pass.

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
  return { type: "function", function: { name, strict: true, parameters } };
}

const TOOLS = [tool("get_weather", "city", "string"), tool("get_time", "zones", "array")];

function connect(url, options = {}) {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-of-the-client", maxRetries: 0, ...options });
}

const complete = (body) => ({ model: MODEL, messages: QUESTION, ...body });

const whole = (client, body) => client.chat.completions.create(complete(body));

// The completion that the SDK assembles.
async function assembled(client, body) {
  return client.chat.completions.stream(complete(body)).finalChatCompletion();
}

// A completion, whole and streamed.
const WAYS = [whole, assembled];

// The chunks of a stream in their order, also those before an error.
async function chunks(client, body, received = []) {
  for await (const chunk of await whole(client, { stream: true, ...body })) received.push(chunk);
  return received;
}

const choicesOf = (received) => received.flatMap((chunk) => chunk.choices);
const piecesOf = (received) => choicesOf(received).map((choice) => choice.delta.content).filter(Boolean);

async function text(url) {
  const client = connect(url);
  for (const ask of WAYS) {
    const answer = await ask(client);
    assert.equal(answer.choices.length, 1);
    const [{ message, finish_reason }] = answer.choices;
    assert.deepEqual([message.role, message.content, finish_reason], ["assistant", "Hello there!", "stop"]);
    assert.match(answer.id, /^chatcmpl-/);
  }
  assert.match((await whole(client))._request_id, /^req_/);
  const received = await chunks(client);
  assert.deepEqual(piecesOf(received), ["Hello ", "there!"]);
  assert.equal(choicesOf(received).at(-1).finish_reason, "stop");
}

// Two parallel calls with these inputs; then both results are sent and answered.
async function two_calls(url, inputs) {
  const client = connect(url);
  for (const ask of WAYS) {
    const [{ message, finish_reason }] = (await ask(client, { tools: TOOLS })).choices;
    assert.deepEqual([finish_reason, message.content], ["tool_calls", "Let me look."]);
    const calls = message.tool_calls;
    assert.deepEqual(calls.map((call) => call.function.name), ["get_weather", "get_time"]);
    assert.deepEqual(calls.map((call) => JSON.parse(call.function.arguments)), JSON.parse(inputs));

    const results = calls.map((call) => {
      return { role: "tool", tool_call_id: call.id, content: `of ${call.function.name}` };
    });
    const body = { tools: TOOLS, messages: [...QUESTION, message, ...results] };
    const [second] = (await ask(client, body)).choices;
    assert.deepEqual([second.finish_reason, second.message.content], ["stop", "Sunny, and noon."]);
  }
}

const PATCH = { type: "custom", custom: { name: "patch", description: "Applies a patch" } };

// A custom tool is called with this text; then its result is sent and answered.
async function custom(url, text) {
  const client = connect(url);
  const tool_choice = { type: "custom", custom: { name: "patch" } };
  for (const ask of WAYS) {
    const [{ message, finish_reason }] = (await ask(client, { tools: [PATCH], tool_choice })).choices;
    assert.equal(finish_reason, "tool_calls");
    const [call] = message.tool_calls;
    assert.deepEqual([call.type, call.custom], ["custom", { name: "patch", input: text }]);

    const result = { role: "tool", tool_call_id: call.id, content: "applied" };
    const called = { role: "assistant", tool_calls: [{ id: call.id, type: call.type, custom: call.custom }] };
    const [second] = (await ask(client, { tools: [PATCH], messages: [...QUESTION, called, result] })).choices;
    assert.deepEqual([second.finish_reason, second.message.content], ["stop", "It is applied."]);
  }
}

// The sources of an answer, each once, whole and streamed.
async function cited(url, expected) {
  const client = connect(url);
  for (const ask of WAYS) {
    const { annotations } = (await ask(client)).choices[0].message;
    const told = annotations.map(({ type, url_citation }) => ({ type, url_citation }));
    assert.deepEqual(told, JSON.parse(expected));
  }
}

// Sends these parts of a request. The test checks what the upstream receives.
async function carries(url, body) {
  for (const ask of WAYS) {
    const answer = await ask(connect(url), JSON.parse(body));
    assert.equal(answer.choices[0].message.content, "Hello there!");
  }
}

// The tokens are those of the upstream. In a stream only the last chunk has them.
async function usage(url, expected) {
  const client = connect(url);
  expected = JSON.parse(expected);
  assert.deepEqual((await whole(client)).usage, expected);
  const asked = { stream_options: { include_usage: true } };
  assert.deepEqual((await assembled(client, asked)).usage, expected);
  const received = await chunks(client, asked);
  const last = received.pop();
  assert.deepEqual([last.choices, last.usage], [[], expected]);
  assert.ok(received.every((chunk) => chunk.choices.length === 1 && !chunk.usage), JSON.stringify(received));
}

// Without a request for usage, a stream contains none.
async function usage_unasked(url) {
  const client = connect(url);
  for (const body of [{}, { stream_options: { include_usage: false } }]) {
    const received = await chunks(client, body);
    assert.deepEqual(piecesOf(received), ["Hello ", "there!"]);
    assert.ok(received.every((chunk) => chunk.choices.length === 1), JSON.stringify(received));
    assert.ok(!received.some((chunk) => "usage" in chunk), JSON.stringify(received));
  }
  assert.ok(!(await assembled(client)).usage);
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
  for (const ask of [whole, (client) => chunks(client), assembled]) {
    const error = await refusal(ask(client));
    assert.equal(error.constructor, ERRORS[status], `${status}: ${error}`);
    assert.equal(error.status, status === 529 ? 503 : status);
    assert.ok(error.type && error.error.message, `${status}: ${JSON.stringify(error.error)}`);
    assert.match(error.requestID, /^req_/);
    if (status === 429) assert.ok(Number(error.headers.get("retry-after")) >= 1);
    else assert.deepEqual([error.code, error.error.message], ["a_code", "upstream said no"]);
  }
}

async function all_errors(...pairs) {
  for (const pair of pairs) {
    const [status, url] = pair.split("=");
    await errors(Number(status), url);
  }
}

// The gateway itself refuses the request, without a call.
async function refused(url, status, code, model = MODEL) {
  for (const ask of WAYS) {
    const error = await refusal(ask(connect(url), { model }));
    assert.equal(error.constructor, ERRORS[status], String(error));
    assert.deepEqual([error.type, error.code, error.param], ["invalid_request_error", code, null]);
    assert.ok(error.error.message);
    assert.match(error.requestID, /^req_/);
  }
}

// The upstream's reply is truncated: this is an error, never a shorter answer.
async function cut(url) {
  const client = connect(url);
  const received = [];
  for (const ask of [() => chunks(client, {}, received), () => assembled(client)]) {
    const error = await refusal(ask());
    assert.equal(error.constructor, OpenAI.APIError, String(error));
    assert.ok(error.error.message && error.type === "server_error", JSON.stringify(error.error));
  }
  assert.deepEqual(piecesOf(received), ["Hello "]);
  assert.ok(!choicesOf(received).some((choice) => choice.finish_reason), JSON.stringify(received));
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

// The provider's models, listed and one by one.
async function models(url) {
  const client = connect(url);
  const listed = [];
  for await (const model of client.models.list()) listed.push(model);
  assert.deepEqual(listed.map((model) => model.id), ["model-1", "vendor/model-2"]);
  assert.ok(listed.every((model) => model.object === "model" && model.owned_by), JSON.stringify(listed));
  assert.equal((await client.models.retrieve("vendor/model-2")).id, "vendor/model-2");
  assert.ok((await refusal(client.models.retrieve("model-3"))) instanceof OpenAI.NotFoundError);
}

// Embeddings, moderations, images and audio, with JSON, forms and bytes.
async function endpoints(url) {
  const client = connect(url);
  const embedded = await client.embeddings.create({ model: "openai:embedder", input: ["one"] });
  assert.deepEqual(embedded.data[0].embedding, [0.5, -1]);
  assert.equal(embedded.usage.prompt_tokens, 8);
  const judged = await client.moderations.create({ model: "openai:judge", input: "hi" });
  assert.equal(judged.results[0].flagged, false);
  const file = await OpenAI.toFile(Buffer.from([0x49, 0x44, 0x33, 0, 0xff, 13, 10, 45, 45]), "talk.mp3");
  assert.equal((await client.audio.transcriptions.create({ model: "openai:ear", file })).text, "Hello there!");
  const image = await OpenAI.toFile(Buffer.from("\x89PNG\r\n", "latin1"), "cat.png", { type: "image/png" });
  const edited = await client.images.edit({ model: "openai:brush", image: [image, image], prompt: "a hat" });
  assert.equal(edited.data[0].b64_json, "AAAA");
  const speech = { model: "openai:mouth", voice: "alloy", input: "hi" };
  const spoken = Buffer.from(await (await client.audio.speech.create(speech)).arrayBuffer());
  assert.deepEqual([...spoken], [...Array(256).keys()]);
  const error = await refusal(client.embeddings.create({ model: "anthropic:claude-x", input: "hi" }));
  assert.ok(error instanceof OpenAI.BadRequestError && error.message.includes("anthropic:claude-x"), String(error));
}

const SCENARIOS = {
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
};

await SCENARIOS[process.argv[2]](...process.argv.slice(3));
