import { relative } from 'node:path';
import { z } from 'zod';
import type { VitestReport } from './test-report.ts';

/** Pure parts of `check:issue`: which tests stand for which line of an issue, and what they say about it. */

const lineSchema = z.strictObject({
  line: z.string().min(1),
  /** `file`, or `file > part of a title`. */
  tests: z.array(z.string().min(1)).default([]),
  /** Words separated by spaces; ends with 0 when the line holds. */
  commands: z.array(z.string().min(1)).default([]),
});
const issueSchema = z.strictObject({
  title: z.string().min(1),
  delivers: z.array(lineSchema).min(1),
  done_when: z.array(lineSchema).min(1),
});

type TestReference = { file: string; title: string | null };
export type IssueLine = { part: string; text: string; tests: TestReference[]; commands: string[] };
export type Issue = { title: string; lines: IssueLine[] };
export type TestResult = { file: string; name: string; status: string };
export type JudgedLine = { part: string; text: string; ok: boolean; items: string[] };

export function parseIssue(document: unknown): Issue {
  const { title, delivers, done_when } = issueSchema.parse(document);
  const toLine = (part: string) => (line: z.output<typeof lineSchema>) => ({
    part,
    text: line.line,
    tests: line.tests.map(toReference),
    commands: line.commands,
  });
  return { title, lines: [...delivers.map(toLine('Delivers')), ...done_when.map(toLine('Done when'))] };
}

function toReference(text: string): TestReference {
  const [file = '', ...title] = text.split(' > ');
  return { file, title: title.length === 0 ? null : title.join(' > ') };
}

/** @param root absolute path of the repository */
export function testsOf(report: VitestReport, root: string): TestResult[] {
  return report.testResults.flatMap((file) =>
    file.assertionResults.map((test) => ({
      file: relative(root, file.name),
      name: test.fullName,
      status: test.status,
    })),
  );
}

/** A line holds when it names something, all of it is there, and all of it passed. */
export function judgeLines(
  issue: Issue,
  results: readonly TestResult[],
  commands: ReadonlyMap<string, boolean>,
): JudgedLine[] {
  return issue.lines.map((line) => {
    const judged = [
      ...line.tests.map((test) => judgeTest(test, results)),
      ...line.commands.map((command) => {
        const ok = commands.get(command) === true;
        return { ok, text: `${ok ? 'passed' : 'failed'}  ${command}` };
      }),
    ];
    if (judged.length === 0) judged.push({ ok: false, text: 'no test stands for this line' });
    return {
      part: line.part,
      text: line.text,
      ok: judged.every((item) => item.ok),
      items: judged.map((item) => item.text),
    };
  });
}

/** What no setup brings: `(needs gcloud: by hand, …)`. Its absence is no failure; its line says that it was not tried. */
const BY_HAND = /\(needs [^():]+: by hand\b/;

function judgeTest(reference: TestReference, results: readonly TestResult[]): { ok: boolean; text: string } {
  const { file, title } = reference;
  const found = results.filter((test) => test.file === file && (title === null || test.name.includes(title)));
  const passed = found.filter((test) => test.status === 'passed').length;
  const absent = found.filter(isLeftOut).length;
  const named = title === null ? file : `${file} > ${title}`;
  const ok = found.length > 0 && passed + absent === found.length;
  const left = absent === 0 ? '' : `, ${absent} not run for want of what comes by hand`;
  return {
    ok,
    text: `${found.length === 0 ? 'missing' : `${passed}/${found.length} passed${left}`}  ${named}`,
  };
}

function isLeftOut({ name, status }: TestResult): boolean {
  return status !== 'passed' && status !== 'failed' && BY_HAND.test(name);
}
