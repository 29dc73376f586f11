// Tools: counts tokens with the gateway's own endpoint, and sends one message.

import { duration, money, number } from "./app.js";

for (const node of document.querySelectorAll("[data-origin]")) node.textContent = location.origin;

const element = (name, kind, text) => {
  const node = document.createElement(name);
  if (kind) node.className = kind;
  if (text != null) node.textContent = text;
  return node;
};
const failed = (place, error) => place.replaceChildren(element("p", "message bad", error.message));

/** Sends JSON to the gateway as a client would. */
async function send(address, body, signal) {
  const headers = { "content-type": "application/json", "anthropic-version": "2023-06-01" };
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(body), signal });
  if (response.ok) return response;
  const text = await response.text();
  let message = text.slice(0, 300);
  try { message = JSON.parse(text).error.message; } catch { /* the text itself */ }
  throw new Error(`${response.status}: ${message}`);
}

// --- token counter ---------------------------------------------------------------------------------------------

const counter = document.getElementById("counter"), count = document.getElementById("count");
counter.addEventListener("reset", () => count.replaceChildren(element("p", "quiet", "Enter a message to count its tokens.")));
counter.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { model, system, message } = counter.elements;
  const body = { model: model.value.trim(), messages: [{ role: "user", content: message.value }] };
  if (system.value) body.system = system.value;
  const button = counter.querySelector("button");
  button.disabled = true;
  try {
    const response = await send("/v1/messages/count_tokens", body);
    const { input_tokens: tokens } = await response.json();
    const value = element("p", "count-value", number(tokens));
    value.append(element("span", "quiet", " input tokens"));
    const how = response.headers.has("x-vdm-estimate") ? "estimated by the gateway; the provider has no counter" : "counted by the provider";
    count.replaceChildren(value, element("p", "quiet", `${how}; ${await price(body.model, tokens)}`));
  } catch (error) {
    failed(count, error);
  } finally {
    button.disabled = false;
  }
});

/** What the tokens cost, in words. */
async function price(model, tokens) {
  const response = await fetch(`/api/ui/routing?${new URLSearchParams({ model, input_tokens: tokens })}`);
  const { provider, model: target, input_micro_dollars: cost } = response.ok ? await response.json() : {};
  const where = provider ? ` at ${provider}:${target}` : "";
  return cost == null ? `the price${where} is not known` : `${money(cost)} as input${where}`;
}

// --- playground ------------------------------------------------------------------------------------------------

const playground = document.getElementById("playground"), reply = document.getElementById("reply");
const stop = document.getElementById("stop"), raw = document.getElementById("raw"), events = document.getElementById("events");
/** The longest text of raw events, in characters. */
const LONGEST = 500000;
let sending = null;
stop.addEventListener("click", () => sending?.abort());

playground.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { model, message, max_tokens: most, stream } = playground.elements;
  const body = { model: model.value.trim(), max_tokens: +most.value || 256, messages: [{ role: "user", content: message.value }] };
  if (stream.checked) body.stream = true;
  const button = playground.querySelector("button");
  sending = new AbortController();
  button.disabled = true; stop.disabled = false;
  const text = element("p", "reply-text"), facts = element("p", "quiet", "waiting …");
  reply.replaceChildren(text, facts);
  raw.hidden = false; events.textContent = "";
  const shown = { text, facts, began: performance.now(), first: null, usage: {}, stop: null };
  try {
    const response = await send("/v1/messages", body, sending.signal);
    const route = response.headers.get("x-vdm-route");
    if (response.headers.get("content-type")?.startsWith("text/event-stream")) await follow(response, shown); else whole(await response.text(), shown);
    finish(shown, route);
  } catch (error) {
    if (error.name === "AbortError") facts.textContent = "stopped"; else failed(reply, error);
  } finally {
    sending = null;
    button.disabled = false; stop.disabled = true;
  }
});

function whole(text, shown) {
  const message = JSON.parse(text);
  events.textContent = JSON.stringify(message, null, 2);
  shown.text.textContent = (message.content ?? []).map((block) => block.text ?? "").join("");
  shown.usage = message.usage ?? {};
  shown.stop = message.stop_reason;
}

/** Reads server-sent events until the last one. */
async function follow(response, shown) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    if (events.textContent.length < LONGEST) events.append(value);
    rest += value;
    const parts = rest.split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (data) read(JSON.parse(data), shown);
    }
  }
}

function read(event, shown) {
  if (event.type === "error") throw new Error(event.error?.message ?? "the stream ended with an error");
  if (event.type === "content_block_delta" && event.delta.text != null) {
    shown.first ??= performance.now();
    shown.text.append(event.delta.text);
    shown.facts.textContent = "receiving …";
  }
  if (event.type === "message_start") Object.assign(shown.usage, event.message?.usage);
  if (event.type === "message_delta") { Object.assign(shown.usage, event.usage); shown.stop = event.delta?.stop_reason; }
}

function finish({ facts, began, first, usage, stop: reason }, route) {
  const parts = [`finished in ${duration(performance.now() - began)}`];
  if (first != null) parts.push(`first token after ${duration(first - began)}`);
  if (usage.input_tokens != null) parts.push(`${number(usage.input_tokens)} tokens in, ${number(usage.output_tokens)} out`);
  if (reason) parts.push(`stop reason ${reason}`);
  if (route) parts.push(route);
  facts.textContent = parts.join(" · ");
}
