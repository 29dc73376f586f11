// Usage and cost: the sums of the history, compared with what the upstream has answered.

const text = (page, selector) => page.textContent(selector).then((value) => value.trim());
const cells = (page, table) => page.$$eval(`#${table} tbody tr`, (rows) => Object.fromEntries(rows.map((row) => [row.cells[0].textContent.trim(), [...row.cells].map((cell) => cell.dataset.value === undefined ? null : +cell.dataset.value)])));

export const flows = [
  {
    name: "the sums are those of the upstream",
    async run({ page, base, expected, assert }) {
      await page.goto(`${base}/dashboard/usage?range=24h&by=model`);
      await page.waitForSelector("#groups");
      const models = await cells(page, "groups");
      for (const [model, requests] of Object.entries(expected.models).filter(([model]) => model !== "test-model")) {
        assert(models[model]?.[2] === requests, `${model}: ${models[model]} instead of ${requests} requests`);
      }
      const saved = await fetchJson(page, await page.getAttribute('.heading-tools a:has-text("JSON")', "href"));
      const sum = (name) => saved.rows.reduce((all, row) => all + row[name], 0);
      const column = (at) => Object.values(models).reduce((all, values) => all + values[at], 0);
      assert(sum("requests") === column(2) && sum("output_tokens") === column(4), "the export has the same sums as the table");
      assert(column(4) >= expected.output, `${column(4)} tokens out, of ${expected.output} and later ones`);
    },
  },
  {
    // Checklist 20: unpriced models are labelled, not 0.
    name: "a model without a price is labelled",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/usage?range=24h&by=model`);
      const cost = await page.$eval('#groups tr[data-key="other-model"] td', (cell) => cell.textContent.trim());
      assert(cost === "unpriced", `the cost is ${cost}`);
      assert((await text(page, '#usage-tiles [data-key="cost"]')).includes("unpriced"), "the total says so");
    },
  },
  {
    // Checklist 28: numbers sort as numbers in both directions.
    name: "groups, chart and sorting are in the address",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/usage?range=24h`);
      await page.click('a.chip:has-text("Provider")');
      await page.waitForURL("**by=provider**");
      assert(await page.isVisible('#groups tr[data-key="anthropic"]'), "there is one row a provider");
      await page.click('a.chip:has-text("Tokens")');
      await page.waitForURL("**metric=tokens**");
      await page.waitForSelector(".uplot");
      await page.goto(`${base}/dashboard/usage?range=24h&by=model&metric=requests`);
      await page.click('#groups th[data-column="requests"] button');
      const counts = () => page.$$eval("#groups tbody tr", (rows) => rows.map((row) => +row.cells[2].dataset.value));
      const down = await counts();
      assert(down.every((count, at) => at === 0 || count <= down[at - 1]), `descending: ${down}`);
      await page.reload();
      assert(JSON.stringify(await counts()) === JSON.stringify(down), "the order is in the address");
      await page.click('#groups th[data-column="requests"] button');
      const up = await counts();
      assert(up.every((count, at) => at === 0 || count >= up[at - 1]), `ascending: ${up}`);
    },
  },
  {
    name: "a row leads to its requests",
    async run({ page, base, expected, assert }) {
      await page.goto(`${base}/dashboard/usage?range=24h&by=model`);
      await page.click('#groups tr[data-key="model-three"] a');
      await page.waitForURL("**/dashboard/requests?model=model-three");
      const rows = await page.$$eval("#finished tbody tr", (rows) => rows.length);
      assert(rows === expected.models["model-three"], `${rows} rows`);
    },
  },
  {
    // Checklist 37: every panel has an empty state.
    name: "a time without requests has empty panels",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/usage?range=24h&by=session`);
      assert((await text(page, "#usage-sessions")).includes("No request of this time names its session"), "no session is said so");
    },
  },
];

const fetchJson = (page, address) => page.evaluate((address) => fetch(address).then((response) => response.json()), address);
