// Two people on two nodes use the chat: node chat.mjs URL_ONE URL_TWO SHOTS.
// The test that started this program does things outside the browser when asked
// by a line "do WORD", and answers with a line on standard input.
import { visit } from './people.mjs';

const [one, two, shots] = process.argv.slice(2);
const { ask, enter, say, shot, end } = await visit(shots);

const text = (page, words) => page.locator('#log .message p.text', { hasText: words }).first().waitFor();
const here = (page, name) => page.locator('#people', { hasText: name }).waitFor();

let error;
try {
  const ann = await enter(one, 'Ann');
  const bob = await enter(two, 'Bob');
  await Promise.all([here(ann, 'Bob'), here(bob, 'Ann')]);
  console.log('ok both are here');

  await say(ann, 'Hello from node one');
  await Promise.all([text(ann, 'Hello from node one'), text(bob, 'Hello from node one')]);
  await say(bob, 'Grüße from node two');
  await Promise.all([text(ann, 'Grüße from node two'), text(bob, 'Grüße from node two')]);
  await Promise.all([shot(ann, 'chat-ann'), shot(bob, 'chat-bob')]);
  console.log('ok they chat');

  await ask('push');
  await bob.locator('#log .notice.push', { hasText: 'Only for Bob' }).waitFor();
  await say(ann, 'After the push');
  await text(ann, 'After the push');
  if (await ann.locator('#log', { hasText: 'Only for Bob' }).count() > 0) throw new Error('Ann got the push for Bob');
  await shot(bob, 'push-bob');
  console.log('ok a push reaches one person only');

  // Bob's node ends: his page must come back by itself and miss nothing.
  const away = bob.waitForSelector('#state:not([data-state=open])', { state: 'attached' });
  await ask('stop');
  await away;
  await shot(bob, 'away-bob');
  await say(ann, 'While Bob was away');
  await ask('start');
  await bob.waitForSelector('#state[data-state=open]', { timeout: 45_000 });
  await Promise.all([text(bob, 'While Bob was away'), here(ann, 'Bob')]);
  await say(bob, 'Back again');
  await text(ann, 'Back again');
  await Promise.all([shot(ann, 'back-ann'), shot(bob, 'back-bob')]);
  console.log('ok he comes back by himself');

  // While his node is away, Bob writes, and then logs in as Carol in another tab: Carol says nothing of his.
  const gone = bob.waitForSelector('#state:not([data-state=open])', { state: 'attached' });
  await ask('stop');
  await gone;
  await say(bob, 'Of Bob alone');
  const second = await bob.context().newPage();
  await second.goto(`${one}/room.php`);
  await second.click('button[name=logout]');
  await second.waitForURL('**/index.php');
  await second.fill('#name', 'Carol');
  await second.click('button.primary');
  await second.waitForSelector('#state[data-state=open]');
  await ask('start');
  await bob.locator('#state[data-state=stopped]').waitFor({ state: 'attached', timeout: 45_000 });
  await bob.locator('#banner-text', { hasText: 'you have logged in as someone else' }).waitFor();
  await say(second, 'Of Carol');
  await text(ann, 'Of Carol');
  if (await ann.locator('#log', { hasText: 'Of Bob alone' }).count() > 0) throw new Error('Carol said what Bob had written');
  console.log('ok a page of another person ends');

  // Ann logs out in another tab: with her next message the chat ends, for good.
  const tab = await ann.context().newPage();
  await tab.goto(`${one}/room.php`);
  await tab.click('button[name=logout]');
  await tab.waitForURL('**/index.php');
  await tab.close();
  await say(ann, 'Am I still here?');
  await ann.waitForSelector('#state[data-state=stopped]');
  await ann.locator('#banner-text', { hasText: 'you have logged out' }).waitFor();
  await ann.evaluate(() => { window.dispatchEvent(new Event('online')); document.dispatchEvent(new Event('visibilitychange')); });
  await ann.waitForSelector('#state[data-state=stopped]');
  console.log('ok who has logged out stays away');
} catch (e) {
  error = e;
} finally {
  await end(error);
}
