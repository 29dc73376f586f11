// Providers & keys: switches keys, resets health, and probes.

import { duration, post } from "./app.js";
import { onClick, run } from "./operate.js";

onClick("[data-switch]", (button) => {
  const { switch: to, provider, id } = button.dataset;
  run(button, () => post(`/admin/keys/${to}`, { provider, key: id }), `Key ${id} is ${to}d`);
});

onClick("[data-reset]", (button) => {
  const { reset: provider, id } = button.dataset;
  const target = id ? { provider, key: id } : { provider };
  run(button, () => post("/admin/health/reset", target), `The health of ${id ? `key ${id}` : provider} is reset`);
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-probe]");
  if (!form) return;
  event.preventDefault();
  const provider = form.dataset.probe;
  const result = document.querySelector(`[data-probe-result="${CSS.escape(provider)}"]`);
  const button = form.querySelector("button");
  result.replaceChildren(line("quiet", "Waiting for the provider, for 30 s at most …"));
  const body = { provider };
  if (form.elements.model.value.trim()) body.model = form.elements.model.value.trim();
  button.disabled = true;
  try {
    show(result, await post("/admin/probe", body));
  } catch (error) {
    result.replaceChildren(line("message bad", error.message));
  } finally {
    button.disabled = false;
  }
});

function show(result, report) {
  const parts = [];
  const { status, model_used: model, upstream_status: code, elapsed_ms: elapsed, error_type: type } = report;
  const head = document.createElement("p");
  const badge = document.createElement("span");
  badge.className = `badge ${status === "success" ? "ok" : status === "failed" ? "down" : "warn"}`;
  badge.textContent = status === "success" ? "answered" : code ? `failed with ${code}` : status;
  head.append(badge, ` ${model ?? ""}${elapsed == null ? "" : ` in ${duration(elapsed)}`}${type ? `, ${type}` : ""}`);
  parts.push(head, line(status === "failed" ? "message bad" : "quiet", report.message));
  if (report.suggestions?.length) {
    const list = document.createElement("ul");
    list.className = "plain quiet";
    for (const text of report.suggestions) {
      const item = document.createElement("li");
      item.textContent = text;
      list.append(item);
    }
    parts.push(list);
  }
  result.replaceChildren(...parts);
}

function line(kind, text) {
  const node = document.createElement("p");
  node.className = kind;
  node.textContent = text;
  return node;
}
