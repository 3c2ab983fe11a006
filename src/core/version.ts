/** This program's version. Equal to that of package.json, which a test checks; a constant, so that nothing is read at start. */
export const GOLDFISH_VERSION = '0.1.0';
