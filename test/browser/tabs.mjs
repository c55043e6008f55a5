// Ann has two tabs, and then Redis is away for a while: node tabs.mjs ONE TWO SHOTS.
import { visit } from './people.mjs';

const [one, two, shots] = process.argv.slice(2);
const { ask, enter, say, shot, end } = await visit(shots);

const count = (page, words) => page.locator('#count', { hasText: words }).waitFor({ timeout: 75_000 });
const message = (page, words) => page.locator('#log .message:not(.waiting) p.text', { hasText: words }).waitFor({ timeout: 75_000 });

let error;
try {
  const bob = await enter(two, 'Bob');
  const ann = await enter(one, 'Ann');
  await count(bob, '2 here');
  const tab = await ann.context().newPage();
  await tab.goto(`${one}/room.php`);
  await count(tab, '2 here');
  await tab.locator('#rooms button', { hasText: 'help' }).click();
  await tab.locator('#room', { hasText: 'help' }).waitFor();
  await count(tab, '1 here');
  await say(tab, 'Help!');
  await message(tab, 'Help!');
  if (await ann.locator('#log', { hasText: 'Help!' }).count() > 0) throw new Error('a message of another room');
  await say(ann, 'One tab is elsewhere');
  await message(bob, 'One tab is elsewhere');
  await count(bob, '2 here');
  await bob.locator('#people', { hasText: 'Ann' }).waitFor();
  await ann.locator('#rooms button', { hasText: 'help' }).click();
  await count(bob, '1 here');
  await count(tab, '1 here');
  await ann.locator('#rooms button', { hasText: 'lobby' }).click();
  await message(ann, 'One tab is elsewhere');   // the room's history
  await count(bob, '2 here');
  await tab.close();
  await say(ann, 'Still here');
  await message(bob, 'Still here');
  await count(bob, '2 here');
  console.log('ok two tabs are one person');

  await ask('stop redis');
  const late = await enter(two, 'Late');
  await late.locator('#count', { hasText: 'not known' }).waitFor();
  await say(ann, 'Into the dark');
  await ann.locator('#log .notice.error', { hasText: 'The server could not do that' }).waitFor({ timeout: 45_000 });
  await ann.locator('#log .message.waiting', { hasText: 'Into the dark' }).waitFor();
  await Promise.all([shot(ann, 'dark-ann'), shot(late, 'dark-late')]);
  await ask('start redis');
  await Promise.all([ann, bob, late].map((page) => message(page, 'Into the dark')));   // Late gets it after the gap, with the room's messages
  await Promise.all([ann, bob, late].map((page) => count(page, '3 here')));
  for (const page of [ann, bob, late]) {
    if (await page.locator('#log .message p.text', { hasText: 'Into the dark' }).count() !== 1) throw new Error('a message is double, or missing');
  }
  await shot(ann, 'light-ann');
  console.log('ok Redis was away');

  await ask('cut redis');   // nothing is lost, so no page is told of a gap, after which it would connect again
  const later = await enter(two, 'Later', 'window.setInterval = () => 0');   // no list comes by the minute
  await later.locator('#count', { hasText: 'not known' }).waitFor();
  const list = await later.evaluate(() => getComputedStyle(document.getElementById('people'), '::after').content);
  if (list !== '"Not known now"') throw new Error(`the empty list says ${list}`);
  await ask('mend redis');
  await Promise.all([ann, bob, late, later].map((page) => count(page, '4 here')));
  console.log('ok a page that came while Redis was away');
} catch (e) {
  error = e;
} finally {
  await end(error);
}
