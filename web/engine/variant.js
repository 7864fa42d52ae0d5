// Owns the choice of WebAssembly module and thread count, and the plain words for why less than the best is in use.
import { TesseraError } from '../base/errors.js';

/** A function body `op(splat(0), …)` as a whole module; only validated, never run. */
const probe = (/** @type {number[]} */ ...body) =>
  // prettier-ignore
  new Uint8Array([
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic, version 1
    0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, // type 0: () → v128
    0x03, 0x02, 0x01, 0x00, // function 0 has type 0
    0x0a, body.length + 4, 0x01, body.length + 2, 0x00, ...body, 0x0b, // its code, no locals
  ]);

const zeros = [0x41, 0x00, 0xfd, 0x0f]; // i32.const 0, i8x16.splat
const simd128Probe = probe(...zeros, 0xfd, 0x62); // i8x16.popcnt
const relaxedProbe = probe(...zeros, ...zeros, 0xfd, 0x92, 0x02); // i16x8.relaxed_dot_i8x16_i7x16_s

/** The modules this browser can run, best first. @returns {('relaxed' | 'simd128')[]} */
export function supportedVariants() {
  if (!WebAssembly.validate(simd128Probe)) return [];
  return WebAssembly.validate(relaxedProbe) ? ['relaxed', 'simd128'] : ['simd128'];
}

/**
 * @param {'auto' | 'relaxed' | 'simd128'} wanted
 * @param {('relaxed' | 'simd128')[]} [supported]
 * @returns {{ variant: 'relaxed' | 'simd128', reason: string }} reason: '' unless 'auto' had to settle for less
 */
export function chooseVariant(wanted, supported = supportedVariants()) {
  if (supported.length === 0) {
    throw new TesseraError('unsupported', 'This browser has no WebAssembly SIMD.', 'Use a browser from 2023 or newer.');
  }
  if (wanted !== 'auto') {
    if (supported.includes(wanted)) return { variant: wanted, reason: '' };
    throw new TesseraError('unsupported', `variant: this browser cannot run '${wanted}'`, "Use variant: 'auto'.");
  }
  const variant = supported[0];
  return {
    variant,
    reason: variant === 'relaxed' ? '' : 'This browser has no relaxed SIMD, so the slower SIMD128 module is in use.',
  };
}

/** Most threads that 'as many as the device offers' means; more share memory bandwidth rather than add to it. */
const kMostDefaultThreads = 8;

/**
 * @param {number} wanted 0 = as many as the device offers
 * @param {{ isolated: boolean, processors: number }} device
 * @returns {{ threads: number, reason: string }}
 */
export function chooseThreads(wanted, device) {
  const threads = wanted === 0 ? Math.max(1, Math.min(device.processors, kMostDefaultThreads)) : wanted;
  if (threads === 1) return { threads, reason: '' };
  if (!device.isolated) {
    return {
      threads: 1,
      reason: 'The page is not cross-origin isolated (COOP and COEP headers), so one thread is in use.',
    };
  }
  return { threads, reason: '' };
}

/** What the current thread knows of its device. In node every context may share memory. */
export function currentDevice() {
  const isolated = typeof SharedArrayBuffer !== 'undefined' && globalThis.crossOriginIsolated !== false;
  return { isolated, processors: globalThis.navigator?.hardwareConcurrency ?? 1 };
}
