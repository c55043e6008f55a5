// Says for each close code on the command line whether the chat's page takes it
// for final: node codes.mjs SOCKET_JS CODE... The file is a module of the page.

const [file, ...codes] = process.argv.slice(2);
const { isFinal } = await import(file);
for (const code of codes) console.log(code, isFinal(Number(code)) ? 'final' : 'back');
