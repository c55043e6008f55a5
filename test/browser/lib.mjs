// Starts this machine's Chromium with a new profile of its own.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

/** Where a browser and its profile are. */
async function place() {
  const profile = await mkdtemp(join(tmpdir(), 'wsfpm-chromium-'));
  return {
    profile,
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
  };
}

const remove = (profile) => rm(profile, { recursive: true, force: true });

/** open returns a browser, and done, which closes it and removes its profile. */
export async function open() {
  const { profile, executablePath, env } = await place();
  const browser = await chromium.launch({ executablePath, env, args: flags });
  const done = async () => {
    await browser.close();
    await remove(profile);
  };
  return { browser, done };
}

/** openProfile is open with further flags for a person's own profile, in which sites may set cookies that other sites' pages send. */
export async function openProfile(more) {
  const { profile, executablePath, env } = await place();
  await mkdir(join(profile, 'own', 'Default'), { recursive: true });
  await writeFile(join(profile, 'own', 'Default', 'Preferences'), JSON.stringify({ profile: { cookie_controls_mode: 0, block_third_party_cookies: false } }));
  const context = await chromium.launchPersistentContext(join(profile, 'own'), { executablePath, env, args: [...flags, ...more], ignoreHTTPSErrors: true });
  const done = async () => {
    await context.close();
    await remove(profile);
  };
  return { context, done };
}
