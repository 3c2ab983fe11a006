import type { CallOptions } from './port.ts';

/**
 * Where images lie for rented machines: an image builder pushes them there under a tag, machines pull them by digest.
 * Calls only ask; each request of theirs is bounded in time, and none is repeated.
 * Errors: BACKEND_UNAVAILABLE, retryable where it may pass; whatever the signal was aborted with.
 */
export type ImageRegistry = {
  /** What a tag points to now, as `sha256:<hex>`; undefined where nobody has pushed it. */
  digest(image: TaggedImage, options?: CallOptions): Promise<string | undefined>;
  /** Whether the image of a reference with a digest (`…/goldfish@sha256:<hex>`) is there. */
  exists(reference: string, options?: CallOptions): Promise<boolean>;
  /**
   * Whether the image of a reference with a digest, which is there, is the one that an engine knows by this id
   * (`sha256:<hex>`): whoever may push can put anything under a tag. False also where that cannot be told, as of a list of
   * images for several kinds of machines, unless the engine calls the list itself so.
   */
  isImage(reference: string, id: string, options?: CallOptions): Promise<boolean>;
  /** For an engine that pushes; null where nobody signs in. It holds for minutes: ask anew before each push. */
  login(options?: CallOptions): Promise<RegistryLogin | null>;
};

/** `repository`: with its registry and without a tag, as `europe-docker.pkg.dev/project/repository/goldfish`. */
export type TaggedImage = { repository: string; tag: string };

/** Secret: for the engine's ears only. */
export type RegistryLogin = { username: string; password: string };
