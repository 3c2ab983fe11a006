import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { followBuild } from '../../../src/backends/docker/build-output.ts';

async function follow(messages: object[], cut = 7): Promise<{ lines: string[]; failure: unknown }> {
  const bytes = Buffer.from(messages.map((message) => `${JSON.stringify(message)}\r\n`).join(''));
  // In pieces that end anywhere, in the middle of a character too.
  const pieces = Array.from({ length: Math.ceil(bytes.length / cut) }, (_, index) =>
    bytes.subarray(index * cut, (index + 1) * cut),
  );
  const lines: string[] = [];
  const failure = await followBuild(Readable.from(pieces), (line) => void lines.push(line));
  return { lines, failure };
}

const out = (stream: string): object => ({ stream });
const err = (text: string): object => ({ stream: `\u001b[91m${text}\u001b[0m` });

it('joins the pieces of a line, of each stream on its own', async () => {
  const { lines } = await follow([
    out('no new'),
    err('to std'),
    out('line ü'),
    err('err\n'),
    out('\nnext\n'),
  ]);
  expect(lines).toEqual(['to stderr', 'no newline ü', 'next']);
});

it('ends an unfinished line before the engine’s own words, and at the end', async () => {
  const { lines } = await follow([
    out('Step 1/2 : RUN x\n'),
    out('no newline'),
    err('nor here'),
    out('Removing intermediate container abc\n'),
    out('last'),
  ]);
  expect(lines).toEqual([
    'Step 1/2 : RUN x',
    'no newline',
    'nor here',
    'Removing intermediate container abc',
    'last',
  ]);
});

it('takes every redraw of a progress bar for a line, and drops empty ones', async () => {
  expect((await follow([out('10%\r50%\r\n\n100%\n')])).lines).toEqual(['10%', '50%', '100%']);
});

it('tells a failure with the step it happened in and what came before', async () => {
  const { failure } = await follow([
    out('Step 1/2 : FROM x\n'),
    out('Step 2/2 : RUN y\n'),
    err('the reason'),
    { errorDetail: { code: 3, message: 'it failed' }, error: 'it failed' },
  ]);
  expect(failure).toEqual({
    message: 'it failed',
    step: 2,
    output: 'Step 1/2 : FROM x\nStep 2/2 : RUN y\nthe reason\n',
  });
});

it('tells of a download its milestones only', async () => {
  const { lines, failure } = await follow([
    { status: 'Pulling from library/python', id: '3.12' },
    { status: 'Downloading', id: 'abc', progress: '[=>  ]', progressDetail: { current: 1, total: 9 } },
    { status: 'Pull complete', id: 'abc', progressDetail: {} },
  ]);
  expect(lines).toEqual(['3.12: Pulling from library/python', 'abc: Pull complete']);
  expect(failure).toBeUndefined();
});
