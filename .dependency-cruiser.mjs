/**
 * Who may import whom: the floors of CONTRIBUTING.md as rules. A room may use what stands on its own floor or
 * below, types included. The parser is swc because dependency-cruiser does not read TypeScript 7: with the default
 * it would find no modules and report success. test/repo/layers.test.ts proves that it sees them, and plants a
 * violation of each rule.
 */

/** From the ground up. A room missing here is refused by `no-room-without-a-floor`. */
const FLOORS = [
  ['core'],
  ['os', 'config', 'pipeline', 'store', 'validation'],
  ['workspaces', 'data', 'pool', 'experiments', 'backends', 'storage'],
  ['runs', 'review'],
  ['sweeps', 'notifications', 'exports', 'backup'],
  ['context.ts', 'context-adapter.ts', 'context-backends.ts', 'context-limits.ts', 'context-rented.ts'],
  ['tools', 'web', 'supervisor', 'doctor'],
  ['mcp'],
  ['cli'],
];

/** Packages that one room alone may import: behind its wall they can be replaced. */
const PACKAGE_OWNERS = {
  '@modelcontextprotocol/sdk': '^src/mcp/',
  'better-sqlite3': '^src/store/',
  'simple-git': '^src/workspaces/',
  commander: '^src/cli/',
  dockerode: '^src/backends/docker/',
  'tar-stream': '^src/backends/(docker|gce)/',
  '@google-cloud/compute': '^src/backends/gce/',
  '@google-cloud/storage': '^src/storage/gcs/',
  'google-auth-library': '^src/(backends/gce|storage/gcs)/',
};

/** The pure modules of Node that core may use: no files, no processes, no network. */
const PURE_NODE = ['crypto', 'path', 'url'];

const roomsPattern = (rooms) =>
  `^src/(${rooms.map((room) => (room.endsWith('.ts') ? room.replace('.', '\\.') : `${room}/`)).join('|')})`;

const floorRules = FLOORS.slice(0, -1).map((rooms, floor) => ({
  name: `floor-${floor}-imports-nothing-above`,
  comment: `${rooms.join(', ')} may import only floors 0 to ${floor}.`,
  severity: 'error',
  from: { path: roomsPattern(rooms) },
  to: { path: roomsPattern(FLOORS.slice(floor + 1).flat()) },
}));

const packageRules = Object.entries(PACKAGE_OWNERS).map(([name, owner]) => ({
  name: `only-its-room-imports-${name.replace(/^@/, '').replaceAll('/', '-')}`,
  comment: `${name} is imported below ${owner} only.`,
  severity: 'error',
  from: { path: '^src/', pathNot: owner },
  to: { path: `(^|node_modules/)(@types/)?${name}(/|$)` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...floorRules,
    ...packageRules,
    {
      name: 'core-is-pure',
      comment: 'core imports itself and pure modules of Node, nothing else.',
      severity: 'error',
      from: { path: '^src/core/' },
      to: { pathNot: ['^src/', `^(node:)?(${PURE_NODE.join('|')})$`] },
    },
    {
      name: 'only-the-context-imports-adapters',
      comment: 'Everyone else sees the port; which adapter stands behind it is decided in src/context.ts.',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot: ['^src/(?:backends|storage)/[^/]+/', '^src/context(-adapter|-backends|-rented)?\\.ts$'],
      },
      to: { path: '^src/(backends|storage)/[^/]+/' },
    },
    {
      name: 'adapters-do-not-know-each-other',
      severity: 'error',
      from: { path: '^src/(backends|storage)/([^/]+)/' },
      to: { path: '^src/(backends|storage)/[^/]+/', pathNot: '^src/$1/$2/' },
    },
    {
      name: 'no-room-without-a-floor',
      comment: 'Give a new room its floor in .dependency-cruiser.mjs.',
      severity: 'error',
      from: { path: '^src/', pathNot: roomsPattern(FLOORS.flat()) },
      to: {},
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true },
    },
    {
      name: 'no-unresolvable',
      comment: 'An import nobody can resolve is a typo or a missing dependency.',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-development-dependency-in-src',
      comment: 'What src needs at run time must be among the dependencies.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'src-stands-alone',
      comment: 'The package ships src (compiled) without tests and scripts.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|scripts|bench|examples)/' },
    },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
      conditionNames: ['import', 'node', 'default'],
      exportsFields: ['exports'],
    },
  },
};
