import { createSimulator } from '../gce-simulator/simulator.ts';
import { createManualTime } from '../gce-simulator/time.ts';
import { simulatedCompute } from '../support/simulated-compute.ts';
import { describeComputeCalls } from './compute-calls.ts';
import { contractMachine } from './compute-calls-kit.ts';

describeComputeCalls('The simulator in the same process', {
  open: async () => {
    const time = createManualTime();
    const simulator = createSimulator({ time, createMachine: contractMachine });
    return {
      calls: simulatedCompute(simulator),
      simulator,
      settled: async (work) => {
        let isOver = false;
        const end = (): void => {
          isOver = true;
        };
        work.then(end, end);
        await time.until(() => isOver);
        return work;
      },
      dispose: async () => undefined,
    };
  },
});
