/** Owns the list of models this site offers: models.json beside the page, and what of it is already on the device. */

import { Tessera } from '../tessera.js';

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

/**
 * @param {unknown} value
 * @param {string} field
 */
function text(value, field) {
  if (typeof value === 'string' && value !== '') return value;
  throw new Error(`models.json: "${field}" is ${JSON.stringify(value)}, expected a text`);
}

/**
 * Reads models.json. The answer is kept in this browser so that the next visit can start without the server.
 * @returns {Promise<CatalogModel[]>}
 */
export async function loadCatalog() {
  const kept = 'tessera.models';
  let source;
  try {
    const response = await fetch('models.json', { cache: 'no-cache' });
    if (!response.ok) throw new Error(`models.json: the server answered ${response.status}`);
    source = await response.text();
    localStorage.setItem(kept, source);
  } catch (error) {
    source = localStorage.getItem(kept);
    if (source === null) throw error;
  }
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
 * What the store holds of a model. A store that cannot be asked holds nothing.
 * @param {CatalogModel} model
 * @returns {Promise<{state: StoredState, storedBytes: number, storeId: string}>}
 */
export async function storedState(model) {
  const nothing = { state: /** @type {StoredState} */ ('absent'), storedBytes: 0, storeId: '' };
  try {
    const entry = (await Tessera.models.list()).find(({ url }) => url === model.manifest);
    if (!entry) return nothing;
    return { state: entry.complete ? 'stored' : 'partial', storedBytes: entry.storedBytes, storeId: entry.id };
  } catch {
    return nothing;
  }
}

/** @param {string} storeId */
export async function removeStored(storeId) {
  await Tessera.models.remove(storeId);
}
