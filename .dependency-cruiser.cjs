/**
 * The rooms inside a folder of src, from the lowest layer to the highest. A room knows those of lower layers
 * alone; what stands in the folder itself knows them all.
 */
const LAYERS = {
  idempotency: [
    ['card-numbers', 'contract'],
    ['request'],
    ['store'],
    ['attempts', 'replays'],
    ['pipeline'],
    ['recovery'],
  ],
  'idempotency/conformance': [['probe'], ['checks']],
  wire: [['schema'], ['errors'], ['params', 'request', 'response']],
  payments: [['payment-methods'], ['charges'], ['payment-intents']],
};

/** One rule for each room: what it may not import. */
const roomsBelow = Object.entries(LAYERS).flatMap(([folder, layers]) =>
  layers.flatMap((rooms, layer) =>
    rooms.map((room) => ({
      name: 'rooms-have-a-direction',
      comment: `${folder}/${room} knows the rooms below it alone: ${layers.slice(0, layer).flat().join(', ') || 'none'}.`,
      severity: 'error',
      from: { path: `^src/${folder}/${room}/` },
      to: {
        path: `^src/${folder}/`,
        pathNot: `^src/${folder}/(${[...layers.slice(0, layer).flat(), room].join('|')})/`,
      },
    })),
  ),
);

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
      to: { circular: true },
    },
    {
      name: 'no-cycle-of-rooms',
      comment: 'No folder of src leads back to itself through another, type-only imports counted.',
      severity: 'error',
      scope: 'folder',
      from: { path: '^src/' },
      to: { circular: true },
    },
    ...roomsBelow,
    {
      name: 'store-behind-its-port',
      comment: 'The module chooses the store; everyone else of idempotency/ speaks to the port.',
      severity: 'error',
      from: {
        path: '^src/idempotency/',
        pathNot: ['^src/idempotency/(store/postgres/|idempotency\\.module\\.ts$|index\\.ts$)'],
      },
      to: { path: '^src/idempotency/store/postgres/' },
    },
    {
      name: 'database-in-the-adapter',
      comment: 'Of idempotency/, the PostgreSQL store alone knows TypeORM and pg.',
      severity: 'error',
      from: {
        path: '^src/idempotency/',
        pathNot: '^src/idempotency/store/postgres/',
      },
      to: { path: '(^|/)node_modules/(typeorm|pg|@types/pg|@nestjs/typeorm)/' },
    },
    {
      name: 'gateway-is-a-port',
      comment: 'What a payment asks of a gateway names no adapter.',
      severity: 'error',
      from: { path: '^src/gateway/gateway\\.ts$' },
      to: { path: '^src/gateway/adapters/' },
    },
    {
      name: 'acquirer-is-another-company',
      comment: 'The simulated acquirer knows nothing of those who call it.',
      severity: 'error',
      from: { path: '^src/sandbox-acquirer/' },
      to: { path: '^src/', pathNot: '^src/(sandbox-acquirer|runtime)/' },
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
        'Resources reach each other through their services: rows and repositories never leave the folder. ' +
        'database/ offers what theirs are made of; idempotency/, jobs/ and sandbox-acquirer/ are no resources.',
      severity: 'error',
      from: {
        path: '^src/[^/]+/index\\.ts$',
        pathNot: '^src/(database|idempotency|jobs|sandbox-acquirer)/',
      },
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
      name: 'conformance-stands-alone',
      comment:
        'The conformance kit checks any server: it takes nothing but Node.js, and nothing takes it.',
      severity: 'error',
      from: { path: '^src/idempotency/conformance/' },
      to: { pathNot: '^src/idempotency/conformance/', dependencyTypesNot: ['core'] },
    },
    {
      name: 'conformance-stands-alone',
      comment: 'The conformance kit is a program: applications with the module do not load it.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/idempotency/conformance/' },
      to: { path: '^src/idempotency/conformance/' },
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
      comment: 'main, worker and the commands start something; importing them would start it.',
      severity: 'error',
      from: { path: '^(src|test)/' },
      to: { path: '^src/(main|worker|commands/\\w+|idempotency/conformance/\\w+-command)\\.ts$' },
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
    // idempotency/ and client/ have a package.json of their own; test/packages/cut.ts holds them to it.
    combinedDependencies: true,
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
