// The requests page: rows of the stream's events, pause, older pages, and the details of one request at the side.

import { confirmAction, duration, money, number, onStream, openPanel, post, prepare, queryState, toast } from "./app.js";

const running = document.getElementById("running");
const finished = document.getElementById("finished");
const isLive = finished.dataset.liveRows === "true";
/** The rows that stay; older ones are in the history. */
let most = 200;
let paused = false, missed = 0;

const element = (name, text, className) => {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text != null) node.textContent = text;
  return node;
};

function models({ requested_model: requested, provider, model }) {
  // A request without a readable model needs a text to be opened by.
  if (!provider || provider === "unknown") return requested || "(no model)";
  const target = `${provider}:${model}`;
  return requested === model || requested === target ? target : `${requested} → ${target}`;
}

function outcomeText(request) {
  if (request.outcome === "running") return request.first_event_ms == null ? "waiting" : "streaming";
  if (request.outcome === "succeeded") return String(request.status);
  if (request.outcome === "cancelled") return request.error_type ? "cancelled by operator" : "client left";
  return `${request.status} ${request.error_type}`;
}

function speed({ stream, output_tokens: output, first_event_ms: first, duration_ms: all, outcome }) {
  return stream && outcome !== "running" && output > 0 && first != null && all > first ? output / ((all - first) / 1000) : null;
}

/** The same row as templates/requests_row.html. */
function makeRow(request) {
  const row = element("tr");
  row.dataset.key = request.id;
  const isRunning = request.outcome === "running";
  const cell = (text, value) => {
    const node = element("td", text, value === undefined ? "" : "num");
    if (value !== undefined) node.dataset.value = value ?? "";
    return node;
  };
  const time = (name) => { const node = element("time", "–"); node.dataset[name] = request.started; return node; };
  const started = cell(null, request.started);
  started.append(time("ago"));
  const outcome = element("td"), badge = element("span", outcomeText(request), `badge ${request.outcome}`);
  if (request.error) badge.title = request.error;
  outcome.append(badge);
  const head = element("th"), link = element("a", models(request));
  head.scope = "row"; link.dataset.open = request.id; link.href = address({ id: request.id });
  head.append(link);
  const key = element("td", request.key ?? "", "mono wide");
  const took = cell(isRunning ? null : duration(request.duration_ms), request.duration_ms);
  if (isRunning) took.append(time("since"));
  const rate = speed(request);
  const input = request.input_tokens + request.cache_read_tokens + request.cache_creation_tokens;
  const output = cell(number(request.output_tokens), request.output_tokens);
  if (isRunning) output.dataset.progress = request.id;
  const hasTokens = input + request.output_tokens > 0;
  const cost = cell(isRunning || (request.cost == null && !hasTokens) ? "–" : money(request.cost), isRunning ? null : request.cost);
  row.append(started, outcome, head, element("td", request.client ?? "", "wide"), key,
    cell(duration(request.first_event_ms), request.first_event_ms), took, cell(rate == null ? "–" : rate.toFixed(1), rate),
    cell(number(input), input), output, cell(number(request.cache_read_tokens), request.cache_read_tokens), cost);
  return row;
}

function address(changes) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) if (value == null) query.delete(name); else query.set(name, value);
  const text = query.toString();
  return location.pathname + (text ? `?${text}` : "");
}

/** Whether the filters in the address select this request. */
function matches(request) {
  const outcome = queryState.get("outcome");
  if (outcome && request.outcome !== outcome) return false;
  for (const name of ["provider", "model", "key", "client", "session"]) {
    const wanted = queryState.get(name);
    if (wanted && (request[name] ?? "") !== wanted) return false;
  }
  const text = (queryState.get("q") ?? "").trim().toLowerCase();
  return !text || [request.id, request.requested_model, request.model, request.client, request.session, request.error]
    .some((field) => field?.toLowerCase().includes(text));
}

const find = (table, id) => table?.tBodies[0].querySelector(`tr[data-key="${CSS.escape(id)}"]`);

function counted() {
  const rows = running?.tBodies[0].rows.length ?? 0;
  if (running) {
    document.getElementById("running-count").textContent = rows;
    document.getElementById("running-empty").hidden = rows > 0;
  }
  document.getElementById("finished-empty").hidden = finished.tBodies[0].rows.length > 0;
}

onStream("start", (request) => {
  if (!isLive || paused || !running || find(running, request.id) || !matches(request)) return;
  running.tBodies[0].prepend(makeRow(request));
  prepare(running.parentNode);
  counted();
});

onStream("end", (request) => {
  if (!isLive) return;
  if (paused) { missed += 1; return showPause(); }
  find(running, request.id)?.remove();
  if (matches(request) && !find(finished, request.id)) {
    const body = finished.tBodies[0];
    body.prepend(makeRow(request));
    while (body.rows.length > most) body.rows[body.rows.length - 1].remove();
    prepare(finished.parentNode);
  }
  counted();
  if (queryState.get("id") === request.id) open(request.id);
});

/** Fetches the page again: after a pause, or when events were missed. */
async function reload() {
  if (!isLive || paused) return;
  const fresh = await fetchPage(location.href).catch((error) => toast(`The requests cannot be read: ${error.message}`, "bad"));
  if (!fresh) return;
  for (const table of [running, finished]) {
    const next = table && fresh.getElementById(table.id);
    if (!next) continue;
    table.tBodies[0].replaceWith(document.adoptNode(next.tBodies[0]));
    prepare(table.parentNode);
  }
  counted();
}
onStream("gap", reload);
document.addEventListener("visibilitychange", () => { if (!document.hidden) reload(); });
// The stream has been interrupted: what happened meanwhile is fetched.
let wasLost = false;
new MutationObserver(() => {
  const state = document.getElementById("live").dataset.state;
  if (state === "lost") wasLost = true;
  if (state === "live" && wasLost) { wasLost = false; reload(); }
}).observe(document.getElementById("live"), { attributes: true, attributeFilter: ["data-state"] });

async function fetchPage(url) {
  const response = await fetch(url, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(15000) });
  if (!response.ok || (response.redirected && response.url.includes("/login"))) throw new Error(`status ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

// --- pause -----------------------------------------------------------------------------------------------------

const pause = document.getElementById("pause");
function showPause() {
  pause.setAttribute("aria-pressed", paused);
  pause.textContent = paused ? (missed ? `Continue (${missed} new)` : "Continue") : "Pause";
}
if (isLive) {
  pause.hidden = false;
  pause.onclick = () => { paused = !paused; missed = 0; showPause(); if (!paused) reload(); };
}

// --- older pages -----------------------------------------------------------------------------------------------

document.addEventListener("click", async (event) => {
  const older = event.target.closest("#older");
  if (!older || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  older.setAttribute("aria-disabled", "true");
  try {
    const fresh = await fetchPage(older.href);
    const rows = [...fresh.getElementById("finished").tBodies[0].rows].filter((row) => !find(finished, row.dataset.key));
    most += rows.length;
    finished.tBodies[0].append(...rows.map((row) => document.adoptNode(row)));
    prepare(finished.parentNode);
    counted();
    const next = fresh.getElementById("older");
    if (next) { older.href = next.getAttribute("href"); older.removeAttribute("aria-disabled"); } else older.remove();
  } catch (error) {
    older.removeAttribute("aria-disabled");
    toast(`Older requests cannot be read: ${error.message}`, "bad");
  }
});

// --- details ---------------------------------------------------------------------------------------------------

let shut = null;

function select(id) {
  for (const row of document.querySelectorAll("table.requests tr[aria-selected]")) row.removeAttribute("aria-selected");
  if (id) for (const table of [running, finished]) find(table, id)?.setAttribute("aria-selected", "true");
}

/** Shows the details of a request; `page` has them already. */
async function open(id, page = document) {
  let content = page.getElementById("details-template")?.content.firstElementChild;
  if (content?.dataset.details !== id && !(page === document && content && queryState.get("id") === id && "missing" in content.dataset)) {
    content = null;
    if (page === document) return fetchPage(address({ id })).then((fresh) => show(id, fresh), (error) => failed(id, error));
  }
  if (content) show(id, page);
}

function show(id, page) {
  const content = page.getElementById("details-template").content.firstElementChild?.cloneNode(true);
  const side = document.getElementById("side");
  const isOpen = !side.hidden && queryState.get("id") === id;
  queryState.set("id", id);
  select(id);
  const node = content ?? element("p", "This request is not known.");
  if (isOpen && side.querySelector(".side-head")) side.lastElementChild.replaceWith(node);
  else shut = openPanel("Request", node, () => { queryState.set("id", null); select(null); });
  document.getElementById("details-template").content.replaceChildren();
}

function failed(id, error) {
  const node = element("div", null, "state error"), retry = element("button", "Try again", "button");
  node.append(element("p", `The details cannot be read: ${error.message}`), retry);
  retry.onclick = () => { shut?.(); open(id); };
  shut = openPanel("Request", node, () => { queryState.set("id", null); select(null); });
}

document.addEventListener("click", async (event) => {
  const cancel = event.target.closest("[data-cancel]");
  if (cancel) return cancelRequest(cancel);
  const link = event.target.closest("[data-open]") ?? (event.target.closest("a, button, input") ? null : event.target.closest("table.requests tbody tr")?.querySelector("[data-open]"));
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || getSelection().toString()) return;
  event.preventDefault();
  open(link.dataset.open);
});

async function cancelRequest(button) {
  const id = button.dataset.cancel;
  if (!await confirmAction("Cancel this request?", "Its client gets an error and does not retry. The upstream connection is closed.", "Cancel the request")) return;
  button.disabled = true;
  try {
    await post(`/admin/requests/${encodeURIComponent(id)}/cancel`);
    toast("The request was cancelled", "good");
  } catch (error) {
    button.disabled = false;
    toast(error.message, "bad");
  }
}

if (queryState.get("id")) open(queryState.get("id"));
