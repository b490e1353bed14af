/** The applications that the package is tried in, with every version exact. */

export interface Application {
  readonly name: string;
  readonly adapter: 'express' | 'fastify';
  /** Packages with their versions. */
  readonly dependencies: Readonly<Record<string, string>>;
  readonly typescript: string;
  /** How its TypeScript finds modules: as Nest's own template of that time does. */
  readonly module: 'commonjs' | 'nodenext';
}

const REST = { 'reflect-metadata': '0.2.2', rxjs: '7.8.2' };
const NEST_10 = { '@nestjs/common': '10.4.22', '@nestjs/core': '10.4.22', ...REST };
const NEST_11 = { '@nestjs/common': '11.2.10', '@nestjs/core': '11.2.10', ...REST };
const NEST_12 = { '@nestjs/common': '12.5.1', '@nestjs/core': '12.5.1', ...REST };
/** The oldest that the package supports, and the newest. */
const PG = { oldest: '8.11.0', newest: '8.23.1' };
const TYPEORM = { oldest: '0.3.20', last: '0.3.31', newest: '1.1.1' };

export const APPLICATIONS: readonly Application[] = [
  {
    name: 'nest-10-express-typeorm-0.3',
    adapter: 'express',
    dependencies: {
      ...NEST_10,
      '@nestjs/platform-express': '10.4.22',
      '@nestjs/typeorm': '10.0.2',
      typeorm: TYPEORM.oldest,
      pg: PG.oldest,
    },
    typescript: '5.1.6',
    module: 'commonjs',
  },
  {
    name: 'nest-11-express-typeorm-0.3',
    adapter: 'express',
    dependencies: {
      ...NEST_11,
      '@nestjs/platform-express': '11.2.10',
      '@nestjs/typeorm': '11.0.3',
      typeorm: TYPEORM.last,
      pg: PG.newest,
    },
    typescript: '5.9.3',
    module: 'nodenext',
  },
  {
    name: 'nest-11-fastify-typeorm-0.3',
    adapter: 'fastify',
    dependencies: {
      ...NEST_11,
      '@nestjs/platform-fastify': '11.2.8',
      '@nestjs/typeorm': '11.0.3',
      typeorm: TYPEORM.last,
      pg: PG.oldest,
    },
    typescript: '5.9.3',
    module: 'commonjs',
  },
  {
    name: 'nest-11-express-typeorm-1',
    adapter: 'express',
    dependencies: {
      ...NEST_11,
      '@nestjs/platform-express': '11.2.10',
      '@nestjs/typeorm': '11.0.3',
      typeorm: TYPEORM.newest,
      pg: PG.newest,
    },
    typescript: '5.9.3',
    module: 'nodenext',
  },
  {
    name: 'nest-12-fastify-typeorm-1',
    adapter: 'fastify',
    dependencies: {
      ...NEST_12,
      '@nestjs/platform-fastify': '12.5.0',
      '@nestjs/typeorm': '12.0.2',
      typeorm: TYPEORM.newest,
      pg: PG.newest,
    },
    typescript: '6.0.3',
    module: 'nodenext',
  },
  {
    name: 'nest-12-express-typeorm-1',
    adapter: 'express',
    dependencies: {
      ...NEST_12,
      '@nestjs/platform-express': '12.5.1',
      '@nestjs/typeorm': '12.0.2',
      typeorm: TYPEORM.newest,
      pg: PG.oldest,
    },
    typescript: '6.0.3',
    module: 'nodenext',
  },
];
