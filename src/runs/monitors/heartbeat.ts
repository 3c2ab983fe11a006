import type { Heartbeat, Monitor, RankSilence } from './monitor.ts';
import { passed } from './passed.ts';

/** Silence counts from the first look at the running rank, so a rank has the whole time for its first beat. */
export const heartbeatMonitor: Monitor = {
  remember: (memory, { at, heartbeats }) => ({
    ...memory,
    heartbeats: new Map(
      heartbeats.map(({ rank, heartbeat }) => [
        rank,
        listen(memory.heartbeats.get(rank), { at, now: heartbeat }),
      ]),
    ),
  }),
  judge: ({ heartbeats }, { heartbeatTimeoutSeconds: limit }) => {
    if (limit === null) return undefined;
    for (const [rank, silence] of heartbeats) {
      if (silence.silentMs <= limit * 1000) continue;
      const because = { rank, message: silenceSentence(rank, silence, limit) };
      return { kind: 'stop', finding: { reason: 'heartbeat', because } };
    }
    return undefined;
  },
};

function listen(before: RankSilence | undefined, { at, now }: { at: number; now: Heartbeat }): RankSilence {
  const beatMs = now.kind === 'beat' ? now.mtimeMs : (before?.beatMs ?? null);
  if (before === undefined || beatMs !== before.beatMs) return { lookedAt: at, silentMs: 0, beatMs, now };
  return { lookedAt: at, silentMs: before.silentMs + passed(before.lookedAt, at), beatMs, now };
}

function silenceSentence(rank: number, { now, beatMs }: RankSilence, limit: number): string {
  if (now.kind === 'unreadable') {
    return `The heartbeat of rank ${rank} could not be read for ${limit} s (${now.why}).`;
  }
  if (now.kind === 'beat') return `The heartbeat of rank ${rank} stopped: no new one came for ${limit} s.`;
  return beatMs === null
    ? `The heartbeat of rank ${rank} is missing: none came within ${limit} s of its start.`
    : `The heartbeat of rank ${rank} is missing: its file was removed and none came for ${limit} s.`;
}
