/**
 * Goldfish's library for stages in Node.js: inputs, outputs, config, metrics, progress, checkpoints.
 *
 * Every call is synchronous: what it promises holds when it returns. Every error is a GoldfishError with one line.
 */

/** Something a stage's author can fix. The message is one line: what, why, what to do. */
export class GoldfishError extends Error {}

/** Any value that JSON can hold; whole numbers beyond 2^53 are read as BigInts. */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | JsonValue[]
  | { [key: string]: JsonValue };

/**
 * The stage's parameters: configs/<stage>.yaml with its overrides, without the keys that speak to Goldfish. A fresh
 * plain object at each call. Give it the type you expect: `config<{ rate: number }>()`.
 */
export function config<Config extends object = Record<string, unknown>>(): Config;

export interface RunInfo {
  runId: string;
  workspace: string;
  /** `v3`. */
  version: string;
  stage: string;
  /** Counts from 1. */
  attempt: number;
  /** Counts from 0; of the processes that run this stage together. */
  rank: number;
  worldSize: number;
}
export function runInfo(): RunInfo;

/** The path of an input: one file, or a folder for `directory` (and for a `dataset` of several files). Read-only. */
export function inputPath(name: string): string;

/** The path where an output must be when the stage ends: one file, or for `directory` a folder, made here. */
export function outputPath(name: string): string;

export interface LoadOptions {
  /** Nested lists instead of NdArrays. */
  plain?: boolean | undefined;
  /** For csv: a list of rows, the first one the header, instead of a list of objects. */
  rows?: boolean | undefined;
}
/**
 * The data of an input, by the type the pipeline declares: npy an NdArray; npz an object of them; csv a Table; json the
 * value; parquet, file, directory and dataset the path. Say what you expect: `loadInput<Table>('split')`.
 */
export function loadInput<Value = unknown>(name: string, options?: LoadOptions): Value;

export interface SaveOptions {
  /** Moves the file or folder instead of copying it. */
  move?: boolean | undefined;
}
/**
 * Saves an output where the pipeline expects it, whole or not at all, and returns that path. Saving again replaces.
 *
 * npy: an NdArray, a typed array or nested lists; npz: an object of them; csv: a list of objects or of rows (first row
 * the header), or text; json: any JSON value; file: bytes or text. Every type also takes a path: a file URL, or text
 * that names something that exists; a directory takes the path of a folder only. Equal values give equal bytes.
 */
export function saveOutput(name: string, value: unknown, options?: SaveOptions): string;

/**
 * Keeps a copy of a file or folder beside the outputs, under `artifacts/<name>` (default: its own name), for people and
 * tools to look at. It is not passed to other stages. Returns the copy's path.
 */
export function logArtifact(path: string | URL, name?: string): string;

type Step = number | { step?: number | undefined } | null;
/** Logs one number under a name ("loss", "train/accuracy"), at a step if given. NaN and infinities are kept. */
export function logMetric(name: string, value: number | bigint | boolean, step?: Step): void;
/** Logs several numbers of one step together: all of them, or none where one is wrong. */
export function logMetrics(values: Record<string, number | bigint | boolean>, step?: Step): void;
/** Says how far the stage is, from 0 to 1 (values beyond are cut), and what it is doing, in a few words. */
export function progress(fraction: number, message?: string): void;

/**
 * Touches the heartbeat now; a message (one short line) is kept in the file for whoever looks. Not needed for the run to
 * be seen alive: from the import on, a thread does it every 20 seconds.
 */
export function heartbeat(message?: string): void;
/**
 * True once the run has been asked to end (cancel, timeout, preemption): save what matters and return. Cheap enough for
 * every step. A program that asks has the grace period before SIGTERM; one that does not gets it at once.
 */
export function shouldStop(): boolean;

export interface CheckpointOptions {
  /** Kept with it. */
  step?: number | null | undefined;
  /** Older checkpoints of this name beyond that many are removed afterwards. */
  keep?: number | undefined;
}
/**
 * Saves a stage checkpoint. It is durable when this returns: a power cut does not take it back, nor does the end of a
 * rented machine. There it throws too where it is saved, and does not reach the bucket for minutes, or before the run is
 * to stop: then it is lost if the machine is.
 *
 * `value` is the path of a file or folder (a file URL, or text that names something that exists; it is copied), bytes,
 * an array (NdArray, typed array other than Uint8Array) or an object of arrays, or data that JSON can give back
 * unchanged (NaN and infinities included). Anything else is refused.
 */
export function saveCheckpoint(name: string, value: unknown, options?: number | CheckpointOptions): void;

export interface CheckpointChoice {
  /** Another run, whose checkpoints the call that started this one asked for. */
  runId?: string | undefined;
  name?: string | undefined;
}
/**
 * The newest whole checkpoint of this run (all attempts), or of another run it was given; null if there is none. Gives
 * back what was saved: the value (bytes as a Buffer, arrays as NdArrays), or for a file or folder the path of the copy
 * (do not change it). One that is damaged is named on stderr, and the one before it is taken.
 */
export function loadCheckpoint<Value = unknown>(choice?: string | CheckpointChoice): Value | null;

export interface CheckpointRow {
  name: string;
  step: number | null;
  attempt: number;
  time: string;
}
/** The checkpoints that `loadCheckpoint` may choose from, oldest first. */
export function listCheckpoints(runId?: string): CheckpointRow[];

export type Cell = null | boolean | number | string;
export type Row = { [column: string]: Cell };
/** A list of objects; `columns` keeps the order of the file, which objects lose for names such as "2020". */
export type Table = Row[] & { columns: string[] };

export type NdType =
  | 'bool'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'float32'
  | 'float64'
  | 'str'
  | 'bytes';
export type NdData =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array
  | string[]
  | Uint8Array[];
export type NdScalar = boolean | number | bigint | string | Uint8Array;
export type Nested = NdScalar | NdArray | NdData | Nested[];

/** A typed array with a shape, in C order: the last axis varies fastest. What an npy file holds. */
export class NdArray {
  /**
   * `data` is kept, not copied; `shape` is one axis by default; `dtype` is needed only for `bool`, whose data is a
   * Uint8Array of 0 and 1.
   */
  constructor(data: NdData, shape?: readonly number[], dtype?: NdType);
  /**
   * Nested lists (or lists of typed arrays) as one array. Numbers become float64, booleans bool, BigInts int64, texts
   * str; typed arrays keep their type; `dtype` asks for another, and throws where a value does not fit.
   */
  static from(value: Nested, dtype?: NdType): NdArray;
  data: NdData;
  shape: number[];
  dtype: NdType;
  /** One item, by one index per axis. */
  get(...index: number[]): NdScalar;
  /** A row of an array of two axes: a view into its data, not a copy. */
  row(index: number): NdData;
  /** A copy of a column of an array of two axes. */
  column(index: number): NdData;
  /** All items as numbers. Throws where a 64-bit integer has no exact one. */
  numbers(): Float64Array;
  /** One list per axis. 64-bit integers become numbers where all of them fit, else BigInts. */
  toNested(): Nested;
}
