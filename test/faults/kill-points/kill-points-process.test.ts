import { describeKillPoints } from './try-all.ts';

describeKillPoints('process', { there: true, needs: '' });
