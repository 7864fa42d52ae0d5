// Part of Emscripten's glue, in its scope: starts the core and the kernel module in this thread and joins them. The kernels use the core's
// memory and stack; their functions follow the core's in its table, at the same places in all threads, so their addresses hold in all.

/** Exports of the kernel module in this thread. @type {Record<string, any>} */
var kernels;

/**
 * @param {WebAssembly.Module} module
 * @returns {{ bytes: number, functions: number }} memory and entries of the table that it needs, from its section "dylink.0"
 */
function kernelNeeds(module) {
  const section = new Uint8Array(WebAssembly.Module.customSections(module, 'dylink.0')[0]);
  let at = 2; // after the kind and the size of the first part
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = section[at++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const bytes = number();
  number(); // alignment: kernel_data.cpp has more than SIMD can ask for
  return { bytes, functions: number() };
}

Module['instantiateWasm'] = (imports, receive) => {
  // A thread gets both modules where Emscripten sends it the one.
  const modules = ENVIRONMENT_IS_PTHREAD ? wasmModule : Module['modules'];
  const core = new WebAssembly.Instance(modules.core, imports);
  const { bytes, functions } = kernelNeeds(modules.kernels);
  const address = core.exports.kernel_data(bytes);
  if (!address) throw new Error(`the kernel module needs ${bytes} bytes`);
  const table = core.exports.__indirect_function_table;
  const i32 = (value) => new WebAssembly.Global({ value: 'i32' }, value);
  kernels = new WebAssembly.Instance(modules.kernels, {
    env: {
      memory: imports.env.memory,
      __indirect_function_table: table,
      __stack_pointer: core.exports.__stack_pointer,
      __memory_base: i32(address),
      __table_base: i32(table.grow(functions)),
    },
  }).exports;
  if (!ENVIRONMENT_IS_PTHREAD) kernels.__wasm_apply_data_relocs();
  receive(core, modules);
};
