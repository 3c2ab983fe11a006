import { type InstanceResource, lastPart } from './resources.ts';

/** A value, or a folder of them. Numbers are bigints because ids do not fit a double. */
export type MetadataNode = string | bigint | MetadataNode[] | MetadataFolder;
export type MetadataFolder = { [name: string]: MetadataNode };

export type MetadataFacts = {
  instance: InstanceResource;
  project: string;
  projectNumber: bigint;
  preempted: boolean;
};

/** What a machine can learn of itself. Tokens are not part of it, because folders do not show them (see tokenPath). */
export function metadataTree({ instance, project, projectNumber, preempted }: MetadataFacts): MetadataFolder {
  const zone = `projects/${projectNumber}/zones/${lastPart(instance.zone)}`;
  const accounts = (instance.serviceAccounts ?? []).flatMap(({ email, scopes }) => {
    const account = { aliases: ['default'], email, scopes };
    return [
      ['default', account],
      [email, account],
    ] as const;
  });
  return {
    instance: {
      attributes: Object.fromEntries(
        (instance.metadata.items ?? []).map(({ key, value }): [string, string] => [key, value]),
      ),
      'cpu-platform': instance.cpuPlatform,
      description: instance.description ?? '',
      disks: instance.disks.map(({ deviceName, index, mode, type }) => ({
        'device-name': deviceName,
        index: BigInt(index),
        interface: 'SCSI',
        mode,
        type,
      })),
      hostname: `${instance.name}.${lastPart(instance.zone)}.c.${project}.internal`,
      id: BigInt(instance.id),
      'machine-type': `projects/${projectNumber}/machineTypes/${lastPart(instance.machineType)}`,
      'maintenance-event': 'NONE',
      name: instance.name,
      preempted: preempted ? 'TRUE' : 'FALSE',
      scheduling: {
        'automatic-restart': instance.scheduling.automaticRestart ? 'TRUE' : 'FALSE',
        'on-host-maintenance': instance.scheduling.onHostMaintenance,
        preemptible: instance.scheduling.preemptible ? 'TRUE' : 'FALSE',
      },
      'service-accounts': Object.fromEntries(accounts),
      tags: instance.tags.items ?? [],
      zone,
    },
    project: { attributes: {}, 'numeric-project-id': projectNumber, 'project-id': project },
    universe: { 'universe-domain': 'googleapis.com' },
  };
}

export function findNode(tree: MetadataFolder, path: string): MetadataNode | undefined {
  let node: MetadataNode | undefined = tree;
  for (const name of path.split('/').filter(Boolean)) {
    if (typeof node !== 'object') return undefined;
    if (Array.isArray(node)) node = node[Number(name)];
    else node = Object.hasOwn(node, name) ? node[name] : undefined;
  }
  return node;
}

/** Names are in camel case here, those of attributes and accounts as they are. */
export function renderJson(node: MetadataNode, verbatim = false): string {
  if (typeof node === 'string') return JSON.stringify(node);
  if (typeof node === 'bigint') return node.toString();
  if (Array.isArray(node)) return `[${node.map((item) => renderJson(item)).join(',')}]`;
  const fields = Object.entries(node).map(([name, value]) => {
    const shown = verbatim ? name : name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    return `${JSON.stringify(shown)}:${renderJson(value, name === 'attributes' || name === 'service-accounts')}`;
  });
  return `{${fields.join(',')}}`;
}

/** A value as it is; a folder as the names in it, folders marked by `/`; recursively as `path value` lines. */
export function renderText(node: MetadataNode, recursive: boolean): string {
  if (typeof node !== 'object') return String(node);
  if (recursive) return pathsBelow(node, '').join('');
  const names = Object.entries(node).map(([name, value]) => (typeof value === 'object' ? `${name}/` : name));
  return names.map((name) => `${name}\n`).join('');
}

function pathsBelow(node: MetadataNode, at: string): string[] {
  if (typeof node !== 'object') return [`${at} ${node}\n`];
  return Object.entries(node).flatMap(([name, value]) => pathsBelow(value, at ? `${at}/${name}` : name));
}

/** The account that a path asks a token of: `instance/service-accounts/<account>/token`. */
export function tokenPath(path: string): string | undefined {
  return /^instance\/service-accounts\/([^/]+)\/token$/.exec(path)?.[1];
}
