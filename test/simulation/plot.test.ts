/** The guide's plot shows the figures of the simulation. */
import { draw } from '../../bench/retries/plot';

const outage = { freezesAt: 100, diesAt: 300, endsAt: 500, untilMs: 800 };
const arrivals = [20, 20, 0, 700, 555, 3, 3, 21];

function picture(): string {
  return draw({
    title: 'Waves & peaks',
    description: 'A peak of 700 < 1,000',
    columns: [{ title: 'A crash', outage, panels: [{ title: 'one', note: 'peak 700', arrivals }] }],
    capacity: 40,
    top: 600,
  });
}

/** Follows the outline of the bars, bucket by bucket. */
function counts(outline: string): number[] {
  let height = 0;
  return [...outline.matchAll(/(?:v(-?\d+))?h1/g)].map(([, step = '0']) => {
    height += Number(step);
    return height;
  });
}

it('has a bar for each count, cut off where the axis ends', () => {
  const [, outline = ''] = /class="bars" transform="[^"]+" d="([^"]+)"/.exec(picture()) ?? [];
  expect(counts(outline)).toEqual(arrivals.map((count) => Math.min(count, 600)));
});

it('shades the outage where it was', () => {
  const bands = [
    ...picture().matchAll(/class="(frozen|dead)" x="([\d.]+)" y="60" width="([\d.]+)"/g),
  ];
  // 400 units for 800 ms, from 52 on.
  expect(bands.map(([, name, x, width]) => [name, Number(x), Number(width)])).toEqual([
    ['frozen', 102, 100],
    ['dead', 202, 100],
  ]);
});

it('has a title and a description, with nothing in them that ends an element early', () => {
  expect(picture()).toContain('<title id="title">Waves &amp; peaks</title>');
  expect(picture()).toContain('<desc id="desc">A peak of 700 &lt; 1,000</desc>');
  expect(picture()).not.toContain('NaN');
});
