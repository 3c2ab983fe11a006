#!/usr/bin/env node
/*
 * The launcher. It must parse on every Node people may have, so it is plain JavaScript of old syntax without a
 * static import: the version is checked before anything else is loaded (an older Node would not refuse the code
 * behind this file, it would crash in it).
 */
/* global process */

var NEEDED = [22, 18];

function isOldNode(version) {
  var parts = version.split('.');
  var major = Number(parts[0]);
  var minor = Number(parts[1]);
  return major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1]);
}

/* Compiled code is kept in the user's own cache folder: in a shared temp folder others could plant it. */
function useCompileCache(nodeModule, os, path) {
  if (!nodeModule.enableCompileCache || process.env.NODE_COMPILE_CACHE) return;
  var cache = process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache');
  nodeModule.enableCompileCache(path.join(cache, 'goldfish', 'compile'));
}

function start() {
  return Promise.all([import('node:fs'), import('node:module'), import('node:os'), import('node:path')]).then(
    (modules) => {
      useCompileCache(modules[1], modules[2], modules[3]);
      /* A checkout has the source, which Node runs as it is; a package has the compiled code only. */
      var source = new URL('../src/cli/main.ts', import.meta.url);
      var main = modules[0].existsSync(source) ? source : new URL('../dist/cli/main.js', import.meta.url);
      return import(main.href);
    },
  );
}

function refuseNode() {
  var found = process.versions.node + ' (' + process.execPath + ')';
  var remedy = 'Install it from https://nodejs.org, or run: npx -y node@24 ' + process.argv[1];
  process.stderr.write(
    'goldfish needs Node ' + NEEDED.join('.') + ' or newer and found ' + found + '. ' + remedy + '\n',
  );
  process.exitCode = 1;
}

if (isOldNode(process.versions.node)) {
  refuseNode();
} else {
  start().catch(function (error) {
    process.stderr.write(
      'goldfish could not start: ' + (error && error.message ? error.message : error) + '\n',
    );
    process.exitCode = 1;
  });
}
