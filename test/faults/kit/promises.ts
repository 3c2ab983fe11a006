/** The promises of the contract that a fault can break, by the words docs/reliability.md uses. */
export const PROMISES = {
  provenance:
    'The exact files, config and inputs of a run are stored before it executes, and it executes those',
  'right-end': 'Every run ends in exactly one right terminal state, with its true cause',
  once: 'No run is executed twice, counted outside Goldfish',
  outputs: 'Outputs, logs and metrics are complete',
  edits: 'Edits in slots are never overwritten silently',
  'goes-on': 'Work goes on without a client',
  'no-leftovers': 'No process, container, mount or temporary folder is left',
  money: 'No machine is rented that is not needed, and none is left behind: its bill ends',
  'data-stays': 'Nothing escapes: no secret and no file of another run is readable',
  'clear-refusal': 'What cannot be done is refused with a clear error, and nothing is lost',
  'no-busy': 'Several processes share a project without lost updates',
} as const;
export type PromiseName = keyof typeof PROMISES;

export type Outcome = {
  /** What was done to it: `server killed at a random moment`. */
  fault: string;
  promise: PromiseName;
  /** `process`, `docker`, `gce`; absent where no backend has a part. */
  backend?: string;
  /** What was counted (runs, calls, names tried), and how many of them kept the promise. */
  trials: number;
  held: number;
  /** Figures worth a reader's time: `37 kills, 12 restarts`. */
  note?: string;
};
