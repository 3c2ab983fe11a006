import { describe, expect, it } from 'vitest';
import { judgeLines, parseIssue, testsOf } from '../../scripts/issue-lines.ts';

const ISSUE = parseIssue({
  title: 'Something',
  delivers: [
    { line: 'a whole file', tests: ['test/a.test.ts'] },
    { line: 'one test', tests: ['test/a.test.ts > says what'] },
    { line: 'nothing at all' },
  ],
  done_when: [{ line: 'a command', commands: ['npm run lint'] }],
});
const results = (status: string) => [
  { file: 'test/a.test.ts', name: 'a thing says what it is', status: 'passed' },
  { file: 'test/a.test.ts', name: 'a thing ends', status },
];
const judge = (status: string, command = true) =>
  judgeLines(ISSUE, results(status), new Map([['npm run lint', command]])).map((line) => line.ok);

describe('the lines of an issue', () => {
  it('hold when everything they name passed; a line that names nothing never holds', () => {
    expect(judge('passed')).toEqual([true, true, false, true]);
  });

  it.each(['failed', 'skipped', 'pending'])('do not hold when a test they name is %s', (status) => {
    expect(judge(status)).toEqual([false, true, false, true]);
  });

  it('hold where a test did not run for want of what only a hand can bring, and say so', () => {
    const named = (status: string, needs: string) => [
      { file: 'test/a.test.ts', name: 'a thing says what it is', status: 'passed' },
      { file: 'test/a.test.ts', name: `a thing ends (needs ${needs})`, status },
    ];
    const [line] = judgeLines(ISSUE, named('skipped', 'a program: by hand, as its page says'), new Map());
    expect(line).toMatchObject({
      ok: true,
      items: ['1/2 passed, 1 not run for want of what comes by hand  test/a.test.ts'],
    });
    for (const [status, needs] of [
      ['failed', 'a program: by hand'],
      ['skipped', 'a program: GOLDFISH_SETUP=1 npm test'],
    ] as const) {
      expect(judgeLines(ISSUE, named(status, needs), new Map())[0]?.ok, needs).toBe(false);
    }
  });

  it('do not hold when a test they name is not there, or a command failed', () => {
    const empty = judgeLines(ISSUE, [], new Map());
    expect(empty.map((line) => line.ok)).toEqual([false, false, false, false]);
    expect(empty[1]?.items).toEqual(['missing  test/a.test.ts > says what']);
    expect(judge('passed', false)).toEqual([true, true, false, false]);
  });

  it('are refused with a key that nobody reads', () => {
    expect(() => parseIssue({ title: 'x', delivers: [{ line: 'y', test: [] }], done_when: [] })).toThrow();
  });

  it('find tests by their path in the repository', () => {
    const report = {
      testResults: [
        {
          name: '/somewhere/repo/test/a.test.ts',
          status: 'passed',
          message: '',
          assertionResults: [{ fullName: 'a b', status: 'passed' }],
        },
      ],
    };
    expect(testsOf(report, '/somewhere/repo')).toEqual([
      { file: 'test/a.test.ts', name: 'a b', status: 'passed' },
    ]);
  });
});
