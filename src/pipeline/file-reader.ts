/**
 * The files of a workspace, wherever they lie: a version in the hidden store, or a slot as it is now.
 * Paths are relative to the workspace's root, with forward slashes. The pipeline room reads through nothing else.
 */
export type FileReader = {
  /** Every file, without folders. */
  list(): Promise<string[]>;
  /** The text of a file, or null where there is none. */
  read(path: string): Promise<string | null>;
};
