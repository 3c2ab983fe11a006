import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EXIT_CODES } from '../../src/cli/exit-codes.ts';
import { execute } from '../../src/cli/program.ts';
import type { Sink } from '../../src/cli/streams.ts';
import { ERROR_CODES } from '../../src/core/errors.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'goldfish-cli-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function sink(isTerminal: boolean) {
  const written: string[] = [];
  const target: Sink = {
    write: (text) => {
      written.push(text);
    },
    isTerminal,
    columns: () => (isTerminal ? 60 : undefined),
  };
  return { target, text: () => written.join('') };
}

async function goldfish(argv: readonly string[], options: { terminal?: boolean; environment?: object } = {}) {
  const [out, err] = [sink(options.terminal ?? false), sink(options.terminal ?? false)];
  const streams = { out: out.target, err: err.target };
  const code = await execute(argv, { streams, environment: { ...options.environment }, cwd: folder });
  return { code, out: out.text(), err: err.text() };
}

describe('what was typed wrongly', () => {
  it('is refused with the nearest command, and 2', async () => {
    expect(await goldfish(['rnu'])).toEqual({
      code: 2,
      out: '',
      err: "goldfish: Unknown command 'rnu' (Did you mean run?) [INVALID_ARGUMENT]\n  hint: goldfish --help shows what is understood.\n",
    });
  });

  it.each([
    [['run', '--reason', 'x'], "Missing required argument 'workspace'."],
    [['run', 'w'], "Required option '--reason <text>' not specified."],
    [['runs', '--limt', '3'], "Unknown option '--limt' (Did you mean --limit?)"],
    [['runs', '--limit', 'many'], "Option '--limit <n>' argument 'many' is invalid. It is no number."],
    [['status', 'now'], "Too many arguments for 'status'. Expected 0 arguments but got 1: now."],
  ])('names what is missing or unknown: %j', async (argv, message) => {
    const { code, out, err } = await goldfish(argv);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toBe(
      `goldfish: ${message} [INVALID_ARGUMENT]\n  hint: goldfish ${argv[0]} --help shows what is understood.\n`,
    );
  });

  it('is a JSON document on stdout for a script', async () => {
    const { code, out, err } = await goldfish(['rnu', '--json']);
    expect({ code, err }).toEqual({ code: 2, err: '' });
    expect(JSON.parse(out)).toEqual({
      error: {
        code: 'INVALID_ARGUMENT',
        message: "Unknown command 'rnu' (Did you mean run?)",
        details: {},
        hint: 'goldfish --help shows what is understood.',
      },
    });
  });

  it('shows the help on stderr where nothing was asked for', async () => {
    const { code, out, err } = await goldfish([]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain('Usage: goldfish [options] [command]');
  });

  it.each(['[1]', '"text"', '{bad', ''])(
    'refuses arguments of a tool that are no JSON object: %j',
    async (json) => {
      const { code, err } = await goldfish(['call', 'status', json]);
      expect(code).toBe(2);
      expect(err).toContain('The arguments are no JSON');
    },
  );
});

describe('without a project', () => {
  it.each([
    ['status'],
    ['runs'],
    ['validate'],
    ['run', 'w', '--reason', 'because it is a test'],
    ['wait', 'prun-abcdef'],
    ['logs', 'stage-abcdef'],
    ['cancel', 'prun-abcdef', '--reason', 'because it is a test'],
    ['supervisor'],
    ['supervisor', '--status'],
  ])('%s says so, says how to make one, and ends with 3', async (...argv) => {
    const { code, out, err } = await goldfish(argv);
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(err).toContain('There is no project in this folder or above it. [PROJECT_NOT_FOUND]');
    expect(err).toContain('try: goldfish init my-project\n');
  });

  it('takes the folder from --project before GOLDFISH_PROJECT', async () => {
    const environment = { GOLDFISH_PROJECT: join(folder, 'other') };
    expect((await goldfish(['init', 'one', '--project', 'here'], { environment })).code).toBe(0);
    expect(await readFile(join(folder, 'here', 'goldfish.yaml'), 'utf8')).toContain("project_name: 'one'");
    expect((await goldfish(['runs'], { environment })).code).toBe(3);
    expect((await goldfish(['runs', '--project', 'here'], { environment })).code).toBe(0);
    expect((await goldfish(['runs'], { environment: { GOLDFISH_PROJECT: join(folder, 'here') } })).code).toBe(
      0,
    );
  });
});

describe('in a new project', () => {
  beforeEach(async () => {
    await goldfish(['init', 'fish']);
  });

  it('init says what it made, and the next command', async () => {
    await rm(join(folder, 'goldfish.yaml'));
    expect(await goldfish(['init', 'fish'])).toEqual({
      code: 0,
      out: 'Project fish is created, with the slots w1, w2, w3.\n',
      err: "next: goldfish workspace create baseline --goal 'Find out how far the simplest approach gets' --reason 'Start the first line of experiments'\n",
    });
  });

  it('init changes nothing the second time', async () => {
    const { code, out } = await goldfish(['init', 'other']);
    expect({ code, out }).toEqual({
      code: 0,
      out: 'There is a project here already, fish; nothing was changed.\n',
    });
  });

  it('--quiet leaves the results and the errors only', async () => {
    expect(await goldfish(['init', 'fish', '--quiet'])).toEqual({ code: 0, out: '', err: '' });
    expect((await goldfish(['run', 'nobody', '--reason', 'because it is a test', '--quiet'])).err).toContain(
      'WORKSPACE_NOT_FOUND',
    );
  });

  it('--json gives the answer of the tool, in one line for a program', async () => {
    const { code, out, err } = await goldfish(['runs', '--json']);
    expect({ code, out, err }).toEqual({
      code: 0,
      out: '{"schema_version":1,"next_cursor":null,"errors":[],"runs":[]}\n',
      err: '',
    });
  });

  it('--json on a terminal is indented, and without a colour', async () => {
    const { out } = await goldfish(['runs', '--json'], { terminal: true });
    expect(out).toBe('{\n  "schema_version": 1,\n  "next_cursor": null,\n  "errors": [],\n  "runs": []\n}\n');
  });

  it('a refusal of a tool is its error, and an exit code that tells which', async () => {
    const { code, out, err } = await goldfish([
      'run',
      'nobody',
      '--reason',
      'because it is a test',
      '--json',
    ]);
    expect({ code, err }).toEqual({ code: 3, err: '' });
    expect(JSON.parse(out)).toMatchObject({
      error: { code: 'WORKSPACE_NOT_FOUND', hint: expect.any(String) },
    });
  });

  it('a reason that says nothing is a wrong argument', async () => {
    const { code, err } = await goldfish(['cancel', 'prun-abcdef', '--reason', 'x']);
    expect(code).toBe(2);
    expect(err).toContain('[REASON_TOO_SHORT]');
  });

  it('validate prints file:line:column: message and ends with 1', async () => {
    await rm(join(folder, 'goldfish.yaml'));
    const { writeFile } = await import('node:fs/promises');
    await writeFile(join(folder, 'goldfish.yaml'), 'project_name: fish\nslotz: 2\n');
    const { code, out } = await goldfish(['validate']);
    expect(code).toBe(1);
    expect(out).toMatch(/^goldfish\.yaml:2:1: .*slotz.*\n$/);
  });

  it('supervisor --status says that none is at work where there is no work', async () => {
    const { code, out } = await goldfish(['supervisor', '--status']);
    expect({ code, out }).toEqual({ code: 0, out: 'No supervisor is at work; 0 open runs.\n' });
    const json = await goldfish(['supervisor', '--status', '--json']);
    expect(JSON.parse(json.out)).toMatchObject({ running: false, pid: null, open_runs: 0 });
  });

  it('call lists the tools', async () => {
    const { code, out } = await goldfish(['call']);
    expect(code).toBe(0);
    expect(out).toMatch(/^run {2,}Versions the slot/m);
  });
});

describe('the page of the command line', () => {
  it('has every command with every option and argument, every exit code, and no other', async () => {
    const page = await readFile(new URL('../../docs/command-line.md', import.meta.url), 'utf8');
    const { out: help } = await goldfish(['--help']);
    const commands = [...help.matchAll(/^ {2}([a-z]+)[ \w[\]<>.]* {2,}/gm)].map((match) => match[1] ?? '');
    expect(commands).toContain('supervisor');
    for (const command of commands.filter((name) => name !== 'workspace')) {
      const { out } = await goldfish([command, '--help']);
      const own = out.slice(out.indexOf('\nOptions:'), out.indexOf('\nGlobal Options:'));
      const section = page.slice(page.indexOf(`## \`goldfish ${command}`)).split('\n## ')[0] ?? '';
      for (const [, option] of own.matchAll(/(--[a-z-]+)/g)) {
        if (option !== '--help') expect(`${command}: ${section}`).toContain(`\`${option}`);
      }
    }
    for (const { code, meaning } of Object.values(EXIT_CODES)) {
      expect(page).toContain(`| ${code} | ${meaning} |`);
      expect(help).toContain(meaning);
    }
  });

  it('says for every error code which exit code it has', async () => {
    const page = await readFile(new URL('../../docs/command-line.md', import.meta.url), 'utf8');
    for (const code of Object.keys(ERROR_CODES)) expect(page).toContain(code);
  });
});
