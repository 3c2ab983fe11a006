import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

type Saved = { number: number; name: string; step?: number; content?: string; runId?: string };

/** A stage checkpoint as the libraries save it; its id. */
export function saveStageCheckpoint(folder: string, saved: Saved): string {
  const { number, name, step = null, content = `state ${number}`, runId = 'stage-000000000000' } = saved;
  const id = `${String(number).padStart(8, '0')}-${name}`;
  mkdirSync(join(folder, id), { recursive: true });
  writeFileSync(join(folder, id, 'data.bin'), content);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const manifest = {
    schema: 1,
    name,
    step,
    kind: 'bytes',
    data: 'data.bin',
    run_id: runId,
    attempt: 1,
    time: '2026-01-01T00:00:00.000Z',
    files: [{ path: 'data.bin', size: content.length, sha256 }],
  };
  writeFileSync(join(folder, id, 'manifest.json'), JSON.stringify(manifest));
  return id;
}
