import { describe, expect, it } from 'vitest';
import { imageSchema } from '../../src/config/fields.ts';

const HEX = '0123456789abcdef'.repeat(4);

describe('the name of an image', () => {
  it.each([
    ...[
      'python',
      'python:3.12-slim',
      'my/own:1',
      'a__b/c-d.e:V_1',
      'localhost:5000/x',
      'Registry.example/x/y:1',
    ],
    `europe-docker.pkg.dev/project/repository/image@sha256:${HEX}`,
    `python:3.12@sha256:${HEX}`,
  ])('may be %s', (image) => {
    expect(imageSchema.safeParse(image).success).toBe(true);
  });

  it.each([
    ...[
      '',
      ' ',
      '-v',
      '--privileged',
      'python --privileged',
      'python\n--privileged',
      '../x',
      '/etc/passwd',
      'a//b',
    ],
    ...[
      'http://127.0.0.1/x',
      'Python',
      'python:',
      'python:-1',
      'python@sha256:0a',
      '@sha256:x',
      'a/../b',
      'a:b:c',
    ],
    `python@sha256:${HEX}\n`,
    'x'.repeat(300),
  ])('may not be %j', (image) => {
    expect(imageSchema.safeParse(image).success).toBe(false);
  });
});
