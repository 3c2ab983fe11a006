// Mean temperature of each sensor in each hour of the day.
import { config, loadInput, logMetric, NdArray, saveOutput } from 'goldfish';

const { digits } = config();
const readings = loadInput('readings');
const sensors = [...new Set(readings.map(({ sensor }) => sensor))].sort();

const hours = sensors.map((sensor) =>
  Array.from({ length: 24 }, (_, hour) => {
    const own = readings.filter((row) => row.sensor === sensor && Number(row.time.slice(11, 13)) === hour);
    const mean = own.reduce((sum, { celsius }) => sum + celsius, 0) / own.length;
    return Number(mean.toFixed(digits));
  }),
);

saveOutput('hours', NdArray.from(hours));
saveOutput('sensors', sensors);
for (const [at, sensor] of sensors.entries()) logMetric(`${sensor}/warmest`, Math.max(...hours[at]));
