/** Owns the card of one model: what it is, its one button, and what can be done with what is on the device. */

import { Tessera } from '../tessera.js';
import { saveModel } from './catalog.js';
import { h } from './dom.js';
import { formatBytes, formatDay } from './format.js';

/**
 * @typedef {import('./catalog.js').CatalogModel} CatalogModel
 * @typedef {import('./catalog.js').StoredModel} StoredModel
 * @typedef {import('./catalog.js').StoredState} StoredState
 *
 * @typedef {object} CardPorts
 * @property {() => void} start
 * @property {() => void} shrink make a smaller copy of it
 * @property {(title: string, text: string, good: boolean) => void} say
 * @property {(error: unknown) => void} fail
 * @property {() => Promise<void>} refresh the list after a change
 */

/**
 * @param {{model: CatalogModel, entry: StoredModel | null, state: StoredState}} choice
 * @param {boolean} main whether its button is the one of the page
 * @param {CardPorts} ports
 */
export function modelCard({ model, entry, state }, main, ports) {
  const size = model.bytes > 0 ? formatBytes(model.bytes) : '';
  const left = formatBytes(Math.max(0, model.bytes - (entry?.storedBytes ?? 0)));
  const label = {
    absent: `Download and start (${size})`,
    partial: size ? `Resume download (${left} left)` : 'Resume download',
    stored: 'Start',
  }[state];
  const startable = model.manifest !== '' && !(entry?.made && state === 'partial');
  const facts = [size, model.license && `Licence ${model.license}`].filter(Boolean);
  const kind = main ? 'button-main' : 'button-quiet';
  const start = h(`button.button.${kind}`, { type: 'button', onclick: ports.start, 'data-start': model.id }, label);
  return h(
    'article.model-card',
    { 'aria-labelledby': `model-${model.id}` },
    h(
      'div.model-head',
      {},
      h('h3.model-name', { id: `model-${model.id}` }, model.name),
      h(
        'ul.model-facts',
        {},
        ...facts.map((fact) => h('li', {}, fact)),
        state === 'stored' && h('li.stored', {}, 'On this device'),
      ),
    ),
    h('p.model-description', {}, model.description),
    h('div.button-row', {}, startable && start),
    startable && h('div', { 'data-needs': model.manifest }),
    entry && storedTools(model, entry, ports),
  );
}

/**
 * @param {CatalogModel} model
 * @param {StoredModel} entry
 * @param {CardPorts} ports
 */
function storedTools({ name }, { id, storedBytes, complete, lastUsed, made }, { say, fail, refresh, shrink }) {
  const state = h('p.hint', { role: 'status' });
  const tool = (/** @type {string} */ text, /** @type {() => Promise<void>} */ run) => {
    const button = h('button.button.button-plain', { type: 'button' }, text);
    button.addEventListener('click', async () => {
      if (button.ariaDisabled === 'true') return;
      button.ariaDisabled = 'true'; // and not disabled, which would take the focus away
      await run().catch(fail);
      button.ariaDisabled = null;
    });
    return button;
  };
  const verify = async () => {
    state.textContent = 'Reading every byte again…';
    const { ok, badShards } = await Tessera.models.verify(id).finally(() => (state.textContent = ''));
    const way = made
      ? 'There is nowhere to fetch it from: remove it, and make it again.'
      : 'Starting the model fetches the damaged parts, and nothing else, anew.';
    const wrong = `Wrong: ${badShards.join(', ')}. ${way}`;
    if (badShards.length > 0) await refresh();
    if (badShards.length > 0) say(`${name} is damaged on this device.`, wrong, false);
    else if (ok)
      say(
        `${name} is as it was ${made ? 'made' : 'published'}.`,
        'Every stored byte was read and its SHA-256 compared.',
        true,
      );
    else say('What has arrived is right.', 'The rest of the download is still missing.', true);
  };
  const remove = async () => {
    await Tessera.models.remove(id);
    await refresh();
  };
  const used = lastUsed === null ? '' : `, last used ${formatDay(lastUsed)}`;
  return h(
    'details.model-stored',
    {},
    h('summary', {}, `${formatBytes(storedBytes)} on this device${used}`),
    h(
      'div.button-row',
      {},
      tool('Check for damage', verify),
      complete && tool('Save as file', () => saveModel(id)),
      complete && tool('Make a smaller copy', async () => shrink()),
      tool('Remove from device', remove),
    ),
    state,
  );
}
