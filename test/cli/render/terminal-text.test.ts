import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainLine, terminalJson, terminalText } from '../../../src/cli/render/terminal-text.ts';

const ESC = '\u001b';
const COLOUR = new RegExp(`${ESC}\\[[0-9;:]*m`, 'g');
const shown = (text: string): string => terminalText(text, { colour: true });

describe('text of a program on a terminal', () => {
  it('stays as it is where it holds no control characters', () => {
    expect(shown('plain\ttext\nnaïve 数据 🐟')).toBe('plain\ttext\nnaïve 数据 🐟');
  });

  it('keeps colours and ends them with the line', () => {
    expect(shown(`${ESC}[31mred\nnext`)).toBe(`${ESC}[31mred${ESC}[0m\nnext`);
  });

  it('loses its colours where none are wanted', () => {
    expect(terminalText(`${ESC}[1;31mred${ESC}[0m`, { colour: false })).toBe('red');
  });

  it.each([
    ['sets the title', `${ESC}]0;owned\u0007text`, 'text'],
    ['fills the clipboard', `a${ESC}]52;c;ZWNobw==${ESC}\\b`, 'ab'],
    ['asks the terminal to answer', `${ESC}[6n${ESC}[c${ESC}Zx`, 'x'],
    ['moves the cursor and clears the screen', `a${ESC}[2J${ESC}[Hb${ESC}[1Ac`, 'abc'],
    ['resets the terminal', `${ESC}cx`, 'x'],
    ['switches the character set', `${ESC}(0x`, 'x'],
    ['speaks in 8 bit codes', `\u009b2Jx\u009d0;t\u009cy\u0090q\u009cz`, 'xyz'],
    ['sends a device string', `${ESC}P1$qm${ESC}\\x`, 'x'],
    ['rings and backspaces', 'a\u0007b\u0008c\u007fd\u0000e', 'abcde'],
    ['ends in the middle of a sequence', `x${ESC}[31`, 'x31'],
    ['ends with the escape character', `x${ESC}`, 'x'],
  ])('cannot do harm: a line that %s', (_what, line, expected) => {
    expect(shown(line)).toBe(expected);
  });

  it('does not lose the rest of a line to a string that never ends', () => {
    expect(shown(`${ESC}]0;title and the rest`)).toBe('0;title and the rest');
  });

  it('shows the last state of a line that rewrites itself', () => {
    expect(shown('10 %\r50 %\r100 %\r')).toBe('100 %');
    expect(shown('windows\r\nlines\r\n')).toBe('windows\nlines\n');
  });

  it('holds no control character but tab, line feed and those of a colour, whatever came in', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        ESC,
        '[',
        ']',
        'm',
        '0',
        ';',
        '\u0007',
        '\\',
        '\u009b',
        '\u009c',
        '\r',
        '\n',
        'P',
        '(',
        '31',
      ),
      fc.nat(0xff).map((code) => String.fromCharCode(code)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const rest = shown(pieces.join('')).replaceAll(COLOUR, '');
        expect(rest).not.toMatch(/[^\P{Cc}\t\n]/u);
      }),
    );
  });

  it('takes a megabyte of hostile introducers in its stride', () => {
    const started = performance.now();
    shown(`${ESC}]`.repeat(500_000));
    shown(`${`${ESC}]x\u009c`.repeat(250_000)}\u0007`);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

describe('other text on a terminal', () => {
  it('is one plain line in a cell or a message', () => {
    expect(plainLine(` a\n\tb ${ESC}[31mc${ESC}[0m `)).toBe('a b c');
  });

  it('is escaped in JSON where JSON itself leaves it', () => {
    const value = { a: 'x\u009b2J\u007f' };
    const json = terminalJson(JSON.stringify(value, null, 2));
    expect(json).toBe('{\n  "a": "x\\u009b2J\\u007f"\n}');
    expect(JSON.parse(json)).toEqual(value);
  });
});
