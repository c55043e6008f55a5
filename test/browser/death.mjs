// Ann on node one, Bob on node two and Chen on node two type when it is killed: node death.mjs ONE BOTH TWO SHOTS. Bob's
// page comes back over BOTH, Chen's cannot. No message is missing or double on the pages of Ann and Bob, and in the end
// both show who is here.
import { visit } from './people.mjs';

const [one, both, two, shots] = process.argv.slice(2);
const { ask, enter, say, shot, end } = await visit(shots);
const EACH = 12;

const people = (page) => page.locator('#people .label').allTextContents();
const texts = (page) => page.locator('#log .message p.text').allTextContents();
const unconfirmed = (page) => page.locator('#log .message:is(.waiting, .failed)').count();

/** Waits until wrong() returns nothing. */
async function right(seconds, wrong) {
  let problem = await wrong();
  for (const last = Date.now() + seconds * 1000; problem && Date.now() < last; problem = await wrong()) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  if (problem) throw new Error(problem);
}

const here = (page, ...names) => right(75, async () => {
  const [list, count] = [await people(page), await page.locator('#count').textContent()];
  return list.join() === names.join() && count === `${names.length} here` ? '' : `here are ${list} (${count}), want ${names}`;
});

let error;
try {
  const ann = await enter(one, 'Ann');
  const bob = await enter(both, 'Bob');
  const chen = await enter(two, 'Chen');
  await Promise.all([ann, bob, chen].map((page) => here(page, 'Ann', 'Bob', 'Chen')));

  const sent = [];
  const type = async (page, name, before) => {
    for (let n = 1; n <= EACH; n++) {
      await before?.(n);
      const words = `${name} says ${n}`;
      sent.push(words);
      await say(page, words);
      await page.waitForTimeout(700);   // people write faster than the chat takes it: the page keeps the rest
    }
  };
  let killed = 0;
  await Promise.all([
    type(ann, 'Ann'),
    type(bob, 'Bob', async (n) => {
      if (n !== 6) return;
      const another = bob.waitForEvent('websocket');   // he may be back so soon that no state shows it
      await say(bob, 'Bob says goodbye');
      sent.push('Bob says goodbye');
      await ask('kill with a message in flight');
      killed = Date.now();
      await another;
    }),
    say(chen, 'Chen says 1').then(() => sent.push('Chen says 1')),
  ]);
  await shot(bob, 'death-bob-types');
  await bob.waitForSelector('#state[data-state=open]', { timeout: 45_000 });

  await right(45, async () => {
    const [a, b] = [await texts(ann), await texts(bob)];
    for (const [name, list] of [['Ann', a], ['Bob', b]]) {
      const missing = sent.filter((words) => !list.includes(words));
      if (missing.length > 0) return `${name} misses ${missing.length} of ${sent.length}, such as "${missing[0]}"`;
      if (list.length !== sent.length) return `${name} sees ${list.length} messages, want ${sent.length}`;
      for (const who of ['Ann', 'Bob']) {
        const own = (from) => from.filter((words) => words.startsWith(who)).join();
        if (own(list) !== own(sent)) return `${name} sees those of ${who} as ${own(list)}`;
      }
    }
    if (await unconfirmed(ann) + await unconfirmed(bob) > 0) return 'a message still waits, or has failed';
    return a.join() === b.join() ? '' : `the pages differ: ${a} and ${b}`;
  });
  console.log(`ok ${sent.length} messages on both pages, once and in order`);

  await Promise.all([here(ann, 'Ann', 'Bob'), here(bob, 'Ann', 'Bob')]);
  console.log(`ok who is here is right ${Math.round((Date.now() - killed) / 1000)} s after the death`);
  await Promise.all([ann, bob].map((page) => page.locator('#log .notice', { hasText: 'Chen has left' }).waitFor()));
  if (await ann.locator('#log .notice', { hasText: 'Bob has left' }).count() > 0) throw new Error('Ann was told that Bob has left');
  await Promise.all([shot(ann, 'death-ann'), shot(bob, 'death-bob'), shot(chen, 'death-chen')]);
} catch (e) {
  error = e;
} finally {
  await end(error);
}
