'use strict';

// Lambda@Edge (Node.js), origin response, of every behaviour: it alone runs for answers of 400 and more.
// Gives the challenge its name back, and says what S3 refused in the words of a registry.

const STORED = /^\/staged\/[^/]+\/(.+)\/([0-9a-f]{64})\/[0-9a-f]{32}$/;
const CHALLENGES = ['x-ccr-challenge', 'x-amzn-remapped-www-authenticate'];

const REFUSALS = {
    400: [400, 'DIGEST_INVALID', 'the bytes do not hash to the digest of the request, or fewer came than it announced; start again with POST'],
    409: [409, 'BLOB_UPLOAD_INVALID', 'another request is writing to this upload; wait for it, then ask whether the blob is there'],
    429: [429, 'TOOMANYREQUESTS', 'too many requests to the storage at once; try again'],
    503: [429, 'TOOMANYREQUESTS', 'too many requests to the storage at once; try again'],
};
const FAILED = [500, 'UNSUPPORTED', 'the storage failed to answer; nothing is visible of what was being written, so try again'];

exports.handler = async (event) => {
    const { request, response } = event.Records[0].cf;
    const stored = STORED.exec(request.uri);
    const status = Number(response.status);
    if (stored && status === 412) {
        return created(stored); // the bytes of this digest are there: its answer was lost, or two came at once
    }
    if (stored && status >= 400) {
        return refusal(REFUSALS[status] || FAILED);
    }
    return challenged(response);
};

function challenged(response) {
    const name = CHALLENGES.find((one) => response.headers[one]);
    if (name) {
        const { value } = response.headers[name][0];
        response.headers['www-authenticate'] = [{ key: 'WWW-Authenticate', value }];
        CHALLENGES.forEach((one) => delete response.headers[one]);
    }
    return response;
}

function created(stored) {
    const digest = `sha256:${stored[2]}`;
    return {
        status: '201',
        statusDescription: 'Created',
        headers: headers({ 'Location': `/v2/${stored[1]}/blobs/${digest}`, 'Docker-Content-Digest': digest }),
        body: '',
    };
}

function refusal([status, code, message]) {
    const said = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
    return {
        status: String(status),
        statusDescription: code,
        headers: headers(status === 429 ? { ...said, 'Retry-After': '1' } : said),
        body: JSON.stringify({ errors: [{ code, message, detail: {} }] }),
    };
}

function headers(pairs) {
    return Object.fromEntries(Object.entries(pairs).map(([key, value]) => [key.toLowerCase(), [{ key, value }]]));
}
