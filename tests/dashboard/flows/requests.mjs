// The requests: rows of the stream, filters, details and the cancellation of a request.

import { ask } from "./overview.mjs";

const text = (page, selector) => page.textContent(selector).then((value) => value.trim());
const rows = (page, table) => page.$$eval(`#${table} tbody tr`, (rows) => rows.length);
const live = (page) => page.waitForSelector('#live[data-state="live"]');

/** A request that the upstream does not answer; it ends when it is cancelled. */
const hanging = (base) => fetch(`${base}/v1/messages`, {
  method: "POST", headers: { "content-type": "application/json" },
  body: JSON.stringify({ model: "slow-model", max_tokens: 64, messages: [{ role: "user", content: "wait" }] }),
}).then(async (response) => ({ status: response.status, body: await response.json() }));

/** Waits until the history has a request for this model: it is written a moment after the reply. */
async function recorded(page, base, model) {
  for (let tries = 0; tries < 300; tries += 1) {
    const { requests } = await (await page.request.get(`${base}/api/ui/requests?q=${model}`)).json();
    if (requests.length > 0) return;
    await page.waitForTimeout(100);
  }
}

export const flows = [
  {
    name: "every request of the upstream has a row with its tokens",
    async run({ page, base, expected, assert }) {
      await page.goto(`${base}/dashboard/requests?q=other-model`);
      await live(page);
      assert(await rows(page, "finished") === expected.models["other-model"], `${await rows(page, "finished")} rows`);
      await page.goto(`${base}/dashboard/requests?outcome=failed`);
      assert(await rows(page, "finished") === expected.failed, `${await rows(page, "finished")} failed`);
      assert((await text(page, "#finished .badge")).startsWith("400 "), "the status is shown");
    },
  },
  {
    // Checklist 32: every finished request within 1 s, with no follow-up request of its own.
    name: "a finished request is shown without a request of its own",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/requests`);
      await live(page);
      await page.waitForTimeout(1000);
      const before = await rows(page, "finished");
      let requests = 0;
      page.on("request", () => { requests += 1; });
      for (let count = 0; count < 5; count += 1) await ask(base, { model: "counted-model" });
      await page.waitForFunction((wanted) => document.querySelectorAll("#finished tbody tr").length === wanted, before + 5);
      assert(requests === 0, `${requests} requests for 5 rows`);
      const [first, later] = await page.$$eval("#finished tbody tr", (rows) => [rows[0], rows.at(-1)].map((row) => [...row.cells].map((cell) => cell.className)));
      assert(JSON.stringify(first) === JSON.stringify(later), "a row of the stream is like one of the page");
      await page.reload();
      assert(await rows(page, "finished") >= 5 && (await text(page, "#finished tbody tr:first-child th")).includes("counted-model"), "they stay after a reload");
    },
  },
  {
    // Checklist 28, 29: numbers sort as numbers in both directions; sorting, filters and scrolling survive an update.
    name: "sorting survives an update",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/requests`);
      await live(page);
      await page.click('#finished th[data-column="duration"] button');
      const values = () => page.$$eval("#finished tbody tr", (rows) => rows.map((row) => +row.cells[6].dataset.value));
      const isSorted = (values, sign) => values.every((value, at) => at === 0 || sign * (value - values[at - 1]) >= 0);
      assert(isSorted(await values(), -1), `descending: ${await values()}`);
      const before = await rows(page, "finished");
      await ask(base, { model: "sorted-model" });
      await page.waitForFunction((wanted) => document.querySelectorAll("#finished tbody tr").length === wanted, before + 1);
      assert(isSorted(await values(), -1), `after an update: ${await values()}`);
      await page.click('#finished th[data-column="duration"] button');
      assert(isSorted(await values(), 1), `ascending: ${await values()}`);
    },
  },
  {
    name: "a pause keeps the rows, and what came meanwhile follows",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/requests?q=paused-model`);
      await live(page);
      await page.click("#pause");
      await ask(base, { model: "paused-model" });
      await page.waitForFunction(() => document.getElementById("pause").textContent.includes("1 new"));
      assert(await rows(page, "finished") === 0, "the rows stay");
      await page.click("#pause");
      await page.waitForFunction(() => document.querySelectorAll("#finished tbody tr").length === 1);
    },
  },
  {
    // Checklist 33: details show each upstream try with key hash, status and duration. 30: "copy id" copies the exact id.
    name: "details of a request",
    async run({ page, context, base, assert }) {
      await context.grantPermissions(["clipboard-read", "clipboard-write"]);
      await ask(base, { model: "detailed-model" });
      await recorded(page, base, "detailed-model");
      await page.goto(`${base}/dashboard/requests?q=detailed-model`);
      await live(page);
      await page.click("#finished tbody tr a[data-open]");
      await page.waitForSelector("#side .details");
      const call = await page.$$eval("#side .details table tbody tr:first-child > *", (cells) => cells.map((cell) => cell.textContent.trim()));
      assert(call[0] === "anthropic:detailed-model" && /^[0-9a-f]{8}$/.test(call[1]) && call[2] === "200" && / m?s$/.test(call[5]), call.join(" | "));
      const id = await text(page, "#side code");
      assert(new URL(page.url()).searchParams.get("id") === id, "the request is in the address");
      await page.click("#side [data-copy]");
      assert(await page.evaluate(() => navigator.clipboard.readText()) === id, "the id is on the clipboard");
      await page.reload();
      await page.waitForSelector("#side .details");
      await page.keyboard.press("Escape");
      assert(!new URL(page.url()).searchParams.has("id") && await page.isHidden("#side"), "Escape closes the details");
      await page.goto(`${base}/dashboard/requests?id=req_unknown`);
      await page.waitForSelector("#side [data-missing]");
    },
  },
  {
    // Checklist 37: an error state with a retry.
    name: "details that cannot be read can be tried again",
    async run({ page, base, assert }) {
      await ask(base, { model: "retried-model" });
      await page.goto(`${base}/dashboard/requests?q=retried-model`);
      await live(page);
      await page.route("**/dashboard/requests?**", (route) => route.abort());
      await page.click("#finished tbody tr a[data-open]");
      await page.waitForSelector("#side .error button");
      await page.unroute("**/dashboard/requests?**");
      await page.click("#side .error button");
      await page.waitForSelector("#side .details");
      assert(await page.isVisible("#side .details"), "the details are shown");
    },
  },
  {
    name: "a request in flight is shown with its age, and can be cancelled",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/requests`);
      await live(page);
      const reply = hanging(base);
      await page.waitForSelector("#running tbody tr");
      const age = () => page.$eval("#running time[data-since]", (time) => time.textContent);
      const before = await age();
      await page.waitForFunction((before) => document.querySelector("#running time[data-since]").textContent !== before, before);
      await page.click("#running tbody tr a[data-open]");
      await page.click("#side [data-cancel]");
      await page.click("#confirm [value=yes]");
      const { status, body } = await reply;
      assert(status === 499 && body.error.message.includes("cancelled by an operator"), `${status} ${JSON.stringify(body)}`);
      await page.waitForSelector("#running tbody tr", { state: "detached" });
      await page.waitForFunction(() => document.querySelector("#side .badge")?.textContent.includes("cancelled by operator"));
    },
  },
];
