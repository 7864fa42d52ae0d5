/** The headers that a host should send for the site: security, isolation, and how long files may be kept. */

/**
 * 'wasm-unsafe-eval' permits compiling WebAssembly and nothing else. Pictures of other sites are not allowed: an answer of the
 * model must not be able to make the page call anywhere.
 * @param {string[]} [modelHosts] origins, beside the site's own, that models may be fetched from
 */
export function securityHeaders(modelHosts = []) {
  return {
    'Content-Security-Policy': [
      "default-src 'self'",
      "script-src 'self' 'wasm-unsafe-eval'",
      "img-src 'self' data:",
      "font-src 'none'",
      "object-src 'none'",
      ["connect-src 'self'", ...modelHosts].join(' '),
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  };
}

/** Shared memory, and with it threads, is only given to a page that is isolated from other origins. */
export const kIsolationHeaders = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/**
 * The file _headers, which several static hosts read.
 * @param {string[]} modelHosts
 */
export function hostFiles(modelHosts) {
  const block = (/** @type {string} */ path, /** @type {Record<string, string>} */ headers) =>
    [path, ...Object.entries(headers).map(([name, value]) => `  ${name}: ${value}`), ''].join('\n');
  return [
    block('/*', { ...securityHeaders(modelHosts), ...kIsolationHeaders, 'Cache-Control': 'no-cache' }),
    block('/assets/*', { 'Cache-Control': 'public, max-age=31536000, immutable' }),
  ].join('\n');
}
