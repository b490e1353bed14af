/** The types of the ES module: those of the CommonJS one, which exports the same names. */
export * from './index.js';
