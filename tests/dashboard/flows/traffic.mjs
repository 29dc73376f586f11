// The traffic page: its numbers, sorting and filtering, and that both survive an update.

import { ask } from "./overview.mjs";

const column = (page, at) => page.$$eval(`#groups tbody tr:not([hidden]) > :nth-child(${at})`, (cells) => cells.map((cell) => cell.dataset.value ?? cell.textContent.trim()));

export const flows = [
  {
    name: "its numbers are those of the upstream",
    async run({ page, base, expected, assert }) {
      const before = await (await page.request.get(`${base}/api/ui/snapshot?view=traffic&range=1h&group=requested`)).json();
      await page.goto(`${base}/dashboard/traffic?range=1h&group=requested`);
      const rows = await page.$$eval("#groups tbody tr", (rows) => rows.map((row) => [row.cells[0].textContent, +row.cells[1].dataset.value]));
      const named = Object.fromEntries(rows);
      for (const [model, requests] of Object.entries(expected.models)) assert(named[model] >= requests, `${named[model]} requests for ${model}, not ${requests}`);
      assert(before.rows.length === rows.length, "the snapshot has the same rows");
      const all = rows.reduce((sum, [, requests]) => sum + requests, 0);
      assert(before.requests <= all, "the rows add up to all requests");
    },
  },
  {
    // Checklist 28: columns of numbers sort by number, in both directions. Checklist 29: sort, filter, open sections and scroll survive an update.
    name: "sort, filter, open sections and scroll survive an update",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/traffic?group=requested`);
      await page.waitForSelector('#live[data-state="live"]');
      const sorted = (values, sign) => values.every((value, at) => at === 0 || sign * (+values[at - 1] - +value) <= 0);
      await page.click('th[data-column="requests"] button');
      assert(sorted(await column(page, 2), -1), `descending: ${await column(page, 2)}`);
      await page.click('th[data-column="requests"] button');
      assert(sorted(await column(page, 2), 1), `ascending: ${await column(page, 2)}`);
      await page.click('th[data-column="name"] button');
      await page.click('th[data-column="name"] button');
      const names = await column(page, 1);
      assert(names.length > 2 && names.every((name, at) => at === 0 || names[at - 1].localeCompare(name) >= 0), `by name: ${names}`);
      await page.fill('input[data-filter="groups"]', "model");
      await page.click("#charts details summary");
      await page.evaluate(() => scrollTo(0, 300));
      const shown = await column(page, 1);
      const requests = await page.textContent('#groups tr[data-key="test-model"] td');
      await ask(base);
      await page.waitForFunction((requests) => document.querySelector('#groups tr[data-key="test-model"] td').textContent !== requests, requests);
      assert(JSON.stringify(await column(page, 1)) === JSON.stringify(shown), `order and filter stay: ${await column(page, 1)}`);
      assert(await page.getAttribute('th[data-column="name"]', "aria-sort") === "descending", "the head shows the order");
      assert(await page.isVisible("#charts details[open] table"), "the open section stays open");
      assert(await page.evaluate(() => scrollY) === 300, "the place stays");
      await page.reload();
      await page.waitForSelector('th[aria-sort="descending"]');
      assert(await page.inputValue('input[data-filter="groups"]') === "model", "the address keeps the filter");
    },
  },
  {
    name: "the table can be saved as CSV",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/traffic?group=requested`);
      const [download] = await Promise.all([page.waitForEvent("download"), page.click('[data-csv="groups"]')]);
      const stream = await download.createReadStream();
      let text = "";
      for await (const chunk of stream) text += chunk;
      assert(text.startsWith("Requested model,Requests,") && text.includes("\r\ntest-model,"), text.slice(0, 200));
      assert(text.includes("\r\n\"'=cmd\","), "a formula is made text");
      const script = await page.$eval('script[type="module"][src*="app"]', (node) => node.src);
      // The same as in src/usage_report/csv.rs.
      const rule = [
        ["a", "a"], ["-12", "-12"], ["0.5", "0.5"], ["", ""], ["+1e3", "+1e3"], ["a,b", '"a,b"'], ['say "hi"', '"say ""hi"""'], ["x\ny", '"x\ny"'],
        ["=1+1", `"'=1+1"`], ["@SUM(A1)", `"'@SUM(A1)"`], ["+x", `"'+x"`], ["-", `"'-"`], ["\t=1", `"'\t=1"`], ["\r=1", `"'\r=1"`], ["\n=1", `"'\n=1"`],
      ];
      for (const [written, expected] of rule) {
        const found = await page.evaluate(async ([address, cell]) => (await import(address)).csvCell(cell), [script, written]);
        assert(found === expected, `${JSON.stringify(written)} is saved as ${JSON.stringify(found)}`);
      }
    },
  },
  {
    name: "a time can be chosen in a chart",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/traffic?range=1h`);
      const over = await (await page.waitForSelector(".u-over")).boundingBox();
      await page.mouse.move(over.x + over.width * 0.5, over.y + 40);
      await page.mouse.down();
      await page.mouse.move(over.x + over.width * 0.9, over.y + 40, { steps: 4 });
      await Promise.all([page.waitForURL("**from=*"), page.mouse.up()]);
      assert((await page.textContent("#summary")).includes("requests from"), "the page shows the chosen time");
    },
  },
];
