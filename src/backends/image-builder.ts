import type { RegistryLogin } from './image-registry.ts';
import type { CallOptions } from './port.ts';

/**
 * Makes images. An image is named by what it is made of, so it is built once: a name that is there is never built
 * again, and several that ask at once get one build. Pushes them, for backends whose machines are elsewhere.
 */
export type ImageBuilder = {
  /**
   * Finds the image of that name or builds it; no container of the build remains. Lines go to `onLine`.
   * Errors: INVALID_CONFIG with file and line where the recipe is at fault; BACKEND_UNAVAILABLE, STORAGE_UNAVAILABLE.
   */
  build(recipe: ImageRecipe, options: CallOptions & { onLine: (text: string) => void }): Promise<BuiltImage>;
  /**
   * Sends an image to a registry under a tag, and tells its digest there: `sha256:<hex>`. What the registry has is not
   * sent again. Here nothing of it remains, but of an image without a name: that keeps this one. Lines go to `onLine`.
   * Errors: BACKEND_UNAVAILABLE, retryable where it may pass.
   */
  push(
    image: ImagePush,
    options: CallOptions & { onLine: (text: string) => void },
  ): Promise<{ digest: string }>;
};

export type ImageRecipe = {
  /** `goldfish-<key>`: lower-case letters, digits and `-`. */
  name: string;
  /** The Dockerfile's path in the context. */
  file: string;
  /** Everything a recipe may copy, by path with forward slashes. */
  context: ContextEntry[];
  /** Values a recipe may take that say how to build, not what: proxies. They do not remain in the image. */
  settings: Record<string, string>;
  labels: Record<string, string>;
  /** Says what a failing step means in the user's own files, where the recipe is not one of them. */
  explain?: (failure: { message: string; output: string }) => Error;
};

export type ContextEntry =
  | { path: string; kind: 'text'; text: string }
  /** A file on this machine, copied with its mode. */
  | { path: string; kind: 'file'; source: string; executable: boolean }
  | { path: string; kind: 'link'; target: string }
  | { path: string; kind: 'folder' };

export type BuiltImage = {
  /** What the image truly is, whatever its name points to later: `sha256:<hex>`. */
  id: string;
  /** True where it was there already. */
  found: boolean;
};

export type ImagePush = {
  /** As `BuiltImage` has it. */
  id: string;
  /** With its registry and without a tag: `europe-docker.pkg.dev/project/repository/goldfish`. */
  repository: string;
  tag: string;
  /** Null: nobody signs in. */
  login: RegistryLogin | null;
};
