import { describe, expect, it } from 'vitest';
import { errorScrub, projectScrub, scrubDeep } from '../../src/tools/scrub.ts';

const paths = {
  root: '/home/anna/p (1)',
  stateDir: '/home/anna/p (1)/.goldfish',
  checkouts: '/home/anna/p (1)/.goldfish/code',
};

describe('paths in answers', () => {
  it.each([
    ['/home/anna/p (1)/workspaces/w1/pipeline.yaml', 'workspaces/w1/pipeline.yaml'],
    [
      'File "/home/anna/p (1)/.goldfish/code/0123abcd/modules/train.py", line 3',
      'File "modules/train.py", line 3',
    ],
    ['cwd is /home/anna/p (1)/.goldfish/code/0123abcd', 'cwd is .'],
    ['/home/anna/p (1)/.goldfish/runs/stage-1/1/log', '.goldfish/runs/stage-1/1/log'],
    ['in /home/anna/p (1)', 'in .'],
    ['File "/usr/lib/python3.11/json.py"', 'File "/usr/lib/python3.11/json.py"'],
  ])('%s reads %s', (from, to) => {
    expect(projectScrub(paths)(from)).toBe(to);
  });

  it('become relative wherever they stand in an answer', () => {
    const answer = { a: ['/home/anna/p (1)/x', { '/home/anna/p (1)/k': 1 }], n: 1, z: null };
    expect(scrubDeep(answer, projectScrub(paths))).toEqual({ a: ['x', { k: 1 }], n: 1, z: null });
  });

  it.each([
    ["ENOENT: no such file, open '/etc/shadow'", "ENOENT: no such file, open '<path>'"],
    ['at run (/opt/goldfish/src/x.ts:1:2)', 'at run (<path>)'],
    ['path=/tmp/a b', 'path=<path> b'],
    ['//etc/passwd', '<path>'],
    ['/tmp', '<path>'],
    ['workspaces/w1 and/or 1/2', 'workspaces/w1 and/or 1/2'],
    ['../../etc/passwd', '../../etc/passwd'],
    [
      'see https://example.org/a/b and goldfish://runs/x',
      'see https://example.org/a/b and goldfish://runs/x',
    ],
    ['/home/anna/p (1)/workspaces/w1', 'workspaces/w1'],
  ])('in an error, %s reads %s', (from, to) => {
    expect(errorScrub(paths)(from)).toBe(to);
  });
});
