// Makes the screenshots of the documentation, as scripts/screenshots starts it: sends requests to the demo provider, and writes each
// page of SHOTS to the directory of the first argument.

import { createRequire } from "node:module";

const { VDM_URL: base, VDM_LINK: link, VDM_MODULES: modules, VDM_CHROMIUM: executablePath } = process.env;
const { chromium } = createRequire(`${modules}/`)("playwright-core");

/** The name of the file, the page, the theme and the width. */
const SHOTS = [
  ["overview", "/dashboard/", "light", 1280],
  ["overview-dark", "/dashboard/", "dark", 1280],
  ["overview-narrow", "/dashboard/", "light", 390],
  ["traffic", "/dashboard/traffic?range=15m&group=requested", "light", 1280],
  ["routing", "/dashboard/routing?model=claude-sonnet-4-5", "light", 1280],
  ["system", "/dashboard/system", "light", 1280],
];

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const first = await browser.newContext();
const page = await first.newPage();
// The link is valid for a minute.
await page.goto(link);
await page.waitForURL("**/dashboard/");
const storageState = await first.storageState();

// Over some minutes, so that there is a course to see.
const ask = (model, stream) => fetch(`${base}/v1/messages`, {
  method: "POST", headers: { "content-type": "application/json" },
  body: JSON.stringify({ model, stream, max_tokens: 64, messages: [{ role: "user", content: "Hello" }] }),
}).then((response) => response.text());
const models = ["claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1", "gpt-4o-mini"];
for (let round = 0; round < 6; round += 1) {
  for (let count = 0; count < 6 + 5 * (round % 3); count += 1) await ask(models[(count + round) % models.length], count % 3 !== 0);
  await ask("no-such-provider:model", false);
  if (round < 5) await new Promise((resolve) => setTimeout(resolve, 25000));
}

for (const [name, path, colorScheme, width] of SHOTS) {
  const context = await browser.newContext({ storageState, colorScheme, viewport: { width, height: 800 } });
  const page = await context.newPage();
  await page.goto(base + path);
  await page.waitForSelector('#live[data-state="live"]');
  await page.waitForTimeout(1200);
  await page.screenshot({ path: `${process.argv[2]}/dashboard-${name}.png`, fullPage: true });
  await context.close();
}
await browser.close();
