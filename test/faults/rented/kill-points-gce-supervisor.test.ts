import { SUPERVISOR_POINTS } from './points.ts';
import { describeRentedPoints } from './try-all.ts';

describeRentedPoints({ who: 'the supervisor', points: SUPERVISOR_POINTS });
