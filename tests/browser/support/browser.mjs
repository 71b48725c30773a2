// A real Chromium, windows in it, and what a person does there.

import assert from 'node:assert/strict';
import AxeBuilder from '@axe-core/playwright';
import { chromium } from 'playwright-core';
import { patient } from './server.mjs';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
/** What Chromium itself logs of a connection or request that fails while the server is down. */
const DOWN = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED|WebSocket connection to .* failed/;
/** What it logs of an answer that the page shows to the user in words. */
const STATUS = /Failed to load resource: the server responded with a status of (401|403|404|409|410|422)/;

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });

/** A window of its own: nothing is shared with other windows. */
export class Window {
  static async open(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1100, height: 760 }, ...options });
    return Window.tab(context, url);
  }

  /** A further tab of the same window. */
  static async tab(context, url) {
    const window = new Window();
    window.url = url;
    window.context = context;
    window.problems = [];
    const page = (window.page = await context.newPage());
    page.setDefaultTimeout(patient(15_000));
    page.on('console', (m) => (m.type() === 'error' || /content.security.policy/i.test(m.text())) && window.problems.push(m.text()));
    page.on('pageerror', (e) => window.problems.push(String(e)));
    page.on('request', (r) => !r.url().startsWith(url) && !r.url().startsWith('data:') && window.problems.push(`foreign request: ${r.url()}`));
    await page.goto(url);
    return window;
  }

  /** Nothing went wrong, but for what `also` allows. */
  clean({ down = false } = {}) {
    const bad = this.problems.filter((p) => !STATUS.test(p) && !(down && DOWN.test(p)));
    assert.deepEqual(bad, []);
  }

  async register(username, fullName) {
    const { page } = this;
    await page.getByRole('button', { name: 'Create an account' }).click();
    await page.getByLabel('Username').fill(username);
    await page.getByLabel('Display name (optional)').fill(fullName);
    await page.getByLabel('Password').fill('correct horse battery');
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('navigation', { name: 'Chats' }).waitFor();
  }

  async login(username) {
    const { page } = this;
    await page.getByLabel('Username or e-mail').fill(username);
    await page.getByLabel('Password').fill('correct horse battery');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('navigation', { name: 'Chats' }).waitFor();
  }

  /** What this browser keeps for later, of all accounts: commands and drafts. */
  kept() {
    return this.page.evaluate(() => new Promise((resolve, reject) => {
      const open = indexedDB.open('parlance');
      open.onerror = reject;
      open.onsuccess = () => {
        const all = ['commands', 'drafts'].map((name) => new Promise((done) => {
          const request = open.result.transaction(name).objectStore(name).getAll();
          request.onsuccess = () => done(request.result);
        }));
        Promise.all(all).then((lists) => { open.result.close(); resolve(lists.flat()); });
      };
    }));
  }

  async createGroup(name, people = []) {
    const { page } = this;
    await page.getByRole('button', { name: 'New chat' }).click();
    await page.getByRole('menuitem', { name: 'New group' }).click();
    await page.getByLabel('Name', { exact: true }).fill(name);
    for (const person of people) {
      await page.getByLabel('Add people (optional)').fill(person);
      await page.getByRole('list', { name: 'People found' }).getByRole('button').first().click();
    }
    await page.getByRole('button', { name: 'Create group' }).click();
    await page.getByRole('main', { name }).waitFor();
  }

  openRoom(name) {
    return this.page.getByRole('navigation', { name: 'Chats' }).getByRole('link', { name }).click();
  }

  async send(text) {
    await this.page.getByRole('textbox', { name: 'Message' }).fill(text);
    await this.page.keyboard.press('Enter');
  }

  message(text) {
    return this.page.locator('.message', { hasText: text });
  }

  see(text) {
    return this.message(text).waitFor();
  }

  /** All messages' words in order, those on their way included. */
  texts() {
    return this.page.locator('.message .words').allTextContents();
  }

  /** Opens a message's menu and takes an item. */
  async more(text, item) {
    await this.message(text).hover();
    await this.message(text).getByRole('button', { name: 'More' }).click();
    await this.page.getByRole('menuitem', { name: item, exact: true }).click();
  }

  /** Lines between the messages: what happened to the room. */
  notes() {
    return this.page.locator('.note').evaluateAll((all) => all.map((note) => [...note.childNodes].filter((n) => n.nodeName !== 'TIME').map((n) => n.textContent).join('').trim()));
  }

  note(text) {
    return this.page.locator('.note', { hasText: text }).waitFor();
  }

  /** Opens the room's details, or a part of them. */
  async details(part) {
    const dialog = this.page.locator('dialog.side[open]');
    if (!(await dialog.count())) await this.page.getByRole('button', { name: 'Details' }).click();
    await dialog.waitFor();
    if (part) await dialog.locator('summary', { hasText: part }).click();
    return dialog;
  }

  async closeDialog() {
    await this.page.keyboard.press('Escape');
    await this.page.locator('dialog[open]').waitFor({ state: 'detached' });
  }

  /** What the menu of a member offers. */
  async offers(name) {
    const dialog = await this.details();
    const button = dialog.getByRole('button', { name: `Actions for ${name}` });
    await dialog.locator('.member', { hasText: name }).waitFor();
    if (!(await button.count())) return [];
    await button.click();
    const items = await this.page.getByRole('menuitem').allTextContents();
    await this.page.keyboard.press('Escape');
    return items;
  }

  /** Does something with a member, and says yes where one is asked. */
  async moderate(name, item, yes) {
    const dialog = await this.details();
    await dialog.getByRole('button', { name: `Actions for ${name}` }).click();
    await this.page.getByRole('menuitem', { name: item, exact: true }).click();
    if (yes) await this.page.locator('dialog:not(.side)').getByRole('button', { name: yes, exact: true }).click();
  }

  /** Waits until a member’s line says so. @param {string} name @param {string|RegExp} text */
  async member(name, text) {
    const dialog = await this.details();
    await dialog.getByRole('list', { name: 'Members' }).locator('.member', { hasText: name }).filter({ hasText: text }).waitFor();
  }

  toast(text) {
    return this.page.locator('.toast', { hasText: text }).first().waitFor();
  }

  async axe(what) {
    await this.page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.finished.catch(() => {}))));
    const result = await new AxeBuilder({ page: this.page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']).analyze();
    const found = result.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join('\n')}`);
    assert.deepEqual(found, [], what);
  }
}
