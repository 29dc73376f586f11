// The overview: its weight, its numbers, its updates, and what it does while it is hidden or the gateway is gone.

const text = (page, selector) => page.textContent(selector).then((value) => value.trim());

/** One request of a client, as the gateway's clients send it. */
export const ask = (base, body = {}) => fetch(`${base}/v1/messages`, {
  method: "POST", headers: { "content-type": "application/json" },
  body: JSON.stringify({ model: "test-model", max_tokens: 64, messages: [{ role: "user", content: "hi" }], ...body }),
}).then((response) => response.text());

export const flows = [
  {
    // Checklist 4: at most 8 requests and 150 kB for the first view, compressed.
    name: "weight",
    async run({ page, context, base, assert }) {
      const session = await context.newCDPSession(page);
      await session.send("Network.enable");
      await session.send("Network.setCacheDisabled", { cacheDisabled: true });
      let bytes = 0, requests = 0;
      session.on("Network.requestWillBeSent", () => { requests += 1; });
      session.on("Network.loadingFinished", ({ encodedDataLength }) => { bytes += encodedDataLength; });
      await page.goto(`${base}/dashboard/`, { waitUntil: "load" });
      await page.waitForSelector('#live[data-state="live"]');
      await page.waitForSelector(".uplot");
      console.log(`# overview: ${requests} requests, ${bytes} bytes`);
      assert(requests > 3 && requests <= 8, `${requests} requests`);
      assert(bytes > 10000 && bytes <= 150000, `${bytes} bytes`);
    },
  },
  {
    name: "its numbers are those of the upstream",
    async run({ page, base, expected, assert }) {
      await page.goto(`${base}/dashboard/`);
      const tile = async (name) => text(page, `[data-live="${name}"]`);
      const perMinute = (expected.requests / 5).toFixed(1);
      assert(await tile("requests_per_minute") === perMinute, `${await tile("requests_per_minute")} requests a minute, not ${perMinute}`);
      assert(await tile("input") === expected.input.toLocaleString("en-US"), `${await tile("input")} tokens in, not ${expected.input}`);
      assert(await tile("output") === expected.output.toLocaleString("en-US"), `${await tile("output")} tokens out, not ${expected.output}`);
      const failed = `${((expected.failed / expected.requests) * 100).toFixed(1)} %`;
      assert(await tile("error_share") === failed, `${await tile("error_share")} failed, not ${failed}`);
      const card = await text(page, `.provider[data-key="${expected.provider}"]`);
      assert(card.includes(`${expected.requests}`), `the provider's card says ${card}`);
    },
  },
  {
    name: "a request shows up without a reload",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/`);
      await page.waitForSelector('#live[data-state="live"]');
      await page.evaluate(() => { window.same = true; });
      const before = await text(page, '[data-live="requests_per_minute"]');
      await ask(base);
      await page.waitForFunction((before) => document.querySelector('[data-live="requests_per_minute"]').textContent.trim() !== before, before);
      assert(await page.evaluate(() => window.same === true), "the page was loaded again");
    },
  },
  {
    // Checklist 11: the theme follows the system, can be switched, and survives a reload.
    name: "theme",
    async run({ page, base, assert }) {
      await page.emulateMedia({ colorScheme: "light" });
      await page.goto(`${base}/dashboard/`);
      const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const light = await back();
      await page.emulateMedia({ colorScheme: "dark" });
      const dark = await back();
      assert(light !== dark, "the theme follows the system");
      await page.selectOption("#theme", "light");
      assert(await back() === light, "the theme can be chosen");
      await page.reload();
      await page.waitForSelector('#live[data-state="live"]');
      assert(await back() === light && await page.inputValue("#theme") === "light", "the choice survives a reload");
    },
  },
  {
    // Checklist 38: a hidden tab causes no traffic, and an idle one no requests beside the stream.
    name: "a hidden page is silent, and an idle one nearly so",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/`);
      await page.waitForSelector('#live[data-state="live"]');
      await page.waitForTimeout(6000);
      let requests = 0;
      page.on("request", () => { requests += 1; });
      await page.waitForTimeout(4000);
      assert(requests === 0, `${requests} requests of an idle page in 4 s`);
      const hide = (hidden) => page.evaluate((hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
      await hide(true);
      await page.waitForSelector('#live[data-state="paused"]');
      await ask(base);
      await page.waitForTimeout(2000);
      assert(requests === 0, `${requests} requests of a hidden page`);
      await hide(false);
      await page.waitForSelector('#live[data-state="live"]');
      assert(requests > 0, "it connects again when it is shown");
    },
  },
  {
    // Checklist 37: an error has a retry, and no panel waits for ever.
    name: "without the gateway the page says so, and recovers",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/`);
      await page.waitForSelector('#live[data-state="live"]');
      await page.route("**/dashboard/**", (route) => route.abort());
      await page.evaluate(() => { document.dispatchEvent(new Event("visibilitychange")); });
      await page.waitForSelector("#stale button");
      assert((await text(page, "#stale")).includes("does not answer"), "it says why");
      await page.unroute("**/dashboard/**");
      await page.click("#stale button");
      await page.waitForSelector("#stale", { state: "detached" });
    },
  },
  {
    name: "the panel at the side, the dialog and messages can be used with the keyboard",
    async run({ page, base, assert }) {
      await page.goto(`${base}/dashboard/`);
      const script = await page.getAttribute('script[src*="/app."]', "src");
      await page.evaluate(async (script) => {
        const { openPanel, toast, confirmAction } = await import(script);
        openPanel("Details", document.createElement("p"));
        toast("Done");
        window.confirmAction = confirmAction;
      }, script);
      assert(await page.isVisible("#side") && await text(page, "#toasts") === "Done", "both are shown");
      await page.keyboard.press("Escape");
      assert(!await page.isVisible("#side"), "Escape closes the panel");
      const answer = page.evaluate(() => window.confirmAction("Sure?", "It restarts.", "Restart"));
      await page.waitForSelector("#confirm[open]");
      await page.keyboard.press("Escape");
      assert(await answer === false, "Escape declines");
    },
  },
];
