/** The page in a real browser. */
import { spawnSync } from 'node:child_process';
import { type Browser, chromium } from 'playwright-core';
import { startApp, type RunningApp } from '../support/app';
import { type Document, operationsOf } from './checked-fetch';

const PROGRAM = 'chromium';

/** Reported as skipped where there is no chromium, but CI must have it. */
const hasChromium = process.env.CI === 'true' || spawnSync(PROGRAM, ['--version']).status === 0;

let shop: RunningApp;
let browser: Browser | undefined;
beforeAll(async () => {
  shop = await startApp();
});
afterAll(async () => {
  await browser?.close();
  await shop.close();
});

(hasChromium ? it : it.skip)(
  'GET /docs shows every operation, asks nobody but this server, and takes a payment',
  async () => {
    const executablePath = spawnSync('which', [PROGRAM], { encoding: 'utf8' }).stdout.trim();
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'], timeout: 120_000 });
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    const elsewhere: string[] = [];
    const errors: string[] = [];
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(shop.url) && !url.startsWith('data:')) elsewhere.push(url);
    });
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`${shop.url}/docs`);
    await page.locator('.opblock').first().waitFor();
    const document = (await (await fetch(`${shop.url}/openapi.json`)).json()) as Document;
    expect(await page.locator('.opblock').count()).toBe(operationsOf(document).size);

    await page.locator('button.authorize').click();
    await page.locator('.auth-container input').first().fill(shop.apiKey);
    await page.locator('.auth-btn-wrapper button.authorize').first().click();
    await page.locator('.btn-done').first().click();
    const create = page.locator('.opblock', { hasText: 'Create a payment intent' });
    await create.locator('.opblock-summary-control').click();
    await create.locator('.try-out__btn').click();
    await create.locator('tr[data-param-name="Idempotency-Key"] input').fill('order-1');
    await create.locator('button.execute').click();
    const status = create.locator('.live-responses-table tbody .response-col_status');
    await status.first().waitFor();
    expect(await status.first().innerText()).toMatch(/^200/);
    const { data } = await shop.stripe().paymentIntents.list();
    expect(data).toMatchObject([{ amount: 2000, status: 'succeeded' }]);
    expect({ elsewhere, errors }).toEqual({ elsewhere: [], errors: [] });
  },
  300_000,
);
