/** Jest compiles with swc to CommonJS, the ESM packages of NestJS included (docs/decisions/0001). */
const swc = {
  sourceMaps: 'inline',
  module: { type: 'commonjs' },
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
    keepClassNames: true,
  },
};

module.exports = {
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  moduleFileExtensions: ['ts', 'js', 'mjs', 'json', 'node'],
  transform: { '^.+\\.(ts|js|mjs)$': ['@swc/jest', { ...swc, swcrc: false }] },
  transformIgnorePatterns: [
    '/node_modules/(?!(.*/)?(@nestjs|file-type|strtok3|token-types|uint8array-extras|@borewit|@tokenizer|load-esm|cookie)/)',
  ],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  // A bound against hanging, not a measure: the slowest test takes a fraction of it on a slow machine.
  testTimeout: 120_000,
  maxWorkers: 2,
};
