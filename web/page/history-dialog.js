/** Owns the list of saved chats: open, export as Markdown or JSON, delete with a way back. */

import { saveFile, h, icon, announce } from './dom.js';
import { openDialog } from './dialog.js';
import { titleOf, toJson, toMarkdown } from './conversation.js';
import { fileSlug } from './format.js';

/**
 * @typedef {import('./conversation.js').Conversation} Conversation
 * @typedef {import('./conversation-store.js').ConversationStore} ConversationStore
 */

const kDate = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/**
 * @param {ConversationStore} store
 * @param {Conversation} current the one on screen, whose answer may still be growing
 * @param {{open: (conversation: Conversation) => void, leave: () => Promise<void>}} actions leave: the current one is about to be deleted
 */
export async function openHistory(store, current, actions) {
  await store.flush();
  const conversations = await store.list(current);
  const list = h('ul.history-list', {}, ...conversations.map((conversation) => row(conversation)));
  const empty = h('p.hint', {}, 'No chats yet. They are kept in this browser only and never leave this device.');
  const dialog = openDialog('history', 'Chats', [conversations.length > 0 ? list : empty]);

  /** @param {Conversation} conversation */
  function row(conversation) {
    const title = titleOf(conversation);
    const shown = conversation.id === current.id;
    const count = conversation.messages.length;
    const open = h(
      'button.history-open',
      {
        type: 'button',
        'aria-current': shown && 'true',
        onclick: () => {
          dialog.close();
          actions.open(conversation);
        },
      },
      h('span.history-title', { dir: 'auto', title }, title),
      h(
        'span.history-date',
        {},
        h('span', {}, kDate.format(conversation.updated)),
        h('span', {}, `${count} ${count === 1 ? 'message' : 'messages'}`),
      ),
    );
    const item = h(
      `li.history-row${shown ? '.current' : ''}`,
      {},
      open,
      small('export', '.md', `Export “${title}” as .md`, () =>
        saveFile(`${fileSlug(title)}.md`, 'text/markdown', toMarkdown(conversation)),
      ),
      small('export', '.json', `Export “${title}” as .json`, () =>
        saveFile(`${fileSlug(title)}.json`, 'application/json', toJson(conversation)),
      ),
      small('trash', '', `Delete “${title}”`, () => void remove(conversation, item)),
    );
    return item;
  }

  /**
   * @param {Conversation} conversation
   * @param {HTMLElement} item
   */
  async function remove(conversation, item) {
    if (conversation.id === current.id) await actions.leave(); // the end of an answer would store it once more
    await store.remove(conversation.id);
    const undo = h('button.button.button-plain', { type: 'button' }, 'Undo');
    undo.addEventListener('click', async () => {
      await store.save(conversation);
      const back = row(conversation);
      gone.replaceWith(back);
      back.querySelector('button')?.focus();
    });
    const gone = h('li.history-row', {}, h('p.history-deleted', {}, 'Deleted'), undo);
    item.replaceWith(gone);
    undo.focus();
    announce('Deleted. Undo is possible until this list is closed.');
  }
}

/**
 * @param {string} iconName
 * @param {string} text
 * @param {string} label
 * @param {() => void} onclick
 */
function small(iconName, text, label, onclick) {
  return h(
    `button.tool${text && '.history-export'}`,
    { type: 'button', 'aria-label': label, title: label, onclick },
    icon(iconName),
    text && h('span.tool-text', {}, text),
  );
}
