// The operators' pages: keys, probes, models, routing, tools, logs and system.

const text = (page, selector) => page.textContent(selector).then((found) => found.trim());

/** Lets a page read and write the clipboard. */
const clipboard = async (page, context) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  return () => page.evaluate(() => navigator.clipboard.readText());
};

export const flows = [
  {
    name: "a key is disabled and enabled",
    async run({ page, notes, base, expected, assert }) {
      await page.goto(`${base}/dashboard/providers`);
      const rows = page.locator(`#keys-${expected.provider} tbody tr`);
      assert((await rows.count()) > 0, "there are keys");
      await rows.first().getByRole("button", { name: "Disable" }).click();
      await rows.first().locator(".badge", { hasText: "disabled" }).waitFor();
      await rows.first().getByRole("button", { name: "Enable" }).click();
      await rows.first().locator(".badge", { hasText: "ready" }).waitFor();
      await rows.first().getByRole("button", { name: "Reset" }).click();
      await page.locator(".toast", { hasText: "is reset" }).waitFor();
      assert(notes.length === 0, notes.join("; "));
    },
  },
  {
    name: "a probe shows what the upstream answers (checklist 35)",
    async run({ page, base, expected, assert }) {
      await page.goto(`${base}/dashboard/providers`);
      const form = page.locator(`form[data-probe="${expected.provider}"]`);
      await form.locator("input").fill("probed-model");
      await form.getByRole("button").click();
      const result = page.locator(`[data-probe-result="${expected.provider}"]`);
      await result.locator(".badge.ok").waitFor();
      assert((await result.textContent()).includes("probed-model"), "the model is named");
    },
  },
  {
    name: "models: exact ids are copied, several in lines (checklist 30)",
    async run({ page, context, notes, base, assert }) {
      const copied = await clipboard(page, context);
      await page.goto(`${base}/dashboard/models?provider=*`);
      const rows = page.locator("#models tbody tr");
      assert((await rows.count()) > 1, `${await rows.count()} models`);
      const ids = await page.$$eval("#models [data-select]", (boxes) => boxes.slice(0, 2).map((box) => box.dataset.select));
      await rows.first().getByRole("button", { name: "Copy id" }).click();
      await page.locator(".toast").first().waitFor();
      assert((await copied()) === ids[0], `copied ${await copied()}`);
      for (const at of [0, 1]) await rows.nth(at).locator("[data-select]").check();
      await page.click("#copy-selected");
      await page.locator(".toast", { hasText: "2 ids" }).waitFor();
      assert((await copied()) === ids.join("\n"), `copied ${JSON.stringify(await copied())}`);
      await page.fill("#filters [name=q]", "no-model-has-this-name");
      await Promise.all([page.waitForURL(/q=no-model/), page.locator("#filters button").click()]);
      await page.locator(".empty", { hasText: "No model matches" }).waitFor();
      assert(notes.length === 0, notes.join("; "));
    },
  },
  {
    name: "models: a refresh reads the list again (checklist 31)",
    async run({ page, base, expected, assert }) {
      await page.goto(`${base}/dashboard/models?provider=${expected.provider}`);
      await page.locator(`.panel-head [data-refresh="${expected.provider}"]`).click();
      await page.locator(".toast.good", { hasText: "read" }).waitFor();
      assert((await text(page, ".panel-head .quiet")).includes("read"), "the age is shown");
    },
  },
  {
    name: "routing explains a name",
    async run({ page, notes, base, expected, assert }) {
      await page.goto(`${base}/dashboard/routing`);
      await page.fill("[name=model]", "<b>claude-sonnet</b>");
      await Promise.all([page.waitForURL(/model=/), page.getByRole("button", { name: "Explain" }).click()]);
      assert((await text(page, "#explained")).includes(expected.provider), await text(page, "#explained"));
      assert((await page.locator("#explained b").count()) === 0, "the name is text");
      await page.fill("[data-filter=aliases]", "no such alias");
      assert((await page.locator("#aliases tbody tr:visible").count()) === 0, "the filter applies");
      assert(notes.length === 0, notes.join("; "));
    },
  },
  {
    name: "the token counter returns what the endpoint returns (checklist 36)",
    async run({ page, notes, base, assert }) {
      await page.goto(`${base}/dashboard/tools`);
      await page.fill("#counter [name=model]", "counted-model");
      await page.fill("#counter [name=message]", "How many tokens are these?");
      const [answer] = await Promise.all([page.waitForResponse("**/v1/messages/count_tokens"), page.click("#counter .button")]);
      const body = await answer.text();
      const { input_tokens: tokens } = JSON.parse(body);
      assert(tokens > 0, `${answer.status()} ${body}`);
      await page.locator("#count .count-value").waitFor();
      assert((await text(page, "#count .count-value")).startsWith(tokens.toLocaleString("en-US")), await text(page, "#count"));
      assert(notes.length === 0, notes.join("; "));
    },
  },
  {
    name: "the playground shows the reply and its events",
    async run({ page, notes, base, assert }) {
      await page.goto(`${base}/dashboard/tools`);
      await page.fill("#playground [name=model]", "played-model");
      for (const stream of [true, false]) {
        await page.setChecked("#playground [name=stream]", stream);
        await page.click("#playground .button");
        await page.locator("#reply", { hasText: "finished in" }).waitFor();
        assert((await text(page, "#reply .reply-text")).startsWith("Hello"), await text(page, "#reply"));
        assert((await text(page, "#events")).includes(stream ? "event: message_stop" : '"content"'), await text(page, "#events"));
      }
      assert(notes.length === 0, notes.join("; "));
    },
  },
  {
    name: "new log records appear, and the filter is in the address (checklist 34)",
    async run({ page, notes, base, assert }) {
      await page.goto(`${base}/dashboard/system`);
      await page.waitForSelector('#live[data-state="live"]');
      const before = +(await page.getAttribute("#logs tbody tr", "data-key").catch(() => "log-0")).slice(4);
      await page.evaluate(() => fetch("/admin/health/reset", { method: "POST", headers: { "content-type": "application/json" }, body: "{}" }));
      await page.waitForFunction((before) => +document.querySelector("#logs tbody tr")?.dataset.key.slice(4) > before, before);
      assert((await text(page, "#logs tbody")).includes("was reset by an operator"), "the new record is shown");
      await page.selectOption("#log-filter [name=level]", "error");
      await Promise.all([page.waitForURL(/level=error/), page.click("#log-filter .button")]);
      const levels = await page.$$eval("#logs tbody .badge", (badges) => badges.map((badge) => badge.textContent));
      assert(levels.every((level) => level === "error"), levels.join(" "));
      assert(notes.length === 0, notes.join("; "));
    },
  },
  {
    name: "the configuration is reloaded, and a restart asks first",
    async run({ page, notes, base, assert }) {
      await page.goto(`${base}/dashboard/system`);
      await page.click("[data-reload]");
      await page.locator(".toast.good", { hasText: "Reloaded" }).waitFor();
      await page.click("[data-restart]");
      await page.locator("#confirm [value=no]").click();
      assert(!(await page.locator("#confirm").isVisible()), "the dialog is closed");
      assert((await page.textContent("#configuration")).includes("admin-key"), "the configuration is shown");
      assert(!(await page.content()).includes("vdm_admin_"), "keys are shown by their ids only");
      assert(notes.length === 0, notes.join("; "));
    },
  },
];
