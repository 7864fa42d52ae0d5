/** Owns the start of the page and the way between its two views: choosing a model, and the chat. */

import { Tessera } from '../tessera.js';
import { Adapters, isAdapter } from './adapters.js';
import { AdaptersView } from './adapters-view.js';
import { Chat } from './chat.js';
import { PromptFormat } from './chat-template.js';
import { ChatView } from './chat-view.js';
import { Composer } from './composer.js';
import { titleOf } from './conversation.js';
import { ConversationStore } from './conversation-store.js';
import { announce, byId } from './dom.js';
import { openEngineDialog } from './engine-dialog.js';
import { releaseEngine, takeEngine } from './engine-lock.js';
import { initFileDrop } from './file-drop.js';
import { openHistory } from './history-dialog.js';
import { localModel, onFilesChosen, whyNoModel } from './local-files.js';
import { notice } from './notices.js';
import { QuantizeDialog } from './quantize-dialog.js';
import { openSettings } from './settings-dialog.js';
import { loadSettings } from './settings.js';
import { startShell } from './shell.js';
import { StartView } from './start-view.js';
import { fallbackOf, StatusLine } from './status-line.js';
import { initTheme } from './theme.js';

let settings = loadSettings();
let keepsChats = true;
const store = new ConversationStore(() => {
  keepsChats = false;
  if (chat.engine) view.setNotices(chatNotices(chat.engine.info));
});
const view = new ChatView({ suggest: (text) => void chat.send(text), regenerate: () => chat.regenerate() });
const composer = new Composer({ send: (text) => void chat.send(text), stop: () => void chat.stop() });
const chat = new Chat({
  store,
  view,
  composer,
  status: new StatusLine(),
  settings: () => settings,
  leave: () => void leaveChat(),
});
const start = new StartView(loadModel, (source) => void copies.open(source));
/** In the view on screen. @param {HTMLElement | null} box */
const say = (box) => (chat.engine ? view.say(box) : start.say(...(box ? [box] : [])));
const copies = new QuantizeDialog({
  start: (copy) => void startCopy(copy),
  refresh: () => start.refresh(),
  say,
});
byId('start-notices').prepend(copies.wayBack);
/** Of the running engine. @type {{ format: PromptFormat, adapters: AdaptersView } | null} */
let running = null;

/** @param {import('./start-view.js').LoadJob} job */
async function loadModel({ model, name, takeOver, signal, onProgress }) {
  await takeEngine(takeOver, loseEngine);
  const engine = await Tessera.load({ model, signal, onProgress }).catch((error) => {
    releaseEngine();
    throw error;
  });
  const conversation = await store.newest(chat.conversation); // the tab that had the engine may have gone on with it
  const format = new PromptFormat(engine.info, model);
  const adapters = new Adapters(engine);
  const changed = () => {
    chat.figures.adapters = adapters.active;
    chat.showStatus();
  };
  running = { format, adapters: new AdaptersView(adapters, changed) };
  chat.setEngine(engine, name, format);
  start.hide();
  byId('chat').hidden = false;
  byId('messages').after(copies.wayBack);
  byId('new-chat').hidden = false;
  byId('topbar-title').textContent = name;
  view.setContinues(format.continues);
  const small = engine.info.parameters < 1e9 ? ' It is small: good with words and simple tasks, weak on facts.' : '';
  view.setHint(`${name} is ready.${small}`);
  view.setNotices(chatNotices(engine.info));
  await chat.open(conversation);
  announce(`${name} is ready.`);
  composer.focus();
}

/** @param {import('./status-line.js').EngineInfo} info engine.info */
function chatNotices(info) {
  const fallback = fallbackOf(info);
  const text =
    'The browser has no room for them or does not allow it: what you write now is gone when the tab is closed.';
  return [
    ...(fallback ? [notice({ kind: 'warn', ...fallback })] : []),
    ...(keepsChats ? [] : [notice({ kind: 'warn', title: 'Chats are not kept.', text })]),
  ];
}

/** Another tab runs a model now. */
async function loseEngine() {
  await start.stop(); // it may be loading still
  if (chat.engine) await leaveChat();
  const text = 'The conversation is kept. Start the model here to take it back.';
  start.say(notice({ kind: 'info', title: 'Another tab has taken over.', text }));
}

/** Ends the engine and goes back to the first view; the conversation stays. */
async function leaveChat() {
  await chat.stop();
  const { engine } = chat;
  chat.setEngine(null, '', null);
  running = null;
  byId('chat').hidden = true;
  byId('start-notices').prepend(copies.wayBack);
  byId('new-chat').hidden = true;
  byId('topbar-title').textContent = '';
  showResumeHint(chat.conversation);
  await engine?.dispose().catch(() => {});
  releaseEngine();
  await start.show();
  byId('main').focus();
}

/** @param {import('../tessera.js').QuantizeResult} copy */
async function startCopy({ url, name, bytes }) {
  await start.stop(); // another one may be loading
  if (chat.engine) await leaveChat();
  start.start({ model: url, name, bytes });
}

/** @param {File[]} files of one model on the reader's device */
async function shrinkFiles(files) {
  const problem = await whyNoModel(files);
  if (problem) say(problem);
  else void copies.open(localModel(files));
}

/** @param {import('./conversation.js').Conversation} conversation the one that is open stays as it is: its answer goes on */
function openConversation(conversation) {
  if (conversation !== chat.conversation) void chat.open(conversation);
  if (chat.engine) composer.focus();
  else showResumeHint(conversation);
}

/** @param {import('./conversation.js').Conversation} conversation the one on screen once a model runs */
function showResumeHint(conversation) {
  const hint = byId('resume-hint');
  hint.hidden = conversation.messages.length === 0;
  hint.textContent = `Start a model to go on with “${titleOf(conversation)}”`;
}

byId('new-chat').addEventListener('click', () => void chat.newChat());
byId('open-settings').addEventListener('click', () => openSettings(settings, (changed) => (settings = changed)));
byId('open-history').addEventListener('click', () => {
  const leave = async () => {
    byId('resume-hint').hidden = true;
    await chat.newChat();
  };
  void openHistory(store, chat.conversation, { open: openConversation, leave });
});
byId('open-engine').addEventListener('click', showEngine);

function showEngine() {
  if (!chat.engine || !running) return;
  const template = running.format.field(() => chat.formatChanged());
  const { info } = chat.engine;
  const adapters = running.adapters.node;
  openEngineDialog({ info, figures: chat.figures, template, adapters, leave: () => void leaveChat() });
}

/** Whether a reload would lose what the reader is filling in; the draft of a message is kept. */
function writing() {
  return (
    document.querySelector('dialog[open]') !== null || /** @type {HTMLInputElement} */ (byId('address')).value !== ''
  );
}

initTheme();
void startShell(() => !chat.engine && !start.busy && !copies.busy && !writing());
initFileDrop(async (files) => {
  if (running && (await Promise.all(files.map(isAdapter))).every(Boolean)) {
    showEngine();
    return void running.adapters.add(files);
  }
  if (chat.engine) {
    const problem = await whyNoModel(files);
    if (problem) return view.say(problem);
    await leaveChat();
  }
  void start.openFiles(files);
}, shrinkFiles);
onFilesChosen(byId('shrink-file'), /** @type {HTMLInputElement} */ (byId('shrink-input')), shrinkFiles);
await store.open();
const kept = await store.current();
if (kept) openConversation(kept);
await start.show();
