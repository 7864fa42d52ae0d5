/** Owns the settings dialog: a form over settings.js that checks while typing and saves only what is possible. */

import { openDialog } from './dialog.js';
import { h, directionOf } from './dom.js';
import { checkField, kDefaults, kNumberFields, saveSettings } from './settings.js';

/** @typedef {import('./settings.js').Settings} Settings */

/**
 * @param {import('./settings.js').NumberField} field
 * @param {number | null} value
 */
function numberField(field, value) {
  const id = `setting-${field.name}`;
  const error = h('p.field-error', { id: `${id}-error`, hidden: true });
  const input = /** @type {HTMLInputElement} */ (
    h('input', {
      id,
      type: 'number',
      inputmode: field.step < 1 ? 'decimal' : 'numeric',
      min: field.min,
      max: field.max,
      step: field.step < 1 ? 'any' : 1,
      'aria-describedby': `${id}-hint ${id}-error`,
    })
  );
  input.value = value === null ? '' : String(value);
  const read = () => (input.value === '' && !input.validity.badInput && field.optional ? null : input.valueAsNumber);
  const check = () => {
    const problem = checkField(field, read());
    error.textContent = problem;
    error.hidden = problem === '';
    input.setAttribute('aria-invalid', String(problem !== ''));
    return problem === '';
  };
  input.addEventListener('input', check);
  const label = h('label', { for: id }, field.label);
  const node = h('div.field', {}, label, h('p.hint', { id: `${id}-hint` }, field.hint), input, error);
  return { node, input, read, check, name: field.name };
}

/**
 * @param {Settings} settings shown at first
 * @param {(settings: Settings) => void} onSave
 */
export function openSettings(settings, onSave) {
  const system = /** @type {HTMLTextAreaElement} */ (
    h('textarea', {
      id: 'setting-system',
      rows: 4,
      'aria-describedby': 'setting-system-hint',
      placeholder: 'As the model comes',
    })
  );
  system.value = settings.system;
  const run = () => (system.dir = directionOf(system.value));
  system.addEventListener('input', run);
  run();
  const fields = kNumberFields.map((field) => numberField(field, settings[field.name]));
  const form = h(
    'form',
    { id: 'settings-form', novalidate: true },
    h(
      'div.field',
      {},
      h('label', { for: 'setting-system' }, 'System prompt'),
      h(
        'p.hint',
        { id: 'setting-system-hint' },
        'Tells the model who it is and how to answer. Holds from the next message on.',
      ),
      system,
    ),
    h('div.field-grid', {}, ...fields.map(({ node }) => node)),
  );
  const reset = h('button.button.button-plain', { type: 'button' }, 'Defaults');
  const save = h('button.button.button-main', { type: 'submit', form: 'settings-form' }, 'Save');
  const dialog = openDialog('settings', 'Settings', [form], [reset, save]);

  reset.addEventListener('click', () => {
    system.value = kDefaults.system;
    for (const { input, name, check } of fields) {
      input.value = kDefaults[name] === null ? '' : String(kDefaults[name]);
      check();
    }
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const wrong = fields.filter(({ check }) => !check());
    if (wrong.length > 0) return wrong[0].input.focus();
    const numbers = Object.fromEntries(fields.map(({ name, read }) => [name, read()]));
    const changed = /** @type {Settings} */ ({ ...settings, ...numbers, system: system.value.trim() });
    saveSettings(changed);
    onSave(changed);
    dialog.close();
  });
}
