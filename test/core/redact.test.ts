import { describe, expect, it } from 'vitest';
import { wrapperRequest } from '../../src/backends/start-wrapper.ts';
import { hiddenWords, redact } from '../../src/core/redact.ts';

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
    ['?key=a+b%21', ['a b!'], '?key=***'],
    ['?key=a%2fb%20c!', ['a/b c!'], '?key=***'],
    ['\'it\\\\s "so"\'', ['it\\s "so"'], "'***'"],
    ['6B65792D', ['key-'], '***'],
    ['the bytes are 6b65792d31.', ['key-1'], 'the bytes are ***.'],
    [Buffer.from('??>>~~').toString('base64url'), ['??>>~~'], '***'],
  ])('goes, and nothing else: %s', (text, secrets, expected) => {
    expect(redact(text, secrets)).toBe(expected);
  });

  it('goes where base64 has it somewhere in the middle, but for the letters it shares with its neighbours', () => {
    for (const before of ['', 'u', 'us', 'user:', 'people:']) {
      for (const after of ['', '@', '@x', '@host']) {
        const text = Buffer.from(`${before}a-secret-of-some-length${after}`).toString('base64');
        const hidden = redact(text, ['a-secret-of-some-length']);
        expect(hidden, text).toMatch(/^.{0,10}\*\*\*.{0,12}$/);
        expect(Buffer.from(hidden.split('***')[0] ?? '', 'base64').toString(), text).not.toContain('a-');
      }
    }
  });

  it('is one list of words, longest first, which the log of a run is searched for, too', () => {
    const words = hiddenWords(['päss "word"', 'two\nlines']);
    expect(words).toEqual([...words].sort((a, b) => b.length - a.length));
    expect(words).toEqual(expect.arrayContaining(['päss "word"', 'lines']));
    expect(words.filter((word) => word.length < 4 || word.includes('\n'))).toEqual([]);
    expect(JSON.parse(wrapperRequest({ TOKEN: 'päss "word"' }))).toEqual({
      secrets: { TOKEN: 'päss "word"' },
      hidden: hiddenWords(['päss "word"']),
    });
  });
});
