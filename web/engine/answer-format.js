// Owns `response_format`: what an answer has to be, as the worker is asked for it.
import { boolean, invalid, kindOf, knownOptions, oneOf, text, textOr } from './option-checks.js';

/** Levels of a schema: the core copies and reads it by recursion. */
const kMostDepth = 100;

/**
 * OpenAI's formats, and `grammar` with a GBNF (docs/grammar.md).
 * @param {unknown} given
 * @returns {{ grammar: string, json_schema?: unknown }}
 */
export function answerFormat(given) {
  if (given === undefined) return { grammar: '' };
  const format = knownOptions(given, new Set(['type', 'json_schema', 'grammar']), 'response_format');
  const types = /** @type {const} */ (['text', 'json_object', 'json_schema', 'grammar']);
  const type = oneOf(format, 'type', types);
  for (const field of ['json_schema', 'grammar']) {
    if (field !== type && format[field] !== undefined)
      throw invalid(`response_format.${field}`, format[field], `type: '${field}' beside it`);
  }
  switch (type) {
    case 'json_object':
      return { grammar: '', json_schema: { type: 'object' } };
    case 'json_schema':
      return { grammar: '', json_schema: schemaOf(format.json_schema) };
    case 'grammar': {
      const grammar = text(format.grammar, 'response_format.grammar');
      if (grammar.trim() === '') throw invalid('response_format.grammar', grammar, 'a grammar');
      return { grammar };
    }
    default:
      return { grammar: '' };
  }
}

/** @param {unknown} given {name, description, strict, schema}; every schema is kept to strictly */
function schemaOf(given) {
  const name = 'response_format.json_schema';
  if (kindOf(given) !== 'Object') throw invalid(name, given, '{name, schema}');
  const named = knownOptions(given, new Set(['name', 'description', 'strict', 'schema']), name);
  textOr(named, 'name', '');
  textOr(named, 'description', '');
  boolean(named, 'strict', true);
  const { schema } = named;
  if (kindOf(schema) !== 'Object') throw invalid(`${name}.schema`, schema, 'a JSON schema');
  if (!isJson(schema, kMostDepth)) throw invalid(`${name}.schema`, schema, `JSON, nested at most ${kMostDepth} deep`);
  return schema;
}

/**
 * Whether it comes through JSON as it is.
 * @param {unknown} value
 * @param {number} levels
 * @returns {boolean}
 */
function isJson(value, levels) {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  const plain = Array.isArray(value) || kindOf(value) === 'Object';
  return plain && levels > 0 && Object.values(/** @type {object} */ (value)).every((part) => isJson(part, levels - 1));
}
