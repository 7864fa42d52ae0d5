/** Owns the list of models to choose from: models.json beside the page, and what is already on the device. */

import { Tessera } from '../tessera.js';
import { saveBlob } from './dom.js';
import { keep, kept } from './kept.js';

const kList = 'tessera.models';

/**
 * @typedef {object} CatalogModel
 * @property {string} id
 * @property {string} name
 * @property {string} manifest absolute URL
 * @property {number} bytes
 * @property {string} license
 * @property {string} description what it is good for
 */

/** @typedef {'absent' | 'partial' | 'stored'} StoredState */
/** @typedef {import('../tessera.js').StoredModel} StoredModel */

/**
 * @param {unknown} value
 * @param {string} field
 */
function text(value, field) {
  if (typeof value === 'string' && value !== '') return value;
  throw new Error(`models.json: "${field}" is ${JSON.stringify(value)}, expected a text`);
}

/**
 * Reads models.json. The answer is kept in this browser so that the next visit can start without the server; a web page in its place,
 * of a host that knows no missing files or of a hotel's network, is no answer.
 * @returns {Promise<CatalogModel[]>}
 */
export async function loadCatalog() {
  try {
    const response = await fetch('models.json', { cache: 'no-cache' });
    if (!response.ok) throw new Error(`models.json: the server answered ${response.status}`);
    const source = await response.text();
    const models = modelsOf(source);
    keep(kList, source);
    return models;
  } catch (error) {
    const source = kept(kList);
    if (source === null) throw error;
    return modelsOf(source);
  }
}

/** @param {string} source @returns {CatalogModel[]} */
function modelsOf(source) {
  const { models } = JSON.parse(source);
  if (!Array.isArray(models)) throw new Error('models.json: "models" is missing, expected a list');
  return models.map((model) => ({
    id: text(model?.id, 'id'),
    name: text(model.name, 'name'),
    manifest: new URL(text(model.manifest, 'manifest'), document.baseURI).href,
    bytes: Number.isFinite(model.bytes) ? model.bytes : 0,
    license: typeof model.license === 'string' ? model.license : '',
    description: typeof model.description === 'string' ? model.description : '',
  }));
}

/**
 * The models to choose from: those that the site offers, then those that are on the device from elsewhere. A store that cannot be
 * asked holds nothing.
 * @param {CatalogModel[]} offered
 * @returns {Promise<{model: CatalogModel, entry: StoredModel | null, state: StoredState}[]>}
 */
export async function withStored(offered) {
  const stored = await Tessera.models.list().catch(() => []);
  const models = stored.filter(({ kind }) => kind === 'model');
  const others = models.filter(({ url }) => !offered.some(({ manifest }) => manifest === url)).map(modelOf);
  return [...offered, ...others].map((model) => {
    const entry = stored.find(({ id, url }) => url === model.manifest || id === model.id) ?? null;
    return { model, entry, state: entry === null ? 'absent' : entry.complete ? 'stored' : 'partial' };
  });
}

/**
 * @param {StoredModel} entry
 * @returns {CatalogModel}
 */
function modelOf(entry) {
  const { id, name, url, bytes } = entry;
  return { id, name, manifest: url, bytes: bytes ?? 0, license: '', description: originOf(entry) };
}

/** @param {StoredModel} entry */
function originOf({ url, made, complete }) {
  if (url === '') return 'Its description is damaged: it can only be removed.';
  if (made && complete) return 'A smaller copy that was made on this device.';
  if (made)
    return 'A copy that is being made, was not finished or is damaged. Unless it is being made, it can only be removed.';
  return `From ${URL.canParse(url) ? new URL(url).host : ''}.`;
}

/** Hands a stored model to the reader as a file, or as the parts it is in. @param {string} id */
export async function saveModel(id) {
  for (const file of await Tessera.models.exportFiles(id)) saveBlob(file.name, file);
}
