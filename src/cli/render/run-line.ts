import { formatDuration } from './durations.ts';
import { isTrue, type Row, textAt, textsAt } from './fields.ts';
import { type Style, stateStyle } from './style.ts';

/** `prun-… of baseline@v2: completed, 4 runs (2 reused), 3.1 s`: a pipeline run, or the replicates of a call, in one line. */
export function runLine(
  answer: Row,
  now: { state: string; runs: readonly Row[] },
  look: { style: Style },
): string {
  const { state, runs } = now;
  const reused = runs.filter((row) => isTrue(row, 'cached')).length;
  const count = `${runs.length} ${runs.length === 1 ? 'run' : 'runs'}`;
  const parts = [
    look.style(stateStyle(state), state),
    reused === 0 ? count : `${count} (${reused} reused)`,
    tookText(runs),
  ];
  const ids = textsAt(answer, 'pipeline_run_ids');
  const name = `${ids.length > 1 ? ids.join(' ') : textAt(answer, 'pipeline_run_id')} of ${textAt(answer, 'workspace')}@${textAt(answer, 'version')}`;
  return `${name}: ${parts.filter((part) => part !== '').join(', ')}`;
}

/** From the first start to the last end, once all that started have ended. */
function tookText(runs: readonly Row[]): string {
  const started = runs.filter((row) => textAt(row, 'started_at') !== '');
  const starts = started.map((row) => Date.parse(textAt(row, 'started_at')));
  const ends = started.map((row) => Date.parse(textAt(row, 'ended_at')));
  if (started.length === 0 || ends.some(Number.isNaN)) return '';
  return formatDuration((Math.max(...ends) - Math.min(...starts)) / 1_000);
}
