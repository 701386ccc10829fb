// Runs the edge functions of infra/edge as CloudFront does, unchanged: JSON lines in, JSON lines out.
// First line: {files, kvs}. Then: {name, event} -> {result, origin} or {error}.

import { Buffer } from 'node:buffer';
import crypto from 'node:crypto';
import fs from 'node:fs';
import querystring from 'node:querystring';
import readline from 'node:readline';
import vm from 'node:vm';

// What `require` gives there, and of crypto no more than that.
const MODULES = {
    buffer: { Buffer },
    crypto: { createHash: crypto.createHash, createHmac: crypto.createHmac },
    querystring,
};
const NO_CODE = { codeGeneration: { strings: false, wasm: false } };
const functions = {};
let kvs = {};
let origin = null;

const cloudfront = {
    kvs: () => ({
        async get(key, options) {
            if (!(key in kvs)) {
                throw new Error(`KeyNotFound: ${key}`);
            }
            return options && options.format === 'json' ? JSON.parse(kvs[key]) : kvs[key];
        },
        async exists(key) {
            return key in kvs;
        },
    }),
    selectRequestOriginById(id) {
        origin = id;
    },
};

function globals() {
    const console = { log: (...words) => process.stderr.write(`${words.join(' ')}\n`) };
    const require = (name) => {
        if (!(name in MODULES)) {
            throw new Error(`there is no module ${name} at the edge`);
        }
        return MODULES[name];
    };
    return { Buffer, console, require };
}

// A module with a function `handler`, which nobody exports.
async function loadFunction(path) {
    const context = vm.createContext(globals(), NO_CODE);
    const source = `${fs.readFileSync(path, 'utf8')}\nglobalThis.handler = handler;`;
    const module = new vm.SourceTextModule(source, { context, identifier: path });
    await module.link((name) => {
        if (name !== 'cloudfront') {
            throw new Error(`there is no module ${name} at the edge`);
        }
        return new vm.SyntheticModule(['default'], function () { this.setExport('default', cloudfront); }, { context });
    });
    await module.evaluate();
    return run(context);
}

// CommonJS, as Lambda loads it.
async function loadLambda(path) {
    const context = vm.createContext({ ...globals(), exports: {} }, NO_CODE);
    new vm.Script(fs.readFileSync(path, 'utf8'), { filename: path }).runInContext(context);
    context.handler = context.exports.handler;
    return run(context);
}

// The event is made inside, so that no object of this realm is in the function's reach.
function run(context) {
    const call = new vm.Script('(text) => handler(JSON.parse(text))').runInContext(context);
    return (event) => call(JSON.stringify(event));
}

async function start({ files, kvs: values }) {
    kvs = values;
    for (const [name, path] of Object.entries(files)) {
        functions[name] = await (name === 'origin-response' ? loadLambda : loadFunction)(path);
    }
    return { result: Object.keys(functions) };
}

async function answer(line) {
    const asked = JSON.parse(line);
    if (asked.files) {
        return start(asked);
    }
    origin = null;
    const result = await functions[asked.name](asked.event);
    return { result, origin };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
    let said;
    try {
        said = await answer(line);
    } catch (error) {
        said = { error: String(error && error.stack || error) };
    }
    process.stdout.write(`${JSON.stringify(said)}\n`);
}
