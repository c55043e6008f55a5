// Starts this machine's Chromium with a new profile of its own.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

/** open returns a browser, and done, which closes it and removes its profile. */
export async function open() {
  const profile = await mkdtemp(join(tmpdir(), 'wsfpm-chromium-'));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: flags,
    env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
  });
  const done = async () => {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  };
  return { browser, done };
}
