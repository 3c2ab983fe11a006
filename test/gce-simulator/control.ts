import { z } from 'zod';
import { type FaultInput, faultSchema } from './faults.ts';
import type { OtherRequests } from './http-server.ts';
import type { Simulator } from './simulator.ts';

const EVENTS = ['preempt', 'stop', 'vanish', 'breakHost'] as const;

/**
 * What people and other processes can see and bring about, beside the API:
 * `GET /simulator` shows instances, disks, calls, bills and faults; `POST /simulator/faults` adds one;
 * `POST /simulator/instances/<name>/<event>` makes one happen now.
 */
export function controlPage(simulator: Simulator): OtherRequests {
  return (method, path, body) => {
    if (!/^\/simulator(\/|$)/.test(path)) return undefined;
    try {
      if (method === 'GET' && path === '/simulator') return { status: 200, body: report(simulator) };
      if (method === 'POST' && path === '/simulator/faults') {
        const fault: FaultInput = faultSchema.parse(JSON.parse(body));
        simulator.faults.add(fault);
        return { status: 200, body: { faults: simulator.faults.pending() } };
      }
      const [, name = '', event] = /^\/simulator\/instances\/([^/]+)\/(\w+)$/.exec(path) ?? [];
      const known = EVENTS.find((one) => one === event);
      if (method === 'POST' && known) {
        simulator[known](name);
        return { status: 200, body: report(simulator) };
      }
    } catch (error) {
      const message = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
      return { status: 400, body: { error: message } };
    }
    return { status: 404, body: { error: `There is no ${method} ${path}.` } };
  };
}

function report(simulator: Simulator): unknown {
  return {
    instances: simulator.instances().map(({ name, zone, status, scheduling }) => ({
      name,
      zone: zone.slice(zone.lastIndexOf('/') + 1),
      status,
      model: scheduling.provisioningModel,
    })),
    disks: simulator.disks().map(({ name, users }) => ({ name, attached: users !== undefined })),
    calls: simulator.calls.counts(),
    usages: simulator.ledger.usages(),
    usd: simulator.ledger.usd(),
    faults: simulator.faults.pending(),
  };
}
