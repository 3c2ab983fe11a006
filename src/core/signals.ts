/** Types a signal may have. `dataset` stands on inputs only. */
export const SIGNAL_TYPES = ['dataset', 'npy', 'npz', 'csv', 'parquet', 'json', 'file', 'directory'] as const;
export type SignalType = (typeof SIGNAL_TYPES)[number];

const EXTENSIONS: Partial<Record<SignalType, string>> = {
  npy: '.npy',
  npz: '.npz',
  csv: '.csv',
  parquet: '.parquet',
  json: '.json',
};

/** The file or folder name of a signal below an inputs or outputs folder: `features.npy`, `model`. */
export function signalFileName(name: string, type: SignalType): string {
  return `${name}${EXTENSIONS[type] ?? ''}`;
}
