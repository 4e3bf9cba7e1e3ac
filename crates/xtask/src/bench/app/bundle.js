// The bundler of the workload `app`: follows require() from an entry, strips comments, writes one file and a map of it, and loads the result.
'use strict';
const fs = require('fs');
const path = require('path');

const root = path.resolve(__dirname, '..');
const modules = new Map();

function resolve(request, from) {
  const plain = request.startsWith('.')
    ? path.resolve(path.dirname(from), request)
    : path.join(root, 'node_modules', request);
  const stat = fs.statSync(plain, { throwIfNoEntry: false });
  if (!stat) return plain + '.js';
  if (stat.isFile()) return plain;
  const { main } = JSON.parse(fs.readFileSync(path.join(plain, 'package.json'), 'utf8'));
  return path.join(plain, main);
}

function add(entry) {
  const pending = [entry];
  while (pending.length > 0) {
    const file = pending.pop();
    if (modules.has(file)) continue;
    const text = fs.readFileSync(file, 'utf8').replace(/^\s*\/\/.*\n/gm, '');
    const requests = new Map();
    for (const [, request] of text.matchAll(/require\('([^']+)'\)/g)) {
      requests.set(request, resolve(request, file));
    }
    modules.set(file, { id: modules.size, text, requests });
    pending.push(...requests.values());
  }
}

add(path.join(root, 'src', 'index.js'));
const parts = ['const table = {};\nconst made = {};\nfunction load(id) {\n' +
  '  if (!(id in made)) { const module = { exports: {} }; made[id] = module; table[id](module, module.exports); }\n' +
  '  return made[id].exports;\n}\n'];
const map = [];
for (const [file, { id, text, requests }] of modules) {
  const linked = text.replace(/require\('([^']+)'\)/g, (_, request) => `load(${modules.get(requests.get(request)).id})`);
  parts.push(`table[${id}] = function (module, exports) {\n${linked}};\n`);
  map.push({ id, file: path.relative(root, file), length: linked.length });
}
parts.push('module.exports = load(0);\n');
fs.mkdirSync(path.join(root, 'dist'), { recursive: true });
fs.writeFileSync(path.join(root, 'dist', 'bundle.js'), parts.join(''));
fs.writeFileSync(path.join(root, 'dist', 'bundle.map.json'), JSON.stringify(map));
const { total } = require(path.join(root, 'dist', 'bundle.js'));
console.log(`${modules.size} modules, total ${total}`);
