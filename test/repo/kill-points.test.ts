import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { KILL_POINTS, nameOf } from '../faults/kill-points/points.ts';
import { MACHINE_POINTS, nameOf as nameOfRented, SUPERVISOR_POINTS } from '../faults/rented/points.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MARKER = /^\s*(?:\/\/|#) kill point: ([a-z-]+\/[a-z-]+)$/;

type Line = { place: string; text: string };

function linesOf(folder: string, extension: string): Line[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith(extension))
    .flatMap((name) => {
      const text = readFileSync(join(ROOT, folder, name), 'utf8');
      return text.split('\n').map((line, at) => ({ place: `${folder}/${name}:${at + 1}`, text: line }));
    });
}

const lines = [...linesOf('src', '.ts'), ...linesOf('runtime', '.py')];
const mentions = lines.filter(({ text }) => /kill.?point/i.test(text));
const names = mentions.flatMap(({ text }) => MARKER.exec(text)?.[1] ?? []);

it('marks each place between two steps with a name of its own', () => {
  expect(names.length).toBeGreaterThan(30);
  expect([...new Set(names)].sort()).toEqual([...names].sort());
});

it('kills at every marked place, under every name once', () => {
  const rented = [...SUPERVISOR_POINTS, ...MACHINE_POINTS];
  const points = [...KILL_POINTS, ...rented];
  const killed = points.map(({ at }) => at.at(-1) ?? '');
  expect([...new Set(points.flatMap(({ at }) => at))].sort()).toEqual([...names].sort());
  expect([...new Set(killed)].sort()).toEqual([...names].sort());
  expect(new Set(KILL_POINTS.map(nameOf)).size).toBe(KILL_POINTS.length);
  expect(new Set(rented.map(nameOfRented)).size).toBe(rented.length);
});

it('leaves nothing but comments on lines of their own in what is shipped', () => {
  expect(mentions.filter(({ text }) => !MARKER.test(text))).toEqual([]);
  expect(lines.filter(({ text }) => /goldfish_?kill/i.test(text))).toEqual([]);
});
