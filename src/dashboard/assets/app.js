// The dashboard's own script: the stream, updates in place, tables, actions and the theme. Pages import what they need from it.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// --- numbers ---------------------------------------------------------------------------------------------------

const DASH = "–";
const significant = (n) => (n < 10 ? n.toFixed(2) : n < 100 ? n.toFixed(1) : n.toFixed(0));
export const number = (n) => n == null ? DASH : n < 1e6 ? Math.round(n).toLocaleString("en-US")
  : n < 1e9 ? `${significant(n / 1e6)} M` : `${significant(n / 1e9)} G`;
export const bytes = (n) => n == null ? DASH : n < 1e3 ? `${n} B` : n < 1e6 ? `${significant(n / 1e3)} kB`
  : n < 1e9 ? `${significant(n / 1e6)} MB` : `${significant(n / 1e9)} GB`;
export const percent = (share) => share == null ? DASH : share > 0 && share < 0.001 ? "<0.1 %" : `${(share * 100).toFixed(share === 0 || share === 1 ? 0 : 1)} %`;
/** Millionths of a dollar. */
export const money = (micro) => micro == null ? "unpriced" : micro === 0 ? "$0" : micro < 50 ? "<$0.0001" : micro < 1e6 ? `$${(micro / 1e6).toFixed(4)}`
  : `$${(micro / 1e6).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
/** Milliseconds. */
export function duration(ms) {
  if (ms == null) return DASH;
  const s = Math.floor(ms / 1000);
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.floor(ms)} ms`;
  if (ms < 60e3) return `${significant(ms / 1000)} s`;
  if (ms < 3600e3) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (ms < 86400e3) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}
/** How long ago a time in milliseconds since 1970 was. */
export const ago = (at) => { const ms = Math.max(0, Date.now() - at); return ms < 1000 ? "now" : `${duration(ms < 60e3 ? Math.floor(ms / 1000) * 1000 : ms).replace(/\.0+ s/, " s")} ago`; };

function showTimes(root = document) {
  for (const time of $$("time[data-ago]", root)) setText(time, ago(+time.dataset.ago));
  for (const time of $$("time[data-until]", root)) setText(time, until(Date.parse(time.dateTime)));
  for (const time of $$("time[data-since]", root)) setText(time, duration(Math.max(1000, Math.floor((Date.now() - time.dataset.since) / 1000) * 1000)).replace(/\.0+ s/, " s"));
}
/** The time until which something lasts, with what is left of it. */
function until(at) {
  const left = at - Date.now();
  const time = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  return left < 86400e3 ? `${time}, ${left < 1000 ? "now" : `in ${duration(Math.floor(left / 1000) * 1000).replace(/\.0+ s/, " s")}`}` : new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}
/** Absolute times, in the viewer's time zone. */
const showDates = (root) => { for (const time of $$("time[data-at]", root)) setText(time, new Date(+time.dataset.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })); };
const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };

// --- state in the address --------------------------------------------------------------------------------------

/** Reads and writes parameters of the address, without a new entry in the history. */
export const queryState = {
  get: (name) => new URLSearchParams(location.search).get(name),
  set(name, value) {
    const query = new URLSearchParams(location.search);
    if (value == null || value === "") query.delete(name); else query.set(name, value);
    const text = query.toString();
    history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
  },
};

// --- the stream ------------------------------------------------------------------------------------------------

const listeners = new Map();
/** Calls `listener` with the data of every event of this kind: tick, start, end, gap. */
export function onStream(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(listener);
}
const KINDS = ["tick", "start", "end", "gap", "log"];
const stream = { source: null, wait: 1000, timer: 0, last: "" };

function showLive(state, text) {
  const live = $("#live");
  if (!live) return;
  live.dataset.state = state;
  setText($(".live-text", live), text);
}

/** The browser reconnects by itself, but gives up after an error status; this one backs off and goes on. */
function connect() {
  clearTimeout(stream.timer);
  if (stream.source || document.hidden || !$("#live")) return;
  const source = stream.source = new EventSource("/api/ui/stream");
  source.onopen = () => { stream.wait = 1000; showLive("live", "live"); };
  source.onerror = () => {
    showLive("lost", "reconnecting");
    if (source.readyState !== EventSource.CLOSED) return;
    disconnect();
    // The session may have ended; the page then leads to the login.
    soon(0);
    stream.timer = setTimeout(connect, stream.wait * (0.75 + Math.random() / 2));
    stream.wait = Math.min(stream.wait * 2, 30000);
  };
  for (const kind of KINDS) source.addEventListener(kind, (event) => {
    const data = JSON.parse(event.data);
    for (const listener of listeners.get(kind) ?? []) listener(data);
  });
}
function disconnect() { stream.source?.close(); stream.source = null; }

document.addEventListener("visibilitychange", () => {
  if (document.hidden) { disconnect(); clearTimeout(refresh.timer); showLive("paused", "paused"); } else { connect(); soon(0); }
});
addEventListener("pagehide", disconnect);
addEventListener("pageshow", (event) => { if (event.persisted) { connect(); soon(0); } });

onStream("tick", ({ live, progress }) => {
  for (const node of $$("[data-live]")) if (live[node.dataset.live] != null) setText(node, live[node.dataset.live]);
  for (const [id, tokens] of progress ?? []) for (const node of $$(`[data-progress="${CSS.escape(id)}"]`)) setText(node, number(tokens));
});
for (const kind of ["start", "end", "gap"]) onStream(kind, () => soon(5000));

// --- updates in place ------------------------------------------------------------------------------------------

const refresh = { timer: 0, due: 0, last: Date.now(), running: false };
const updated = new Set();
/** Calls `listener` with every panel that has been brought up to date. */
export const onUpdate = (listener) => updated.add(listener);

/** Fetches the page again, at most every `interval`; an idle page does so once a minute. */
function soon(interval) {
  if (!$("[data-panel]")) return;
  const due = Math.max(Date.now(), refresh.last + interval);
  if (refresh.timer && refresh.due <= due) return;
  clearTimeout(refresh.timer);
  refresh.due = due;
  refresh.timer = setTimeout(update, due - Date.now());
}

/** Brings every panel up to date in place. */
export async function update() {
  refresh.timer = 0;
  if (document.hidden || refresh.running) return;
  refresh.running = true;
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(15000) });
    if (response.redirected && new URL(response.url).pathname.endsWith("/login")) { location.reload(); return; }
    if (!response.ok) throw new Error(`status ${response.status}`);
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const panel of $$("[data-panel]")) {
      const next = fresh.getElementById(panel.id);
      if (!next) continue;
      morph(panel, next);
      panel.removeAttribute("data-stale");
      prepare(panel);
      for (const listener of updated) listener(panel);
    }
    $("#stale")?.remove();
  } catch (error) {
    stale(error);
  } finally {
    refresh.running = false;
    refresh.last = Date.now();
    soon(60000);
  }
}

/** The numbers on the page are old: says so, with a way to try again. */
function stale(error) {
  for (const panel of $$("[data-panel]")) panel.setAttribute("data-stale", "");
  if ($("#stale")) return;
  const note = document.createElement("div");
  note.id = "stale"; note.className = "message bad row"; note.setAttribute("role", "alert");
  const text = document.createElement("span");
  text.textContent = `The gateway does not answer (${error.message}). The page shows the numbers of ${new Date(refresh.last).toLocaleTimeString()}.`;
  const retry = document.createElement("button");
  retry.className = "button small"; retry.textContent = "Try again"; retry.onclick = () => { connect(); update(); };
  note.append(text, retry);
  $("main").prepend(note);
}

/** Makes `old` equal to `next` with as few changes as possible. What the user has opened, focused, sorted or typed stays. */
function morph(old, next) {
  if (old.isEqualNode(next)) return;
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) { old.replaceWith(next.cloneNode(true)); return; }
  if (old.nodeType !== Node.ELEMENT_NODE) { if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue; return; }
  // The head of a column has a button in it.
  if (old.hasAttribute("data-keep") || (old.nodeName === "TH" && old.dataset.column)) return;
  for (const { name, value } of [...next.attributes]) if (old.getAttribute(name) !== value && !(old.nodeName === "DETAILS" && name === "open")) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) {
    const kept = (old.nodeName === "DETAILS" && name === "open") || name === "aria-sort" || name === "data-ready" || name === "hidden" || name === "data-order" || name === "aria-selected";
    if (!kept && !next.hasAttribute(name)) old.removeAttribute(name);
  }
  if (["INPUT", "SELECT", "TEXTAREA"].includes(old.nodeName)) return;
  if (old.hasAttribute("data-chart")) {
    const data = $("script", old), fresh = $("script", next);
    if (data.textContent !== fresh.textContent) { data.textContent = fresh.textContent; old.dispatchEvent(new CustomEvent("chart")); }
    return;
  }
  children(old, next);
}

/** Rows with a key are matched by it, everything else by its place. */
function children(old, next) {
  const keyed = new Map([...old.children].filter((child) => child.dataset?.key).map((child) => [child.dataset.key, child]));
  const wanted = [...next.childNodes];
  let at = old.firstChild;
  for (const child of wanted) {
    const key = child.dataset?.key;
    const same = key ? keyed.get(key) : null;
    if (same) {
      if (same !== at) old.insertBefore(same, at); else at = at.nextSibling;
      keyed.delete(key);
      morph(same, child);
    } else if (at && !key && !at.dataset?.key && at.nodeType === child.nodeType && at.nodeName === child.nodeName) {
      const following = at.nextSibling;
      morph(at, child);
      at = following;
    } else {
      old.insertBefore(document.importNode(child, true), at);
    }
  }
  while (at) { const following = at.nextSibling; at.remove(); at = following; }
}

// --- tables ----------------------------------------------------------------------------------------------------

const cellValue = (cell) => cell?.dataset.value !== undefined ? (cell.dataset.value === "" ? null : +cell.dataset.value) : cell?.textContent.trim().toLowerCase() ?? "";

/** Sorts by number where cells have `data-value`; cells without a value come last in both directions. */
function sortTable(table, column, direction) {
  const body = table.tBodies[0];
  const sign = direction === "descending" ? -1 : 1;
  const rows = [...body.rows].map((row, at) => ({ row, at, value: cellValue(row.cells[column]) }));
  rows.sort((a, b) => {
    if (a.value === null || b.value === null) return (a.value === null) - (b.value === null) || a.at - b.at;
    const order = typeof a.value === "number" ? a.value - b.value : a.value.localeCompare(b.value, "en", { numeric: true });
    return sign * order || a.at - b.at;
  });
  if (rows.some(({ row }, at) => body.rows[at] !== row)) body.append(...rows.map(({ row }) => row));
}

function applySort(table) {
  const [column, direction] = (queryState.get(`sort-${table.id}`) ?? table.dataset.order ?? "").split(":");
  const heads = [...table.tHead.rows[0].cells];
  const at = heads.findIndex((head) => head.dataset.column === column);
  heads.forEach((head, place) => { if (place === at) head.setAttribute("aria-sort", direction); else head.removeAttribute("aria-sort"); });
  if (at >= 0) sortTable(table, at, direction);
}

function applyFilter(table) {
  const input = $(`input[data-filter="${table.id}"]`);
  if (!input) return;
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of table.tBodies[0].rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
}

/** A column sorts by the button in its head. The order is in the address, so that it survives updates and can be sent around. */
function prepareTable(table) {
  for (const head of table.tHead.rows[0].cells) {
    if (!head.dataset.column || $("button.sort", head)) continue;
    const button = document.createElement("button");
    button.type = "button"; button.className = "sort"; button.append(...head.childNodes);
    head.append(button);
  }
  applySort(table);
  applyFilter(table);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.sort");
  if (button) {
    const head = button.closest("th"), table = head.closest("table");
    const first = head.classList.contains("num") ? "descending" : "ascending";
    const other = first === "descending" ? "ascending" : "descending";
    queryState.set(`sort-${table.id}`, `${head.dataset.column}:${head.getAttribute("aria-sort") === first ? other : first}`);
    applySort(table);
  }
  if (event.target.closest("[data-retry]")) { connect(); update(); }
  const csv = event.target.closest("[data-csv]");
  if (csv) saveCsv(document.getElementById(csv.dataset.csv));
  const copy = event.target.closest("[data-copy]");
  if (copy) navigator.clipboard.writeText(copy.dataset.copy).then(() => toast("Copied"), () => toast("The browser does not allow copying", "bad"));
});
document.addEventListener("input", (event) => {
  const input = event.target.closest("input[data-filter]");
  if (!input) return;
  queryState.set(`filter-${input.dataset.filter}`, input.value);
  applyFilter(document.getElementById(input.dataset.filter));
});

/** A cell of CSV, by the rule of `src/usage_report/csv.rs`: a text that begins like a formula is made text for spreadsheets, a number stays one. */
export const csvCell = (text) => {
  const isFormula = /^[=+\-@\t\r\n]/.test(text) && !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
  return isFormula || /[",\r\n]/.test(text) ? `"${isFormula ? "'" : ""}${text.replaceAll('"', '""')}"` : text;
};

/** The rows that are shown, in their order. */
function saveCsv(table) {
  const line = (row) => [...row.cells].map((cell) => csvCell(cell.dataset.value ?? cell.textContent.trim())).join(",");
  const text = [table.tHead.rows[0], ...[...table.tBodies[0].rows].filter((row) => !row.hidden)].map(line).join("\r\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${text}\r\n`], { type: "text/csv" }));
  link.download = `${table.id}-${new Date().toISOString().slice(0, 16).replace(":", "")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Makes what is in `root` work; called again after an update. */
export function prepare(root) {
  for (const table of $$("table[data-table]", root)) prepareTable(table);
  showTimes(root);
  showDates(root);
}

// --- messages, dialogs and actions -----------------------------------------------------------------------------

export function toast(text, kind = "") {
  const node = document.createElement("div");
  node.className = `toast ${kind}`; node.textContent = text;
  $("#toasts").append(node);
  setTimeout(() => node.remove(), kind === "bad" ? 10000 : 4000);
}

/** Asks before an action; resolves to true if the user agrees. */
export function confirmAction(title, text, action = "Continue") {
  const dialog = $("#confirm");
  dialog.innerHTML = '<form method="dialog"><h2 id="confirm-title"></h2><p></p><div class="row"><button class="button" value="no" autofocus>Cancel</button><button class="button danger" value="yes"></button></div></form>';
  $("h2", dialog).textContent = title; $("p", dialog).textContent = text; $("[value=yes]", dialog).textContent = action;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

/** Opens the panel at the side with this title and this node; Escape and the button close it, and the focus returns. */
export function openPanel(title, content, onClose) {
  const side = $("#side"), before = document.activeElement;
  side.replaceChildren();
  const head = document.createElement("div"), heading = document.createElement("h2"), close = document.createElement("button");
  head.className = "side-head"; heading.id = "side-title"; heading.textContent = title;
  close.className = "button small"; close.textContent = "Close";
  head.append(heading, close);
  side.append(head, content);
  side.hidden = false;
  const shut = () => { side.hidden = true; side.onkeydown = null; before?.focus?.(); onClose?.(); };
  close.onclick = shut;
  side.onkeydown = (event) => { if (event.key === "Escape") shut(); };
  close.focus();
  return shut;
}

/** Sends an action as JSON. Returns the answer, or throws an error with the gateway's message. */
export async function post(address, body = {}) {
  const response = await fetch(address, { method: "POST", headers: { "content-type": "application/json", accept: "application/json" }, body: JSON.stringify(body) });
  const text = await response.text();
  let answer = null;
  try { answer = JSON.parse(text); } catch { /* not JSON: the text itself is the message */ }
  if (!response.ok) throw new Error(answer?.error?.message ?? answer?.error ?? answer?.refused?.join("; ") ?? (text.slice(0, 300) || `status ${response.status}`));
  return answer;
}

// --- theme -----------------------------------------------------------------------------------------------------

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("themechange"));
}
const storedTheme = () => { try { return localStorage.getItem("vdm-theme") ?? "system"; } catch { return "system"; } };
setTheme(storedTheme());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
const select = $("#theme");
if (select) {
  select.value = storedTheme();
  select.onchange = () => { try { localStorage.setItem("vdm-theme", select.value); } catch { /* not kept */ } setTheme(select.value); };
}

// --- start -----------------------------------------------------------------------------------------------------

const login = $("#login");
if (login) {
  // A one-time link has its token in the fragment, which is not sent with the request for this page.
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    history.replaceState(null, "", location.pathname + location.search);
    login.elements.token.value = token;
    login.submit();
  }
} else {
  for (const input of $$("input[data-filter]")) input.value = queryState.get(`filter-${input.dataset.filter}`) ?? input.value;
  prepare(document);
  $(".top nav a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  setInterval(() => { if (!document.hidden) showTimes(); }, 1000);
  connect();
  soon(60000);
}
