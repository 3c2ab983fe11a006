/**
 * Puts on a Debian machine what the tests need and a plain one lacks: bubblewrap, a container engine that runs, the
 * image the tests use, a registry of images, an old Node, Python libraries. `GOLDFISH_SETUP=1 npm test` does it first;
 * may be repeated.
 */
import { setUp } from './setup/set-up.ts';

await setUp(console.log);
