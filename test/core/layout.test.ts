import { sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectLayout } from '../../src/core/layout.ts';

/** Every path of a layout; functions are called with harmless arguments. */
function paths(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value === 'object' && value !== null) return Object.values(value).flatMap(paths);
  return [];
}

describe('the layout of a project', () => {
  const layout = projectLayout('/p');
  const attempt = layout.attempt('stage-0a1b2c3d4e5f', 2);

  it('keeps private state below the state folder, and only files of the user outside', () => {
    const { root, config, slots, ...state } = layout;
    expect([root, config, slots, layout.slot('w1')]).toEqual([
      '/p',
      '/p/goldfish.yaml',
      '/p/workspaces',
      '/p/workspaces/w1',
    ]);
    const derived = [
      layout.slotIndex('w1'),
      layout.slotLock('w1'),
      layout.aside('exp'),
      layout.checkout('abc'),
      layout.run('stage-1'),
      ...paths(attempt),
    ];
    for (const path of [...paths(state), ...derived]) expect(path.startsWith('/p/.goldfish')).toBe(true);
  });

  it('moves all of the state with the state folder', () => {
    const moved = projectLayout('/p', '/elsewhere/state');
    expect(moved.database).toBe('/elsewhere/state/goldfish.db');
    expect(moved.attempt('stage-1', 1).result).toBe('/elsewhere/state/runs/stage-1/1/exit.json');
    expect(moved.slot('w1')).toBe('/p/workspaces/w1');
  });

  it('gives each attempt its own folder and all of them the same checkpoints', () => {
    const first = layout.attempt('stage-0a1b2c3d4e5f', 1);
    expect(first.dir).not.toBe(attempt.dir);
    expect(first.checkpoints).toBe(attempt.checkpoints);
    const { checkpoints, ...own } = attempt;
    for (const path of paths(own)) expect(path.startsWith(attempt.dir)).toBe(true);
    expect(checkpoints.startsWith(attempt.dir + sep)).toBe(false);
  });

  it('gives no two things the same path', () => {
    const all = [...paths(layout), ...paths(attempt)];
    expect(new Set(all).size).toBe(all.length);
  });

  it('shows paths relative to the root', () => {
    expect(layout.shown(layout.slot('w1'))).toBe('workspaces/w1');
    expect(layout.shown(layout.config)).toBe('goldfish.yaml');
  });
});
