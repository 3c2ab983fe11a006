import { dataSubjects } from './mcp-invalid-data-calls.ts';

/** Calls that must all be refused: every field of every tool with everything that does not belong there. */

export type InvalidCall = { what: string; tool: string; args: unknown };

type Kind =
  | 'new name'
  | 'workspace'
  | 'slot'
  | 'reference'
  | 'run'
  | 'version'
  | 'text'
  | 'reason'
  | 'path'
  | 'mapping'
  | 'enum'
  | 'time'
  | 'cursor'
  | 'number'
  | 'step'
  | 'boolean'
  | 'list'
  | 'object';

export type Subject = {
  tool: string;
  good: Record<string, unknown>;
  fields: Record<string, Kind>;
  required: string[];
};

const reason = 'A reason that is long enough';
/** Ids of what is there, so that a call is wrong in one place only. */
export type Known = { run: string; pipelineRun: string };

/** `good` would be accepted, and often change something: one wrong field must be enough to prevent it. */
const subjectsOf = ({ run, pipelineRun }: Known): readonly Subject[] => [
  { tool: 'status', good: {}, fields: { include: 'list' }, required: [] },
  {
    tool: 'create_workspace',
    good: { name: 'another', goal: 'A goal', reason },
    fields: {
      name: 'new name',
      goal: 'text',
      reason: 'reason',
      from_workspace: 'workspace',
      from_version: 'version',
    },
    required: ['name', 'goal', 'reason'],
  },
  { tool: 'list_workspaces', good: {}, fields: { limit: 'number', cursor: 'text' }, required: [] },
  {
    tool: 'inspect_workspace',
    good: { workspace: 'baseline' },
    fields: { workspace: 'workspace', include: 'list' },
    required: ['workspace'],
  },
  {
    tool: 'mount',
    good: { workspace: 'spare', reason },
    fields: { workspace: 'workspace', reason: 'reason', slot: 'slot' },
    required: ['workspace', 'reason'],
  },
  {
    tool: 'hibernate',
    good: { slot: 'w1', reason },
    fields: { slot: 'slot', reason: 'reason' },
    required: ['slot', 'reason'],
  },
  {
    tool: 'checkpoint',
    good: { slot: 'w1', message: 'A state worth naming' },
    fields: { slot: 'slot', message: 'text' },
    required: ['slot', 'message'],
  },
  {
    tool: 'list_versions',
    good: { workspace: 'baseline' },
    fields: { workspace: 'workspace', include_pruned: 'boolean', limit: 'number', cursor: 'cursor' },
    required: ['workspace'],
  },
  {
    tool: 'diff',
    good: { target: 'w1' },
    fields: {
      target: 'reference',
      against: 'reference',
      paths: 'list',
      stat_only: 'boolean',
      cursor: 'cursor',
    },
    required: ['target'],
  },
  {
    tool: 'delete_workspace',
    good: { workspace: 'spare', reason },
    fields: { workspace: 'workspace', reason: 'reason' },
    required: ['workspace', 'reason'],
  },
  {
    tool: 'rollback',
    good: { slot: 'w1', version: 'v1', reason },
    fields: { slot: 'slot', version: 'version', reason: 'reason' },
    required: ['slot', 'version', 'reason'],
  },
  {
    tool: 'tag',
    good: { ref: 'baseline', tag: 'best' },
    fields: { ref: 'reference', tag: 'new name', remove: 'boolean', reason: 'reason' },
    required: ['ref', 'tag'],
  },
  {
    tool: 'prune_versions',
    good: { workspace: 'baseline', versions: ['v1'], reason },
    fields: {
      workspace: 'workspace',
      reason: 'reason',
      versions: 'list',
      before_tag: 'reference',
      restore: 'boolean',
    },
    required: ['workspace', 'reason'],
  },
  {
    tool: 'history',
    good: { workspace: 'baseline' },
    fields: {
      workspace: 'workspace',
      stage: 'text',
      tag: 'text',
      metric: 'text',
      min_value: 'number',
      group: 'text',
      outcome: 'enum',
      sort: 'enum',
      limit: 'number',
      cursor: 'cursor',
    },
    required: ['workspace'],
  },
  {
    tool: 'log_thought',
    good: { thought: 'What was seen' },
    fields: { thought: 'text', workspace: 'workspace', run_id: 'run' },
    required: ['thought'],
  },
  {
    tool: 'audit_log',
    good: {},
    fields: { workspace: 'workspace', operation: 'text', since: 'time', limit: 'number', cursor: 'cursor' },
    required: [],
  },
  { tool: 'backup', good: { action: 'list' }, fields: { action: 'enum' }, required: [] },
  {
    tool: 'retry',
    good: { run_id: run, reason },
    fields: { run_id: 'run', reason: 'reason', from_checkpoint: 'text', config_override: 'object' },
    required: ['run_id', 'reason'],
  },
  {
    tool: 'validate',
    good: { workspace: 'baseline' },
    fields: { workspace: 'workspace', pipeline: 'new name' },
    required: [],
  },
  {
    tool: 'run',
    good: { workspace: 'baseline', reason },
    fields: {
      workspace: 'workspace',
      reason: 'reason',
      stages: 'list',
      pipeline: 'new name',
      config_override: 'object',
      dry_run: 'boolean',
      wait_seconds: 'number',
      use_cache: 'boolean',
    },
    required: ['workspace', 'reason'],
  },
  {
    tool: 'list_runs',
    good: {},
    fields: {
      workspace: 'workspace',
      stage: 'text',
      state: 'enum',
      pipeline_run_id: 'run',
      since: 'time',
      limit: 'number',
      cursor: 'cursor',
    },
    required: [],
  },
  {
    tool: 'inspect_run',
    good: { run_id: run },
    fields: { run_id: 'run', include: 'list' },
    required: ['run_id'],
  },
  {
    tool: 'logs',
    good: { run_id: run },
    fields: { run_id: 'run', stream: 'enum', tail: 'number', cursor: 'cursor', grep: 'text', since: 'time' },
    required: ['run_id'],
  },
  {
    tool: 'wait',
    good: { targets: [pipelineRun], timeout_seconds: 0 },
    fields: { targets: 'list', until: 'enum', timeout_seconds: 'number', cursor: 'cursor' },
    required: ['targets'],
  },
  {
    tool: 'cancel',
    good: { target: pipelineRun, reason },
    fields: { target: 'run', reason: 'reason' },
    required: ['target', 'reason'],
  },
  {
    tool: 'metrics',
    good: { run_ids: [run] },
    fields: { run_ids: 'list', names: 'list', max_points: 'number', from_step: 'step' },
    required: ['run_ids'],
  },
  { tool: 'compare', good: { refs: [run, pipelineRun] }, fields: { refs: 'list' }, required: ['refs'] },
  {
    tool: 'initialize_project',
    good: { name: 'other' },
    fields: { name: 'new name', path: 'text' },
    required: ['name'],
  },
];

const HUGE = 'x'.repeat(300_000);
/** Wrong for everything that is a text. */
const NO_TEXT = [null, 5, true, [], {}, ['baseline'], HUGE, 'null\0byte', 'esc\u001b[2J', 'half \ud800'];
/** Wrong for everything that names something. */
const NO_NAME = [
  '',
  '../../x',
  '../../../etc/passwd',
  '/etc/passwd',
  '..',
  '.git',
  '--upload-pack=x',
  '-rf',
  'a b',
  'naïve',
  'w1/../w2',
  'C:\\x',
  '$(id)',
  "'; DROP TABLE workspaces; --",
  '%2e%2e%2f',
  'con',
  'NUL',
  'HEAD',
  'latest',
  'x'.repeat(65),
  'line\nbreak',
  '\u202egnp',
];
const UNKNOWN = ['nothing-here', 'baselin', 'baseline@v99', 'baseline@v0', '@no-tag', 'w9'];
const NO_ID = [
  'stage-',
  'stage-xyz',
  'stage-000000',
  'prun-000000000000',
  'sweep-000000000000',
  'STAGE-000000',
  '000000',
];
const NO_NUMBER = ['5', null, -1, 1e300, {}, [1], true];

const BAD: Record<Kind, readonly unknown[]> = {
  'new name': [...NO_TEXT, ...NO_NAME],
  workspace: [...NO_TEXT, ...NO_NAME, ...UNKNOWN],
  slot: [...NO_TEXT, ...NO_NAME, 'w9', 'nothing-here'],
  reference: [...NO_TEXT, ...NO_NAME, ...UNKNOWN, ...NO_ID],
  run: [...NO_TEXT, ...NO_NAME, ...UNKNOWN, ...NO_ID],
  version: [...NO_TEXT, ...NO_NAME, 'v0', 'v99', '0', '-1', '1.5'],
  text: NO_TEXT,
  reason: [...NO_TEXT, '', 'too short', '                        '],
  path: [
    ...NO_TEXT,
    ...['', '.', '../x', '/etc/passwd', 'file:///etc/passwd', 's3://bucket/x'],
    ...['.goldfish/goldfish.db', 'nothing-here', 'workspaces/w1/nothing-here'],
  ],
  mapping: ['x', 5, null, [], { a: HUGE }],
  enum: [...NO_TEXT, '', 'complete', 'ALL', 'nothing'],
  time: [...NO_TEXT, '', 'yesterday', '2026-99-99', '12'],
  cursor: [...NO_TEXT, '', '../../x', 'zzz', '1.2.3.4', '9'.repeat(40), '-1'],
  number: NO_NUMBER,
  // Steps may be any number.
  step: NO_NUMBER.filter((value) => typeof value !== 'number'),
  boolean: ['true', 1, null, [], {}],
  list: [
    'baseline',
    5,
    null,
    {},
    [5],
    [null],
    [[]],
    [''],
    ['\0'],
    [HUGE],
    Array.from({ length: 5_000 }, () => 'x'),
  ],
  object: [
    'x',
    5,
    null,
    [],
    { generate: 5 },
    { nothing: { a: 1 } },
    { generate: { a: HUGE } },
    { '../x': { a: 1 } },
  ],
};

const UNKNOWN_KEYS = [
  'workspce',
  'x',
  '',
  '__proto__',
  'constructor',
  'toString',
  'k'.repeat(5_000),
  'a\0b',
  'slot ',
  '💥',
];
const UNKNOWN_TOOLS = [
  '',
  'runn',
  'Run',
  'create-workspace',
  '__proto__',
  'constructor',
  'toString',
  '../status',
  'status\0',
  'x'.repeat(100_000),
  'rollback_everything',
  '💥',
  5,
  null,
  {},
  ['status'],
];
const NO_ARGUMENTS = ['text', 5, true, [], [{}], [1, 2]];

/** All of them, a thousand and more, always the same. */
export function invalidCalls(known: Known): InvalidCall[] {
  const calls: InvalidCall[] = [];
  for (const name of UNKNOWN_TOOLS) calls.push({ what: 'unknown tool', tool: name as string, args: {} });
  for (const subject of [...subjectsOf(known), ...dataSubjects(known)]) {
    const { tool, good, fields, required } = subject;
    for (const args of NO_ARGUMENTS) calls.push({ what: 'arguments that are none', tool, args });
    for (const key of UNKNOWN_KEYS)
      calls.push({ what: `unknown argument ${key}`, tool, args: withKey(good, key, 1) });
    for (const field of required) {
      const { [field]: _, ...rest } = good;
      calls.push({ what: `without ${field}`, tool, args: rest });
    }
    for (const [field, kind] of Object.entries(fields)) {
      for (const bad of BAD[kind])
        calls.push({ what: `${field} that is no ${kind}`, tool, args: withKey(good, field, bad) });
    }
  }
  return calls;
}

/** As JSON would bring it: `__proto__` is a key like any other. */
function withKey(object: Record<string, unknown>, key: string, value: unknown): unknown {
  return Object.fromEntries([...Object.entries(object), [key, value]]);
}
