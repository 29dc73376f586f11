// Drives the dashboard of a running gateway with headless Chromium: one start of the browser for everything.
//
// tests/gateway/dashboard/browser.rs starts the gateway and its upstream, and sets the environment:
//   VDM_URL      where the gateway is
//   VDM_ADMIN    its admin key
//   VDM_MODULES  the directory with playwright-core and axe-core, where scripts/check installs them
//   VDM_CHROMIUM the browser
//   VDM_EXPECTED what the upstream was asked and has answered, as JSON
//
// Every page of the navigation is checked in both themes at 360 and 1440 px: no message on the console, no request to another host,
// no scrolling sideways, no finding of axe-core, a language, one h1 and one main. Then the files in flows/ run, each of which exports
// `flows`, a list of {name, run}. Each result is one line: "ok NAME" or "FAILED NAME: why". The exit code is 1 if one failed.

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";

const { VDM_URL: base, VDM_ADMIN: admin, VDM_MODULES: modules, VDM_CHROMIUM: executablePath } = process.env;
const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const expected = JSON.parse(process.env.VDM_EXPECTED ?? "{}");
const own = new URL(base).host;
const patience = 60000;

let failed = 0;
async function check(name, run) {
  try { await run(); console.log(`ok ${name}`); } catch (error) { failed += 1; console.log(`FAILED ${name}: ${String(error.message ?? error).split("\n").slice(0, 6).join(" | ")}`); }
}
export function assert(condition, message) { if (!condition) throw new Error(message); }

// No name is resolved, so that a request to another host fails as well as being counted.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"] });

/** A page that notes what must not happen. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const notes = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) notes.push(`console: ${message.text()}`); });
  page.on("pageerror", (error) => notes.push(`error: ${error.message}`));
  page.on("request", (request) => { const url = new URL(request.url()); if (!["data:", "blob:"].includes(url.protocol) && url.host !== own) notes.push(`request to ${url.host}`); });
  return { context, page, notes };
}

async function login(page, key = admin) {
  await page.goto(`${base}/dashboard/`);
  await page.fill("#key", key);
  await Promise.all([page.waitForURL("**/dashboard/"), page.click("button.primary")]);
}

const { context: first, page } = await open();
let pages = [];
await check("login", async () => {
  await page.goto(`${base}/dashboard/traffic?range=6h`);
  assert(page.url().includes("/dashboard/login"), `without a session the page is ${page.url()}`);
  await page.fill("#key", "not-the-key");
  const [answer] = await Promise.all([page.waitForResponse((response) => response.request().method() === "POST"), page.click("button.primary")]);
  assert(answer.status() === 401, `a wrong key gets ${answer.status()}`);
  await page.waitForSelector("[role=alert]");
  await page.fill("#key", admin);
  await Promise.all([page.waitForURL("**/dashboard/traffic?range=6h"), page.click("button.primary")]);
  pages = await page.$$eval(".top nav a", (links) => links.map((link) => link.getAttribute("href")));
  assert(pages.length > 1, "there are pages");
});
const storageState = await first.storageState();
await first.close();

for (const colorScheme of ["light", "dark"]) {
  for (const width of [360, 1440]) {
    const { context, page, notes } = await open({ storageState, colorScheme, viewport: { width, height: 900 } });
    for (const path of [...pages, "/dashboard/login", "/dashboard/nothing"]) {
      await check(`${path} ${colorScheme} ${width} px`, async () => {
        notes.length = 0;
        const response = await page.goto(base + path);
        assert(response.status() === (path.endsWith("/nothing") ? 404 : 200), `status ${response.status()}`);
        if (!path.endsWith("/login")) await page.waitForSelector('#live[data-state="live"]');
        const found = await page.evaluate(() => ({
          wide: document.documentElement.scrollWidth - innerWidth, lang: document.documentElement.lang,
          h1: document.querySelectorAll("h1").length, main: document.querySelectorAll("main").length,
          unscoped: document.querySelectorAll("th:not([scope])").length, back: getComputedStyle(document.body).backgroundColor,
        }));
        assert(found.wide <= 0, `the page is ${found.wide} px too wide`);
        assert(found.lang === "en" && found.h1 === 1 && found.main === 1, `lang ${found.lang}, ${found.h1} h1, ${found.main} main`);
        assert(found.unscoped === 0, `${found.unscoped} heads of tables without a scope`);
        const light = found.back.match(/\d+/g).slice(0, 3).every((part) => part > 200);
        assert(light === (colorScheme === "light"), `the background is ${found.back}`);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
        assert(violations.length === 0, violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html.slice(0, 120)} ${any.map(({ message }) => message).join("; ").slice(0, 120)}`).slice(0, 3).join(" / ")}`).join(" || "));
        // The browser itself notes the status of a page that does not exist.
        const others = notes.filter((note) => !(path.endsWith("/nothing") && note.includes("404")));
        assert(others.length === 0, others.join("; "));
      });
    }
    await context.close();
  }
}

const here = new URL("flows/", import.meta.url);
for (const file of readdirSync(here).filter((name) => name.endsWith(".mjs")).sort()) {
  const { flows } = await import(new URL(file, here));
  for (const { name, run } of flows) {
    const opened = await open({ storageState });
    await check(`${file.replace(".mjs", "")}: ${name}`, () => run({ ...opened, base, admin, expected, open, login, assert, browser, storageState }));
    await opened.context.close();
  }
}
await browser.close();
process.exit(failed === 0 ? 0 : 1);
