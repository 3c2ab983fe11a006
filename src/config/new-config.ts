import { requireName } from '../core/names.ts';

/** The text of goldfish.yaml for a new project. Errors: INVALID_ARGUMENT for a bad name. */
export function renderNewConfig(name: string): string {
  requireName(name, 'project');
  // Quoted, so that a name like 007, null or 1e3 stays a name.
  return `# Settings of this Goldfish project. Every key and its default: goldfish.example.yaml in the package.
project_name: '${name}'

# slots: 3                    # editable copies of workspaces, workspaces/w1 and so on
# defaults:
#   timeout_seconds: 3600     # a stage that runs longer is stopped
# process:
#   python: python3           # the interpreter behind a first word "python" in a command
`;
}
