// Runs networks in a thread of their own, by ONNX Runtime's WebAssembly (or WebGPU, where it is asked for).

import { Logits, planImage, prepare } from "./segmentation.js";

const RUNTIMES = {
  wasm: "./runtime/ort.wasm.min.mjs",
  webgpu: "./runtime/ort.webgpu.min.mjs",
};
const runtimes = new Map(); // by provider, what a runtime's module offers
const sessions = new Map(); // by provider and model, a promise of a session
const found = new Map(); // by model, the logits of the last image

async function load(provider) {
  if (!runtimes.has(provider)) {
    const ort = await import(RUNTIMES[provider]).catch(() => {
      throw new Error(`The runtime is missing: ${RUNTIMES[provider].slice(2)}. The README beside this page says how to get it.`);
    });
    ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
    ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
    runtimes.set(provider, ort);
  }
  return runtimes.get(provider);
}

/** A session with a network, opened once. */
function session(provider, model) {
  const name = `${provider} ${model.name}`;
  if (!sessions.has(name)) {
    const opening = open(provider, model);
    opening.catch(() => sessions.delete(name)); // the next image tries again
    sessions.set(name, opening);
  }
  return sessions.get(name);
}

async function open(provider, model) {
  const ort = await load(provider);
  const answer = await fetch(model.file);
  if (!answer.ok) throw new Error(`The network's file ${model.file} cannot be fetched (${answer.status}).`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return ort.InferenceSession.create(bytes, { executionProviders: [provider], enableMemPattern: false, logSeverityLevel: 3 });
}

const WORK = {
  async prepare({ model }) {
    await session("wasm", model);
    return [{}, []];
  },

  async segment({ model, gpu, width, height, rgba }) {
    const provider = gpu ? "webgpu" : "wasm";
    const network = await session(provider, model);
    const began = performance.now();
    const plan = planImage(height, width, model);
    const { Tensor } = runtimes.get(provider);
    const images = new Tensor("uint8", prepare(rgba, plan), [1, ...plan.padded, 3]);
    const { scores } = await network.run({ images });
    const logits = new Logits(scores.data.slice(), scores.dims.slice(1), plan, model.align_corners);
    images.dispose();
    scores.dispose();
    const labels = logits.labels();
    found.set(model.name, logits);
    return [{ labels, milliseconds: performance.now() - began }, [labels.buffer]];
  },

  async confidence({ model }) {
    const confidence = found.get(model.name).confidence();
    return [{ confidence }, [confidence.buffer]];
  },
};

let last = Promise.resolve(); // one after the other: a session runs one image at a time

onmessage = ({ data: { id, work, ...given } }) => {
  last = last.then(async () => {
    try {
      const [result, moved] = await WORK[work](given);
      postMessage({ id, ...result }, moved);
    } catch (error) {
      const memory = /memory|allocat|bad_alloc/i.test(error.message);
      postMessage({ id, error: memory ? "There is not enough memory for an image of this size." : error.message });
    }
  });
};
