// Models: filters that apply at once, further slices, selection, copying, and the refresh of a list.

import { post, toast } from "./app.js";
import { copy, onClick } from "./operate.js";

const form = document.getElementById("filters");
// Fields without a value are left out of the address.
form?.addEventListener("submit", () => {
  for (const field of form.elements) if (field.name && field.value === "") field.disabled = true;
});
addEventListener("pageshow", () => { for (const field of form?.elements ?? []) field.disabled = false; });
form?.addEventListener("change", (event) => {
  // The search waits for Enter or the button: a click there would submit twice.
  if (event.target.type === "search") return;
  if (event.target.name === "provider") for (const name of ["vendor", "modality"]) if (form.elements[name]) form.elements[name].value = "";
  form.requestSubmit();
});

const selected = new Set();
const button = document.getElementById("copy-selected");
document.addEventListener("change", (event) => {
  const box = event.target.closest("[data-select]");
  if (!box) return;
  if (box.checked) selected.add(box.dataset.select); else selected.delete(box.dataset.select);
  button.disabled = selected.size === 0;
  button.textContent = selected.size ? `Copy ${selected.size} selected ${selected.size === 1 ? "id" : "ids"}` : "Copy selected ids";
});
button?.addEventListener("click", () => copy([...selected].join("\n"), `${selected.size} ids copied`));

onClick("[data-snippet]", ({ dataset }) =>
  copy(`ANTHROPIC_BASE_URL=${location.origin} ANTHROPIC_AUTH_TOKEN="\${ANTHROPIC_AUTH_TOKEN:-unused}" claude --model ${shellWord(dataset.snippet)}`, "The command is copied"));
const shellWord = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

// The next slice comes in the same page's form, and is appended.
onClick("#more", async (link, event) => {
  event.preventDefault();
  if (link.getAttribute("aria-busy")) return;
  link.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(link.href);
    if (!response.ok) throw new Error(`the gateway answered with status ${response.status}`);
    const next = new DOMParser().parseFromString(await response.text(), "text/html");
    document.querySelector("#models tbody").append(...next.querySelectorAll("#models tbody tr"));
    const more = next.getElementById("more");
    if (more) link.parentElement.replaceWith(document.adoptNode(more.parentElement)); else link.parentElement.remove();
  } catch (error) {
    link.removeAttribute("aria-busy");
    toast(error.message, "bad");
  }
});

onClick("[data-refresh]", async (refresh) => {
  refresh.disabled = true;
  try {
    const { models, stale } = await post("/admin/models/refresh", { provider: refresh.dataset.refresh });
    if (stale) throw new Error(`${refresh.dataset.refresh} does not answer; its last list stays`);
    sessionStorage.setItem("vdm-refreshed", `${models} models of ${refresh.dataset.refresh} read`);
    location.reload();
  } catch (error) {
    toast(error.message, "bad");
    refresh.disabled = false;
  }
});
const refreshed = sessionStorage.getItem("vdm-refreshed");
if (refreshed) {
  sessionStorage.removeItem("vdm-refreshed");
  toast(refreshed, "good");
  document.getElementById("lists")?.setAttribute("open", "");
}
