// Logs & system: new log records at the top, and the actions on the gateway.

import { confirmAction, onStream, post, toast } from "./app.js";
import { onClick, run } from "./operate.js";

const MOST = 1000;
const table = document.getElementById("logs");
const pause = document.getElementById("pause");
let latest = +table.dataset.latest, reading = false, more = false;

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", paused);
  pause.textContent = paused ? "Continue" : "Pause";
  if (!paused) read();
});
onStream("log", ({ latest: newest }) => { if (newest !== latest) read(); });

async function read() {
  if (pause.getAttribute("aria-pressed") === "true") return;
  if (reading) { more = true; return; }
  reading = true;
  try {
    const query = new URLSearchParams([...new URLSearchParams(location.search)].filter(([name]) => ["level", "q", "request_id"].includes(name)));
    query.set("after", latest);
    const response = await fetch(`/api/ui/logs?${query}`, { signal: AbortSignal.timeout(15000) });
    if (!response.ok) throw new Error(`the log cannot be read: status ${response.status}`);
    const answer = await response.json();
    // Another worker counts from the start.
    if (answer.latest < latest) { location.reload(); return; }
    latest = answer.latest;
    table.tBodies[0].prepend(...answer.records.reverse().map(row));
    while (table.tBodies[0].rows.length > MOST) table.tBodies[0].lastElementChild.remove();
    document.getElementById("no-logs").hidden = table.tBodies[0].rows.length > 0;
  } catch (error) {
    toast(error.message, "bad");
  } finally {
    reading = false;
    if (more) { more = false; read(); }
  }
}

function row({ number, at, level, target, request_id: id, message }) {
  const tr = document.createElement("tr");
  tr.className = level;
  tr.dataset.key = `log-${number}`;
  const time = document.createElement("time");
  time.dateTime = new Date(at).toISOString();
  time.textContent = time.dateTime.replace(/\.\d+Z$/, "Z");
  const badge = document.createElement("span");
  badge.className = `badge ${level}`;
  badge.textContent = level;
  const cells = [time, badge, message, ""].map((content) => {
    const td = document.createElement("td");
    td.append(content);
    return td;
  });
  cells[2].className = "log-text";
  cells[2].title = target;
  if (id) {
    const link = document.createElement("a"), code = document.createElement("code");
    link.href = `/dashboard/system?request_id=${encodeURIComponent(id)}`;
    code.textContent = id;
    link.append(code);
    cells[3].append(link);
  }
  tr.append(...cells);
  return tr;
}

onClick("[data-reload]", (button) => run(button, () => post("/admin/reload"), (answer) => {
  const changes = [...answer.changed, ...answer.needs_restart.map((line) => `needs a restart: ${line}`)];
  return changes.length ? `Reloaded: ${changes.join("; ")}` : "Reloaded: nothing has changed";
}));

onClick("[data-restart]", async (button) => {
  const text = "A new worker starts with the program on disk and takes over. Open streams continue in the old one; no request is refused.";
  if (!await confirmAction("Restart the worker?", text, "Restart")) return;
  const answer = await run(button, () => post("/admin/restart"), (answer) => `Worker ${answer.worker?.pid ?? ""} of vdm ${answer.version} serves`);
  if (answer) setTimeout(() => location.reload(), 1500);
});

onClick("[data-clear]", async (button) => {
  if (!await confirmAction("Clear the caches?", "The lists of models are read from the providers again when they are needed.", "Clear")) return;
  run(button, () => post("/admin/caches/clear"), ({ files }) => `${files} files removed`);
});
