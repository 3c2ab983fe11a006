import { MACHINE_POINTS } from './points.ts';
import { describeRentedPoints } from './try-all.ts';

describeRentedPoints({ who: 'the worker program or its machine', points: MACHINE_POINTS });
