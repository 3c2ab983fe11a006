import { describe, expect, it } from 'vitest';
import { redact } from '../../src/core/redact.ts';

describe('a secret in a text', () => {
  it.each([
    ['the key is abcd1234.', ['abcd1234'], 'the key is ***.'],
    ['abcd1234abcd1234', ['abcd1234'], '******'],
    ['long-and-longer and long', ['long', 'long-and-longer'], '*** and ***'],
    [JSON.stringify({ pass: 'quo"te\\d' }), ['quo"te\\d'], '{"pass":"***"}'],
    ['costs $& and $1', ['$& and'], 'costs *** $1'],
    ['a yes is no secret', ['yes', ''], 'a yes is no secret'],
    ['nothing', [], 'nothing'],
    ['-----\nline one\n', ['line one\nline two'], '-----\n***\n'],
    ['?key=a%2Fb%20c%21', ['a/b c!'], '?key=***'],
    [Buffer.from('a/b c!').toString('base64'), ['a/b c!'], '***'],
    ['"p\\u00e4ss"', ['päss'], '"***"'],
  ])('goes, and nothing else: %s', (text, secrets, expected) => {
    expect(redact(text, secrets)).toBe(expected);
  });
});
