import { readFileSync } from 'node:fs';
import { assetPath } from './assets.ts';

/** This program's version, as its package.json says. */
export const GOLDFISH_VERSION: string = readVersion();

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(assetPath('package.json'), 'utf8'));
  const known = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return known ? String(manifest.version) : '0.0.0';
}
