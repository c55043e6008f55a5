// Runs the tests of the server SDK's own folder tests/remote, which are written for mocha,
// against PUSHER_URL: one line of JSON for each. Its proxy.js tests Node's proxies only.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const tests = [];
let outer = { name: '', before: [] };

globalThis.describe = (name, body) => {
  const before = outer;
  outer = { name: `${before.name}${name} `, before: [...before.before] };
  body();
  outer = before;
};
globalThis.beforeEach = (f) => outer.before.push(f);
globalThis.it = (name, f) => tests.push({ check: outer.name + name, before: outer.before, run: (done) => f(done) });

for (const file of ['trigger', 'get']) require(`pusher/tests/remote/pusher/${file}.js`);
for (const { check, before, run } of tests) {
  for (const f of before) f();
  const error = await new Promise((done) => run((e) => done(e?.stack)));
  console.log(JSON.stringify({ check, error }));
}
process.exit(0);
