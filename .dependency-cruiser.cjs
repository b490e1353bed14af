/**
 * The rules of ARCHITECTURE.md that follow from imports. Each has a test with a planted violation in
 * test/architecture; the rules that imports do not show are checked by test/architecture/tidy.ts.
 *
 * @type {import('dependency-cruiser').IConfiguration}
 */
module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'A reader meets each file once, so no file leads back to where they came from.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'folders-through-index',
      comment: 'A folder of src is used through its index.ts; its other files are its own affair.',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { path: '^src/[^/]+/', pathNot: ['^src/[^/]+/index\\.ts$', '^src/$1/'] },
    },
    {
      name: 'processes-through-index',
      comment: 'The same for the files directly in src.',
      severity: 'error',
      from: { path: '^src/[^/]+\\.ts$' },
      to: { path: '^src/[^/]+/', pathNot: '^src/[^/]+/index\\.ts$' },
    },
    {
      name: 'entities-stay-home',
      comment:
        'payments/, customers/ and refunds/ reach each other through their services: rows and ' +
        'repositories never leave the folder.',
      severity: 'error',
      from: { path: '^src/(payments|customers|refunds)/index\\.ts$' },
      to: { path: '\\.(entity|repository|store)\\.ts$' },
    },
    {
      name: 'idempotency-stands-alone',
      comment:
        'idempotency/ is a package of its own in all but name: it knows nothing else of src.',
      severity: 'error',
      from: { path: '^src/idempotency/' },
      to: { path: '^src/', pathNot: '^src/idempotency/' },
    },
    {
      name: 'client-stands-alone',
      comment: 'client/ runs where the server is not, browsers included.',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { path: '^src/', pathNot: '^src/client/' },
    },
    {
      name: 'nobody-imports-the-processes',
      comment: 'main, worker, keys and acquirer start something; importing them would start it.',
      severity: 'error',
      from: { path: '^(src|test)/' },
      to: { path: '^src/(main|worker|commands/\\w+)\\.ts$' },
    },
    {
      name: 'src-without-tests',
      comment: 'What runs in production knows nothing of the tests.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'only-installed-for-production',
      comment: 'src runs without the development dependencies.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'resolvable',
      comment: 'An import that leads nowhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    // Imports of types alone count too: they tie folders together as much.
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.d.ts', '.json'],
    },
  },
};
