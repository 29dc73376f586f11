// What the operators' pages share: buttons that act, and texts to copy.

import { toast, update } from "./app.js";

/** Runs an action of a button, which is disabled meanwhile; then brings the page up to date. */
export async function run(button, action, done) {
  button.disabled = true;
  try {
    const answer = await action();
    if (done) toast(typeof done === "function" ? done(answer) : done, "good");
    return answer;
  } catch (error) {
    toast(error.message, "bad");
    return null;
  } finally {
    button.disabled = false;
    await update();
  }
}

/** Calls `handler` with the element for clicks on what matches the selector. */
export function onClick(selector, handler) {
  document.addEventListener("click", (event) => {
    const found = event.target.closest(selector);
    if (found) handler(found, event);
  });
}

export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
    toast(what);
  } catch {
    toast("The browser does not allow copying", "bad");
  }
}

onClick("[data-copy-from]", (button) => copy(document.getElementById(button.dataset.copyFrom).textContent));
