import library = require('./index.js');

export * from './index.js';
export default library;
