/** What plants bugs in a program under test: preloaded into it, they wrap its compiled classes. */
'use strict';
const path = require('node:path');

/** The program's main file. */
const [, program = ''] = process.argv;

/** Where the compiled modules are: some programs stand in a folder of their own there. */
const root = path.dirname(program).replace(/[\\/]commands$/, '');

/** A compiled module of the program, by its path from there. */
const load = (...file) => require(path.join(root, ...file));

/** Puts `around(original)` in the place of a method; a name that is gone is an error, not a no-op. */
function wrap(prototype, name, around) {
  const original = prototype[name];
  if (typeof original !== 'function') throw new Error(`plant: there is no method ${name} any more`);
  prototype[name] = around(original);
}

/** Replaces exports of a module of the program, for every load from now on. */
function replace(file, exports) {
  const own = load(...file);
  for (const name of Object.keys(exports)) {
    if (!(name in own)) throw new Error(`plant: ${file.join('/')} exports no ${name} any more`);
  }
  require.cache[require.resolve(path.join(root, ...file))].exports = exports;
}

module.exports = { load, program, replace, wrap };
