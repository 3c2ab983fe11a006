import { hashJson } from '../../core/json.ts';

export type SupervisorUnit = {
  project: { name: string; root: string };
  /** Absolute paths of Node and of the launcher. */
  node: string;
  launcher: string;
  /** What `PATH` is here: the user's manager has another one, in which a Python or an engine's client may be missing. */
  searchPath: string;
};

/** What systemd does not take as it is between quotes, systemd.syntax(7) and systemd.unit(5). */
const ESCAPED: Record<string, string> = { '\\': '\\\\', '"': '\\"', '%': '%%' };
/** systemd takes no program with one of these in its path. */
const NO_PROGRAM = /["'\\\p{Cc}]/u;

/**
 * A unit for the user's own systemd that supervises the project from the user's login on, until nothing is left to do. It
 * ends where another supervisor is at work, and looks again. What it has started is not its own to end: wrappers of
 * runs outlive it, as they do otherwise.
 */
export function supervisorUnit(of: SupervisorUnit): { name: string; text: string } {
  const { name: project, root } = of.project;
  // Two projects may have one name.
  const name = `goldfish-${project}-${hashJson(root).slice('sha256:'.length).slice(0, 8)}.service`;
  const words = [of.launcher, 'supervisor', '--project', root].map(argument);
  const text = `# Save this as ~/.config/systemd/user/${name}; then: systemctl --user enable --now ${name}
[Unit]
Description=Goldfish supervisor of ${project}

[Service]
ExecStart=${program(of.node)} ${words.join(' ')}
Environment=${quoted(`PATH=${of.searchPath}`)}
Restart=on-failure
RestartSec=30
KillMode=process
OOMPolicy=continue

[Install]
WantedBy=default.target
`;
  return { name, text };
}

/** In its place no `$` means a variable. */
function program(path: string): string {
  return NO_PROGRAM.test(path) ? `/usr/bin/env ${argument(path)}` : quoted(path);
}

function argument(word: string): string {
  return quoted(word).replaceAll('$', '$$$$');
}

function quoted(word: string): string {
  const escaped = word.replaceAll(/[\\"%\p{Cc}]/gu, (char) => ESCAPED[char] ?? hex(char));
  return `"${escaped}"`;
}

/** Byte by byte, as beyond ASCII there are two. */
function hex(char: string): string {
  return [...Buffer.from(char)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}
