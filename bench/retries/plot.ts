/** The arrivals of several runs as one SVG: a column for each outage, a row for each policy. */
import { BUCKET_MS, type Outage } from './run';

export interface Panel {
  readonly title: string;
  /** What the figures say about it, in a few words. */
  readonly note: string;
  readonly arrivals: readonly number[];
}

export interface Column {
  readonly title: string;
  readonly outage: Outage;
  readonly panels: readonly Panel[];
}

export interface Picture {
  readonly title: string;
  /** The picture in words, for whoever cannot see it. */
  readonly description: string;
  readonly columns: readonly Column[];
  /** What the server can serve, requests per bucket. */
  readonly capacity: number;
  /** Where the axis ends, requests per bucket: a higher bar is cut off, and its panel says how high it is. */
  readonly top: number;
}

/** Everything in user units; a reader's page makes them about pixels. */
const LEFT = 52;
const TOP = 24;
const WIDTH = 400;
const HEIGHT = 84;
const GAP = 36;
const BETWEEN_COLUMNS = 44;
const FOOT = 74;

const STYLE = `
  svg { font: 12px system-ui, sans-serif; }
  .page { fill: #ffffff; } .ink { fill: #1f2328; } .faint { fill: #59636e; }
  .bars { fill: #0969da; } .axis { stroke: #59636e; } .grid { stroke: #d1d9e0; }
  .frozen { fill: #fff0c2; } .dead { fill: #ffdcd7; } .capacity { stroke: #bc4c00; stroke-dasharray: 4 3; }
  .bold { font-weight: 600; } .small { font-size: 11px; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; } .ink { fill: #f0f6fc; } .faint { fill: #9198a1; }
    .bars { fill: #4493f8; } .axis { stroke: #9198a1; } .grid { stroke: #3d444d; }
    .frozen { fill: #3b2f0b; } .dead { fill: #4a1c1a; } .capacity { stroke: #f0883e; }
  }`;

export function draw(picture: Picture): string {
  const { columns } = picture;
  const rows = Math.max(...columns.map(({ panels }) => panels.length));
  const width = LEFT + columns.length * (WIDTH + BETWEEN_COLUMNS) - 20;
  const bottom = TOP + rows * (HEIGHT + GAP);
  const height = bottom + FOOT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title desc">`,
    `<title id="title">${escape(picture.title)}</title>`,
    `<desc id="desc">${escape(picture.description)}</desc>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="page" width="${width}" height="${height}"/>`,
    ...columns.flatMap((column, index) =>
      drawColumn(column, LEFT + index * (WIDTH + BETWEEN_COLUMNS), picture),
    ),
    text(-(TOP + (bottom - TOP) / 2), 12, `attempts per ${BUCKET_MS} ms`, {
      class: 'faint',
      anchor: 'middle',
      more: ' transform="rotate(-90)"',
    }),
    ...legend(bottom + 52, picture),
    '</svg>',
    '',
  ].join('\n');
}

function drawColumn(column: Column, left: number, picture: Picture): string[] {
  const bottom = TOP + (column.panels.length - 1) * (HEIGHT + GAP) + GAP + HEIGHT;
  const seconds = column.outage.untilMs / 1_000;
  const ticks = Array.from({ length: Math.floor(seconds / 10) + 1 }, (_, tick) => tick * 10);
  return [
    text(left, 24, column.title, { class: 'ink bold' }),
    ...column.panels.flatMap((panel, row) =>
      drawPanel(panel, { left, top: TOP + GAP + row * (HEIGHT + GAP) }, column.outage, picture),
    ),
    ...ticks.map((tick) =>
      text(left + (tick / seconds) * WIDTH, bottom + 16, `${tick} s`, {
        class: 'faint small',
        anchor: 'middle',
      }),
    ),
  ];
}

function drawPanel(
  { title, note, arrivals }: Panel,
  { left, top }: { readonly left: number; readonly top: number },
  outage: Outage,
  picture: Picture,
): string[] {
  const x = (ms: number) => round(left + (ms / outage.untilMs) * WIDTH);
  const y = (count: number) =>
    round(top + HEIGHT * (1 - Math.min(count, picture.top) / picture.top));
  const band = (name: string, from: number, to: number) =>
    `<rect class="${name}" x="${x(from)}" y="${top}" width="${round(x(to) - x(from))}" height="${HEIGHT}"/>`;
  const line = (name: string, count: number) =>
    `<line class="${name}" x1="${left}" x2="${left + WIDTH}" y1="${y(count)}" y2="${y(count)}"/>`;
  const marks = [0, picture.top / 2, picture.top];
  const frozenUntil = outage.diesAt ?? outage.endsAt;
  return [
    band('frozen', outage.freezesAt, frozenUntil),
    ...(outage.diesAt === undefined ? [] : [band('dead', outage.diesAt, outage.endsAt)]),
    ...marks.slice(1).map((mark) => line('grid', mark)),
    bars(arrivals, left, top + HEIGHT, picture.top),
    line('capacity', picture.capacity),
    line('axis', 0),
    ...marks.map((mark) =>
      text(left - 5, y(mark) + 4, mark.toLocaleString('en'), {
        class: 'faint small',
        anchor: 'end',
      }),
    ),
    text(left, top - 8, title, { class: 'ink' }),
    text(left + WIDTH, top - 8, note, { class: 'faint small', anchor: 'end' }),
  ];
}

/** One outline around all bars of a panel, in steps of one bucket and one attempt: the picture holds the counts. */
function bars(arrivals: readonly number[], left: number, bottom: number, top: number): string {
  let height = 0;
  const steps = arrivals.map((count) => {
    const step = Math.min(count, top) - height;
    height += step;
    return step === 0 ? 'h1' : `v${step}h1`;
  });
  const scale = `scale(${WIDTH / arrivals.length} ${-HEIGHT / top})`;
  return `<path class="bars" transform="translate(${left} ${bottom}) ${scale}" d="M0 0${steps.join('')}V0z"/>`;
}

function legend(baseline: number, { columns }: Picture): string[] {
  const box = (name: string, x: number) =>
    `<rect class="${name}" x="${x}" y="${baseline - 10}" width="16" height="11"/>`;
  const label = (x: number, words: string) => text(x, baseline, words, { class: 'ink small' });
  const entries = [
    [box('bars', LEFT), label(LEFT + 22, `attempts that reach the server`)],
    [box('frozen', LEFT + 210), label(LEFT + 232, 'frozen: takes requests, sends no responses')],
    ...(columns.some(({ outage }) => outage.diesAt !== undefined)
      ? [[box('dead', LEFT + 450), label(LEFT + 472, 'dead: refuses connections')]]
      : []),
    [
      `<line class="capacity" x1="${LEFT + 632}" x2="${LEFT + 656}" y1="${baseline - 4}" y2="${baseline - 4}"/>`,
      label(LEFT + 662, 'what the server can serve'),
    ],
  ];
  return entries.flat();
}

interface TextOptions {
  readonly class: string;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly more?: string;
}

function text(
  x: number,
  y: number,
  words: string,
  { class: name, anchor = 'start', more = '' }: TextOptions,
): string {
  return `<text class="${name}" x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${more}>${escape(words)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
