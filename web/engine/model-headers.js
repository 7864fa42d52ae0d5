// Owns asking the module about a model of which only the beginning is fetched.

/** @typedef {import('./wasm-border.js').SyncReader} SyncReader */

/**
 * Fetches as much of a model's beginning as a question needs.
 * @template Answer
 * @param {{ model: string | File | File[], token: string }} request
 * @param {Pick<import('./loading.js').LoadPorts, 'readHeaders'>} ports
 * @param {(parts: SyncReader[]) => Answer} ask throws while bytes are missing
 * @param {AbortSignal} signal
 * @returns {Promise<{ headers: import('../store/header-bytes.js').ModelHeaders, answer: Answer }>} rejects with what `ask` throws when
 *   all it wanted is there
 */
export async function askHeaders({ model, token }, ports, ask, signal) {
  const headers = await ports.readHeaders(
    model,
    (header) => {
      try {
        ask([header]);
      } catch {
        // Whatever is wrong with the header shows again when all of it is there.
      }
      return !header.short;
    },
    { token, signal },
  );
  return { headers, answer: ask(headers.parts) };
}
