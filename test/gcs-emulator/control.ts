import { ApiError } from '../support/google-api-error.ts';
import { type Answer, json } from './answer.ts';
import type { GcsEmulator } from './emulator.ts';
import type { Fault } from './faults.ts';
import type { Limits } from './handle.ts';

/**
 * What tests in another process ask the emulator for, below `/emulator/`:
 * - `POST faults` (a list of `Fault`), `DELETE faults`
 * - `POST clock {skewMs}`, `POST limits` (some of `Limits`)
 * - `GET uploads?bucket=NAME`: names of unfinished uploads
 * - `GET requests`: the operations since the start, in order
 */
export function control(emulator: GcsEmulator, method: string, url: URL, body: string): Answer {
  const asked = `${method} ${url.pathname.slice('/emulator/'.length)}`;
  const given = (): unknown => JSON.parse(body);
  switch (asked) {
    case 'POST faults':
      emulator.faults.add(...(given() as Fault[]));
      return json({});
    case 'DELETE faults':
      emulator.faults.clear();
      return json({});
    case 'POST clock':
      emulator.skewMs = (given() as { skewMs: number }).skewMs;
      return json({});
    case 'POST limits':
      Object.assign(emulator.limits, given() as Partial<Limits>);
      return json({});
    case 'GET uploads':
      return json(emulator.uploads.open(url.searchParams.get('bucket') ?? ''));
    case 'GET requests':
      return json(emulator.requests);
    default:
      throw new ApiError(404, 'notFound', `The emulator has no ${asked}`);
  }
}
