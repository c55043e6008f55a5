// Says for each close code on the command line whether the chat's page takes it
// for final: node codes.mjs SOCKET_JS CODE... The file is a module of the page.
import { readFile } from 'node:fs/promises';

const [file, ...codes] = process.argv.slice(2);
const { isFinal } = await import(`data:text/javascript,${encodeURIComponent(await readFile(file, 'utf8'))}`);
for (const code of codes) console.log(code, isFinal(Number(code)) ? 'final' : 'back');
