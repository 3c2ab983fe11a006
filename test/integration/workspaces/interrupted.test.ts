import { cpSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { claimSlot, findSlot, markMounting, releaseSlot } from '../../../src/store/workspaces.ts';
import {
  errorOf,
  filesBelow,
  mountedProject,
  type Project,
  textsOf,
} from '../../support/workspaces-project.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

const slot = (...path: string[]): string => join(project.layout.slot('w1'), ...path);
const hidden = (name: string): string => join(project.layout.slots, `.w1.${name}`);
const mount = () => project.workspaces.mount({ workspace: 'a' });
const hibernate = () => project.workspaces.hibernate({ slot: 'w1', message: 'away' });

/**
 * What a death can leave between two steps, made by hand; the same with real deaths is in test/integration.
 * `whole` is the slot as it must come back: nothing lost, ignored files included.
 */
describe('a death in the middle', () => {
  const whole = {
    '.gitignore': '*.log\n',
    'a.log': 'ignored',
    'modules/b.log': 'ignored too',
    'modules/train.py': 'edited',
    'pipeline.yaml': 'name: demo\n',
  };

  async function prepare(): Promise<void> {
    project = await mountedProject();
    for (const [path, content] of Object.entries(whole)) project.write(`w1/${path}`, content);
  }

  async function expectWhole(): Promise<void> {
    expect(await mount()).toMatchObject({ slot: 'w1', dirty: false });
    const paths = await filesBelow(slot());
    expect(Object.fromEntries(paths.map((path) => [path, project.read(`w1/${path}`)]))).toEqual(whole);
    expect(readdirSync(project.layout.slots)).toEqual(['w1']);
    expect(await project.workspaces.checkpoint({ slot: 'w1', message: 'm' })).toMatchObject({
      created: false,
    });
  }

  it('of hibernate, with all, some or none of the files moved out, is finished by the next call', async () => {
    for (const moved of [
      [],
      ['pipeline.yaml'],
      ['a.log', 'modules'],
      ['.gitignore', 'a.log', 'modules', 'pipeline.yaml'],
    ]) {
      await prepare();
      await project.workspaces.checkpoint({ slot: 'w1', message: 'saved' });
      mkdirSync(hidden('leaving'));
      for (const name of moved) renameSync(slot(name), join(hidden('leaving'), name));
      expect(await project.workspaces.slotState('w1')).toMatchObject({ interrupted: true, dirty: false });
      expect(project.workspaces.get('a').slot).toBe('w1');
      await expectWhole();
      project.remove();
    }
    await prepare();
  });

  it('of hibernate, while versioned files are being deleted and ignored ones moved, is finished', async () => {
    for (const recover of [false, true]) {
      for (const gone of [['pipeline.yaml'], ['pipeline.yaml', 'modules/train.py', '.gitignore'], 'all']) {
        await prepare();
        await project.workspaces.checkpoint({ slot: 'w1', message: 'saved' });
        mkdirSync(hidden('left'));
        for (const name of readdirSync(slot())) renameSync(slot(name), join(hidden('left'), name));
        mkdirSync(join(project.layout.aside('a'), 'modules'), { recursive: true });
        renameSync(
          join(hidden('left'), 'modules', 'b.log'),
          join(project.layout.aside('a'), 'modules', 'b.log'),
        );
        if (gone === 'all') {
          renameSync(join(hidden('left'), 'a.log'), join(project.layout.aside('a'), 'a.log'));
          for (const name of readdirSync(hidden('left')))
            rmSync(join(hidden('left'), name), { recursive: true });
        } else {
          for (const path of gone) rmSync(join(hidden('left'), path));
        }
        if (recover) {
          await project.workspaces.recover();
          expect(project.workspaces.slots()[0]).toMatchObject({ workspace: null });
        }
        await expectWhole();
        expect(project.workspaces.version('a').version).toBe(2);
        project.remove();
      }
    }
    await prepare();
  });

  it('of mount, at any step, is finished by the next call and by recover', async () => {
    const states: Record<string, () => void> = {
      'before the claim': () => {
        mkdirSync(hidden('mounting'));
        writeFileSync(join(hidden('mounting'), 'partial'), '');
      },
      'files half written': () => {
        claimSlot(project.db, 'w1', 'a');
        mkdirSync(hidden('mounting'));
        writeFileSync(join(hidden('mounting'), 'pipeline.yaml'), 'half');
      },
      'some entries moved in': () => {
        claimSlot(project.db, 'w1', 'a');
        cpSync(join(project.root, 'version'), hidden('mounted'), { recursive: true });
        renameSync(join(hidden('mounted'), 'pipeline.yaml'), slot('pipeline.yaml'));
      },
      'all entries moved in, some ignored files back': () => {
        claimSlot(project.db, 'w1', 'a');
        cpSync(join(project.root, 'version'), slot(), { recursive: true });
        renameSync(join(project.layout.aside('a'), 'a.log'), slot('a.log'));
      },
    };
    for (const [name, leave] of Object.entries(states)) {
      for (const recover of [false, true]) {
        await prepare();
        cpSync(slot(), join(project.root, 'version'), {
          recursive: true,
          filter: (path) => !path.endsWith('.log'),
        });
        await hibernate();
        leave();
        if (recover) await project.workspaces.recover();
        await expectWhole().catch((cause: unknown) => {
          throw new Error(name, { cause });
        });
        project.remove();
      }
    }
    await prepare();
  });

  it('of rollback, before the slot was touched, is undone by the next call', async () => {
    for (const next of ['mount', 'recover', 'hibernate', 'rollback'] as const) {
      await prepare();
      mkdirSync(hidden('returning'));
      writeFileSync(join(hidden('returning'), 'pipeline.yaml'), 'half');
      expect(await project.workspaces.slotState('w1')).toMatchObject({ interrupted: false, dirty: true });
      if (next === 'recover') await project.workspaces.recover();
      if (next === 'hibernate') await hibernate();
      if (next === 'rollback') {
        await project.workspaces.rollback({ slot: 'w1', version: 'v1', reason: 'again' });
        expect(await filesBelow(slot())).toEqual([
          'a.log',
          'modules/b.log',
          'modules/train.py',
          'pipeline.yaml',
        ]);
      } else {
        await project.workspaces.mount({ workspace: 'a' });
        await project.workspaces.checkpoint({ slot: 'w1', message: 'saved' });
        await expectWhole();
      }
      expect(readdirSync(project.layout.slots)).toEqual(['w1']);
      project.remove();
    }
    await prepare();
  });

  /** Every state a rollback from v3 to v2, which is `whole`, can die in once the files of v2 lie ready. */
  const returning: Record<string, () => void> = {
    'nothing moved out': () => undefined,
    'some entries moved out': () => {
      mkdirSync(hidden('leaving'));
      for (const name of ['a.log', 'modules']) renameSync(slot(name), join(hidden('leaving'), name));
    },
    'all moved out and saved': () => {
      mkdirSync(hidden('left'));
      for (const name of readdirSync(slot())) renameSync(slot(name), join(hidden('left'), name));
    },
    'versioned files being deleted, ignored ones moved aside': () => {
      mkdirSync(hidden('left'));
      for (const name of readdirSync(slot())) renameSync(slot(name), join(hidden('left'), name));
      moveAside();
      rmSync(join(hidden('left'), 'pipeline.yaml'));
    },
    'the slot empty and not yet marked': () => {
      empty();
      mkdirSync(hidden('left'));
    },
    'the slot empty and marked': () => {
      empty();
      markMounting(project.db, 'w1');
    },
    'the files of the version moving in': () => {
      empty();
      markMounting(project.db, 'w1');
      renameSync(hidden('returned'), hidden('mounted'));
      renameSync(join(hidden('mounted'), 'pipeline.yaml'), slot('pipeline.yaml'));
    },
  };
  const moveAside = (): void => {
    mkdirSync(join(project.layout.aside('a'), 'modules'), { recursive: true });
    const from = readdirSync(slot()).length > 0 ? slot() : hidden('left');
    for (const path of ['a.log', 'modules/b.log'])
      renameSync(join(from, path), join(project.layout.aside('a'), path));
  };
  const empty = (): void => {
    moveAside();
    for (const name of readdirSync(slot())) rmSync(slot(name), { recursive: true });
    rmSync(project.layout.slotIndex('w1'));
  };

  async function dieReturning(state: string): Promise<void> {
    await prepare();
    await project.workspaces.checkpoint({ slot: 'w1', message: 'whole' });
    project.write('w1/modules/train.py', 'later');
    project.write('w1/more.txt', 'later');
    await project.workspaces.checkpoint({ slot: 'w1', message: 'later' });
    mkdirSync(join(hidden('returned'), 'modules'), { recursive: true });
    for (const path of ['.gitignore', 'modules/train.py', 'pipeline.yaml'] as const)
      writeFileSync(join(hidden('returned'), path), whole[path]);
    returning[state]?.();
    expect(await project.workspaces.slotState('w1')).toMatchObject({ interrupted: true, dirty: false });
  }

  async function expectReturned(newest: number): Promise<void> {
    const paths = await filesBelow(slot());
    expect(Object.fromEntries(paths.map((path) => [path, project.read(`w1/${path}`)]))).toEqual(whole);
    expect(readdirSync(project.layout.slots)).toEqual(['w1']);
    expect((await textsOf(project, 'a@v3'))['more.txt']).toBe('later');
    expect(project.workspaces.get('a').newest).toBe(newest);
    // In regard to v3, so the next version is v2 again.
    expect(await project.workspaces.dirty('w1')).toBe(newest === 3);
  }

  it.each(Object.keys(returning))(
    'of rollback, with %s, is finished by mount, recover and hibernate',
    { timeout: 120_000 },
    async (state) => {
      await dieReturning(state);
      await mount();
      await expectReturned(3);
      project.remove();

      await dieReturning(state);
      await project.workspaces.recover();
      await expectReturned(3);
      project.remove();

      await dieReturning(state);
      expect(await hibernate()).toMatchObject({ created: true, version: { version: 4 } });
      await mount();
      await expectReturned(4);
    },
  );

  it('of rollback is finished by a checkpoint and by another rollback', { timeout: 120_000 }, async () => {
    await dieReturning('versioned files being deleted, ignored ones moved aside');
    expect(await project.workspaces.checkpoint({ slot: 'w1', message: 'next' })).toMatchObject({
      created: true,
      version: { version: 4, treeSha: project.workspaces.version('a@v2').treeSha },
    });
    await expectReturned(4);
    project.remove();

    await dieReturning('some entries moved out');
    await project.workspaces.rollback({ slot: 'w1', version: 'v2', reason: 'again' });
    await expectReturned(4);
  });

  it('of rollback saves what was edited in the slot before it is finished', async () => {
    await dieReturning('some entries moved out');
    project.write('w1/late.txt', 'late');
    await mount();
    expect(await filesBelow(slot())).toEqual(Object.keys(whole).sort());
    expect(project.workspaces.version('a')).toMatchObject({ version: 4, createdBy: 'manual' });
    expect((await textsOf(project, 'a'))['late.txt']).toBe('late');
  });

  it('of rollback never overwrites what was written into the slot since it was emptied', async () => {
    await dieReturning('the slot empty and marked');
    project.write('w1/pipeline.yaml', 'by hand');
    expect(await errorOf(mount)).toMatchObject({
      code: 'SLOT_OCCUPIED',
      message: 'Files that Goldfish does not know stand in the way in w1: pipeline.yaml.',
    });
    expect(project.read('w1/pipeline.yaml')).toBe('by hand');
    renameSync(slot('pipeline.yaml'), join(project.root, 'kept.yaml'));
    await mount();
    await expectReturned(3);
  });

  it('of rollback with a file in the slot that no version can hold is undone, and the file left there', async () => {
    await dieReturning('nothing moved out');
    project.write('w1/big.bin', new Uint8Array(2_000_000));
    expect(await errorOf(mount)).toMatchObject({ code: 'FILE_TOO_LARGE' });
    expect(project.read('w1/modules/train.py')).toBe('later');
    expect(readdirSync(project.layout.slots)).toEqual(['w1']);
    rmSync(slot('big.bin'));
    expect(await mount()).toMatchObject({ dirty: false });
  });

  it('of mount does not cost what the user wrote into the slot meanwhile', async () => {
    await prepare();
    await hibernate();
    claimSlot(project.db, 'w1', 'a');
    mkdirSync(hidden('mounted'));
    for (const name of ['pipeline.yaml', 'other.txt'])
      writeFileSync(join(hidden('mounted'), name), 'from the version');
    project.write('w1/pipeline.yaml', 'by hand');
    expect(await errorOf(mount)).toMatchObject({
      code: 'SLOT_OCCUPIED',
      message: 'Files that Goldfish does not know stand in the way in w1: pipeline.yaml.',
    });
    expect(project.read('w1/pipeline.yaml')).toBe('by hand');
    renameSync(slot('pipeline.yaml'), join(project.root, 'kept.yaml'));
    await mount();
    expect(project.read('w1/pipeline.yaml')).toBe('from the version');
  });

  it('of hibernate saves what was edited in the slot before it is finished', async () => {
    await prepare();
    await project.workspaces.checkpoint({ slot: 'w1', message: 'saved' });
    mkdirSync(hidden('leaving'));
    renameSync(slot('modules'), join(hidden('leaving'), 'modules'));
    project.write('w1/late.txt', 'late');
    expect(await hibernate()).toMatchObject({ created: true, version: { version: 3 } });
    expect((await textsOf(project, 'a'))['late.txt']).toBe('late');
    await mount();
    expect(await filesBelow(slot())).toEqual([...Object.keys(whole), 'late.txt'].sort());
  });

  it('leaves the row of a slot whose hidden folder is unknown alone', async () => {
    await prepare();
    await hibernate();
    mkdirSync(hidden('leaving'));
    writeFileSync(join(hidden('leaving'), 'unknown'), 'x');
    expect(await errorOf(() => project.workspaces.mount({ workspace: 'a', slot: 'w1' }))).toMatchObject({
      code: 'SLOT_OCCUPIED',
    });
    expect(findSlot(project.db, 'w1')).toMatchObject({ workspace: null });
    releaseSlot(project.db, 'w1');
    rmSync(hidden('leaving'), { recursive: true });
  });
});
