import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import { hasEngine, NEEDS_ENGINE } from '../../contracts/docker-under-test.ts';
import { type AttackedProject, attackedProject, REASON } from './attacked-project.ts';

/** Each is something to a shell, a YAML reader, a JSON reader, git, Docker, or Python. */
const VALUES: Readonly<Record<string, string>> = {
  EMPTY: '',
  SPACE: ' ',
  SPACES: '  a  b  ',
  TAB: '\ta\t',
  NEWLINE: '\n',
  NEWLINES: '\na\r\nb\n\n',
  RETURN: 'a\rb',
  CONTROLS: '\x01\x07\x08\x1b[31m\x7f',
  DOLLAR: `$HOME $\{HOME} $(touch PWNED) $$ $`,
  BACKTICK: '`touch PWNED`',
  DOUBLE: '"a" "',
  SINGLE: "'a' '",
  BACKSLASH: '\\ \\n \\\\ \\',
  SEMICOLON: ';touch PWNED;',
  AMPERSAND: '& && a&b',
  PIPE: '| touch PWNED || x',
  STAR: '* ** ? [a-z] {a,b} ~',
  REDIRECT: '> PWNED < /etc/passwd 2>&1',
  BANG: '!! !x #comment',
  PERCENT: '%s %n %2e%2e %PATH%',
  DASH: '-x',
  DASHES: '--privileged',
  EQUALS: '=a=b=',
  ASSIGNMENT: 'PATH=/nowhere',
  YAML: 'yes: no, null, ~, 0x10, 1e3, [a], {b: c}, &a *a, !!t',
  JSON_TEXT: '{"a": "b\\u0000"}',
  REFERENCE_LIKE: '$env:HOME',
  UMLAUT: 'äöü ß é e\u0301',
  EMOJI: '🐟👩‍👩‍👧 \u{1F1E9}\u{1F1EA}',
  RIGHT_TO_LEFT: '\u202eabc\u202c',
  BLANK: '\u00a0\u200b\u2028\u2029\ufeff',
  LAST_PLANE: '\u{10ffff}',
  COLON: 'a:b:/c',
  COMMA: 'a,b,c',
  LONG: 'x'.repeat(64 * 1024),
};
/** The kernel's own limit for one entry is 128 KiB; a literal is limited to what a config may sensibly hold. */
const LONG_SECRET = 'y'.repeat(100_000);

const KINDS = [
  { name: 'a process', skip: false, backend: 'process', config: 'defaults: { backend: process }\n' },
  {
    name: `a container${NEEDS_ENGINE}`,
    skip: !hasEngine,
    backend: 'docker',
    config: `defaults: { backend: docker }\ndocker: { base_image: '${TEST_IMAGE}' }\n`,
  },
];

const DUMP = `
import json, os
with open(os.path.join(os.environ["GOLDFISH_OUTPUTS"], "seen.json"), "w") as file:
    json.dump({os.fsdecode(k): v.hex() for k, v in os.environb.items()}, file)
`;

const hex = (text: string): string => Buffer.from(text).toString('hex');
const secretName = (name: string): string => `FROM_OUTSIDE_${name}`;

async function prepared(project: AttackedProject): Promise<void> {
  await project.must('create_workspace', { name: 'baseline', goal: 'Values', reason: REASON });
  await project.must('mount', { workspace: 'baseline', reason: REASON });
  for (const name of ['generate', 'summarize']) rmSync(project.slot('configs', `${name}.yaml`));
  const stages = [{ name: 'dump', outputs: { seen: 'json' } }];
  project.write('workspaces/w1/pipeline.yaml', JSON.stringify({ name: 'values', stages }));
  project.write('workspaces/w1/modules/dump.py', DUMP);
}

/** JSON is YAML, but for letters that YAML wants written as escapes. */
function yaml(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

for (const { name, config, skip } of KINDS) {
  describe(`values of the environment of ${name}`, () => {
    it.skipIf(skip)('arrive byte by byte, literal ones and secrets alike', { timeout: 120_000 }, async () => {
      const names = Object.keys(VALUES);
      const outside = Object.fromEntries(names.map((name) => [secretName(name), VALUES[name] ?? '']));
      const project = await attackedProject(config, { ...outside, FROM_OUTSIDE_LONGER: LONG_SECRET });
      try {
        await prepared(project);
        const literal = Object.fromEntries(names.map((name) => [`L_${name}`, VALUES[name]]));
        const secret = Object.fromEntries(
          [...names, 'LONGER'].map((name) => [`S_${name}`, `$\{env:${secretName(name)}}`]),
        );
        // The surrogate pairs of JSON are no YAML: such values come by an override, which is JSON.
        const inFile = Object.fromEntries(
          Object.entries(literal).filter(([, text]) => !/[\ud800-\udfff]/.test(text ?? '')),
        );
        project.write('workspaces/w1/configs/dump.yaml', yaml({ environment: { ...inFile, ...secret } }));
        const answer = await project.must('run', {
          workspace: 'baseline',
          reason: REASON,
          wait_seconds: 45,
          config_override: {
            dump: {
              environment: Object.fromEntries(
                Object.entries(literal).filter(([name]) => !Object.hasOwn(inFile, name)),
              ),
            },
          },
        });
        const [run] = answer['runs'] as { run_id: string }[];
        await project.must('wait', { targets: [run?.run_id], timeout_seconds: 45 });
        const place = join(project.base, 'seen.json');
        const got = await project.command('get', run?.run_id ?? '', 'seen', place);
        expect(
          got.code,
          `${got.err}${(await project.call('inspect_run', { run_id: run?.run_id })).text}`,
        ).toBe(0);
        const seen: Record<string, string> = JSON.parse(readFileSync(place, 'utf8'));
        const expected = { ...outside, LONGER: LONG_SECRET };
        const wrong = [
          ...names.filter((name) => seen[`L_${name}`] !== hex(VALUES[name] ?? '')).map((name) => `L_${name}`),
          ...names.filter((name) => seen[`S_${name}`] !== hex(VALUES[name] ?? '')).map((name) => `S_${name}`),
          ...(seen['S_LONGER'] === hex(expected.LONGER) ? [] : ['S_LONGER']),
        ];
        expect(wrong).toEqual([]);
        // Nothing else of the one who started the server.
        expect(Object.keys(seen).filter((name) => name.startsWith('FROM_OUTSIDE_'))).toEqual([]);
        expect(Object.keys(seen)).not.toContain('XDG_RUNTIME_DIR');
      } finally {
        await project.dispose();
      }
    });
  });
}

describe('names and values that no environment can hold', () => {
  it('are refused with the name and the line, and none of the value', { timeout: 240_000 }, async () => {
    const project = await attackedProject('defaults: { backend: process }\n');
    try {
      await prepared(project);
      const names = [
        ...[
          'lower',
          'A-B',
          'A.B',
          '1A',
          '',
          ' A',
          'A ',
          'A=B',
          'A\nB',
          '$A',
          'Ä',
          'Ａ',
          'A\u200b',
          '-x',
          'PATH;x',
        ],
        ...['GOLDFISH_RUN_ID', 'GOLDFISH_', 'GOLDFISH_CONFIG'],
      ];
      for (const name of names) {
        const { isError, error } = await project.call('run', {
          workspace: 'baseline',
          reason: REASON,
          dry_run: true,
          config_override: { dump: { environment: { [name]: 'a-value-nobody-sees' } } },
        });
        expect(isError, name).toBe(true);
        expect(error.code, name).toMatch(/^(INVALID_CONFIG|INVALID_ARGUMENT)$/);
        expect(JSON.stringify(error.details), name).toContain('environment');
        expect(JSON.stringify([error.message, error.hint, error.details]), name).not.toContain(
          'a-value-nobody-sees',
        );
      }
      const values: unknown[] = [
        null,
        {},
        [],
        'a\0b',
        'x'.repeat(64 * 1024 + 1),
        `$\{env:lower}`,
        `a$\{env:HOME}`,
      ];
      for (const value of values) {
        const { isError, error } = await project.call('run', {
          workspace: 'baseline',
          reason: REASON,
          dry_run: true,
          config_override: { dump: { environment: { NAME: value } } },
        });
        expect(isError, String(value).slice(0, 20)).toBe(true);
        expect(error.code, String(value).slice(0, 20)).toMatch(/^(INVALID_CONFIG|INVALID_ARGUMENT)$/);
      }
      expect((await project.must('list_runs'))['runs']).toEqual([]);
    } finally {
      await project.dispose();
    }
  });
});
