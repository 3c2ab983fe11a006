import type { CreateMachine } from './machine.ts';
import { type MetadataServer, startMetadataServer } from './metadata-server.ts';

/** Addresses of 127.0.10.0/24, which every Linux machine has without being told. */
const NET = '127.0.10.';
const FIRST = 2;
const LAST = 254;

/** Gives each machine a metadata server on a loopback address of its own for as long as it is on. */
export function withMetadataServers(
  createMachine: CreateMachine,
  {
    port,
    onAddress = () => undefined,
  }: { port: number; onAddress?: (name: string, address: string) => void },
): CreateMachine {
  const taken = new Set<number>();
  return (context) => {
    const machine = createMachine(context);
    /** There while the machine is on; it may still be coming up. */
    let serving: { number: number; server: Promise<MetadataServer> } | undefined;
    const close = async (): Promise<void> => {
      const closing = serving;
      if (!closing) return;
      serving = undefined;
      await (await closing.server).close();
      taken.delete(closing.number);
    };
    return {
      ...machine,
      start: async (cycle) => {
        let number = FIRST;
        while (taken.has(number)) number += 1;
        if (number > LAST) throw new Error('All addresses for metadata servers are taken.');
        taken.add(number);
        const server = startMetadataServer({ metadata: context.metadata, host: `${NET}${number}`, port });
        const mine = { number, server };
        serving = mine;
        onAddress(context.name, (await server).address);
        // The power may have been cut meanwhile.
        if (serving === mine) await machine.start(cycle);
      },
      kill: async () => {
        await machine.kill();
        await close();
      },
    };
  };
}
