// In Node, what the page's worker does: node segment.mjs WEB < {"height", "width", "rgba"} (base64) > labels
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const web = pathToFileURL(`${process.argv[2]}/`);
const { Logits, planImage, prepare } = await import(new URL("segmentation.js", web));
const ort = await import(new URL("runtime/ort.wasm.min.mjs", web));
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("runtime/", web).href;

const { height, width, rgba } = JSON.parse(fs.readFileSync(0));
const [model] = JSON.parse(fs.readFileSync(new URL("models.json", web))).models;
const network = await ort.InferenceSession.create(new Uint8Array(fs.readFileSync(new URL(model.file, web))));
const plan = planImage(height, width, model);
const pixels = prepare(Uint8Array.from(Buffer.from(rgba, "base64")), plan);
const { scores } = await network.run({ images: new ort.Tensor("uint8", pixels, [1, ...plan.padded, 3]) });
const logits = new Logits(scores.data, scores.dims.slice(1), plan, model.align_corners);
fs.writeSync(1, logits.labels());
