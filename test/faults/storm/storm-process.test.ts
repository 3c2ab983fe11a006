import { describeStorms } from './storms.ts';

describeStorms('process', { there: true, needs: '' });
