import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { asCommand, shellWord } from '../../../src/cli/render/as-command.ts';

describe('a tool call as a command line', () => {
  it.each([
    [{ tool: 'initialize_project', arguments: { name: 'fish' } }, 'goldfish init fish'],
    [{ tool: 'status', arguments: {} }, 'goldfish status'],
    [{ tool: 'list_runs', arguments: { pipeline_run_id: 'prun-1' } }, 'goldfish runs --pipeline-run prun-1'],
    [{ tool: 'logs', arguments: { run_id: 'stage-1', tail: 50 } }, 'goldfish logs stage-1 --tail 50'],
    [{ tool: 'wait', arguments: { targets: ['prun-1', 'prun-2'] } }, 'goldfish wait prun-1 prun-2'],
    [
      { tool: 'run', arguments: { workspace: 'w', stages: ['a', 'b'], reason: 'make the missing input' } },
      "goldfish run w --stage a --stage b --reason 'make the missing input'",
    ],
    [
      { tool: 'run', arguments: { workspace: 'w', use_cache: false, dry_run: true } },
      'goldfish run w --no-cache --dry-run',
    ],
    [{ tool: 'run', arguments: { workspace: 'w', use_cache: true, dry_run: false } }, 'goldfish run w'],
    [{ tool: 'warm_pool_status', arguments: {} }, 'goldfish pool'],
    [
      { tool: 'warm_pool_cleanup', arguments: { reason: 'not needed', worker: 'goldfish-a1' } },
      "goldfish pool cleanup goldfish-a1 --reason 'not needed'",
    ],
  ])('uses the command of its own: %j', (call, expected) => {
    expect(asCommand(call)).toBe(expected);
  });

  it.each([
    [{ tool: 'inspect_run', arguments: { run_id: 'x' } }, `goldfish call inspect_run '{"run_id":"x"}'`],
    [{ tool: 'metrics', arguments: {} }, 'goldfish call metrics'],
    [
      { tool: 'run', arguments: { workspace: 'w', config_override: { a: { b: 1 } } } },
      `goldfish call run '{"workspace":"w","config_override":{"a":{"b":1}}}'`,
    ],
    [{ tool: 'cancel', arguments: { target: '-f' } }, `goldfish call cancel '{"target":"-f"}'`],
    [{ tool: 'constructor', arguments: {} }, 'goldfish call constructor'],
  ])('falls back to "call" where there is none that says it all: %j', (call, expected) => {
    expect(asCommand(call)).toBe(expected);
  });

  it('names the project that was named', () => {
    expect(asCommand({ tool: 'status', arguments: {} }, { project: 'my dir' })).toBe(
      "goldfish status --project 'my dir'",
    );
  });

  it('quotes so that a shell hands on exactly the same words', () => {
    const words = ["it's", '$HOME `id` "x"', 'a b\nc', '', '!', '*', '~', 'ä=ö', '-x', '\\'];
    const shell = spawnSync('sh', ['-c', `printf '%s\\0' ${words.map(shellWord).join(' ')}`], {
      encoding: 'utf8',
    });
    expect(shell.stdout.split('\0').slice(0, -1)).toEqual(words);
  });
});
