import cf from 'cloudfront';

// CloudFront Function (runtime 2.0), viewer request, of every behaviour.
// Answers the 401 that a function URL cannot, and sends single-PUT uploads to S3 as S3 wants them.

const crypto = require('crypto');

const UPLOAD = /^\/s\/([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\/v2\/([a-z0-9._\/-]{1,255})\/blobs\/uploads\/([0-9a-f]{32})$/;
// What a realm can name, as endpoints/authenticate.py has it.
const HOST = /^([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$/;
const SHA256 = /^sha256:([0-9a-f]{64})$/;
// An event of a function URL holds 6,291,456 bytes after base64.
const FUNCTION_BYTES = 4718592;
const SINGLE_PUT_BYTES = 5368709120;

async function handler(event) {
    const request = event.request;
    const settings = await cf.kvs().get('edge', { format: 'json' });
    if (request.uri.startsWith('/s/')) {
        return upload(event, settings);
    }
    const refused = login(request, settings) || tooLarge(request, settings);
    return refused || forward(event, settings);
}

// To S3 where S3 can take it; everything else of an upload to whoever takes it at /u/.
function upload(event, settings) {
    const request = event.request;
    const digest = SHA256.exec(parameter(request, 'digest'));
    const length = Number(header(request, 'content-length') || 0);
    if (request.method !== 'PUT' || !digest || !length) {
        return elsewhere(event, settings);
    }
    if (length > SINGLE_PUT_BYTES) {
        return settings.gateway
            ? elsewhere(event, settings)
            : refusal(413, 'SIZE_INVALID', 'one request carries at most 5 GiB here: push with `ccr push`, or have a gateway deployed');
    }
    const found = UPLOAD.exec(request.uri);
    const account = found && bearer(found, settings);
    if (!account) {
        return refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'no such upload: it was completed, cancelled or has expired; start again with POST');
    }
    request.uri = '/staged/' + encodeURIComponent(account) + '/' + found[3] + '/' + digest[1] + '/' + found[4];
    request.querystring = {};
    request.cookies = {};
    // Only these: x-amz-copy-source, an ACL or a media type of the client's choosing would be signed with the rest.
    request.headers = kept(request, ['host', 'content-length', 'via']);
    request.headers['content-type'] = { value: 'application/octet-stream' };
    request.headers['if-none-match'] = { value: '*' };
    request.headers['x-amz-checksum-sha256'] = { value: Buffer.from(digest[1], 'hex').toString('base64') };
    return request;
}

function elsewhere(event, settings) {
    event.request.uri = '/u/' + event.request.uri.slice(3);
    return tooLarge(event.request, settings) || forward(event, settings);
}

// The account that the capability is for, or '' whatever is wrong with it.
function bearer(found, settings) {
    const text = ['upload', found[1], found[3], found[4]].join('\0');
    if (!settings.keys.some((key) => same(mac(key, text), found[2]))) {
        return '';
    }
    const said = JSON.parse(Buffer.from(found[1], 'base64url').toString());
    return said[3] > Date.now() / 1000 ? said[0] : '';
}

// The first 24 of its 32 bytes.
function mac(key, text) {
    return crypto.createHmac('sha256', Buffer.from(key, 'hex')).update(text).digest('base64url').slice(0, 32);
}

// In a time that tells nothing of where they differ.
function same(a, b) {
    let difference = a.length ^ b.length;
    for (let i = 0; i < a.length; i++) {
        difference |= a.charCodeAt(i) ^ b.charCodeAt(i % (b.length || 1));
    }
    return difference === 0;
}

// The challenge for those who prove nothing, or too late. Whoever proves something is judged by the registry.
function login(request, settings) {
    if (request.uri !== '/v2' && !request.uri.startsWith('/v2/')) {
        return null;
    }
    const words = header(request, 'authorization').split(' ');
    const isBearer = words[0].toLowerCase() === 'bearer';
    if (words[0] && !(isBearer && expired(words[1] || ''))) {
        return null;
    }
    const host = header(request, 'host');
    if (!settings.url && !HOST.test(host)) {
        return null;
    }
    const asked = [
        ['realm', (settings.url || scheme(request) + '://' + host) + '/token'],
        ['service', settings.service],
        ['scope', scope(request)],
        ['error', isBearer ? 'invalid_token' : ''],
    ];
    const challenge = asked.filter((pair) => pair[1]).map((pair) => pair[0] + '="' + pair[1] + '"').join(',');
    const answer = refusal(401, 'UNAUTHORIZED', 'authentication required: log in with a credential of this registry');
    answer.headers['www-authenticate'] = { value: 'Bearer ' + challenge };
    return answer;
}

function expired(token) {
    try {
        const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
        return claims.exp <= Date.now() / 1000;
    } catch (e) {
        return false;
    }
}

// As `scope_for` of endpoints/authenticate.py.
function scope(request) {
    const read = request.method === 'GET' || request.method === 'HEAD';
    if (request.uri === '/v2/_catalog') {
        return 'registry:catalog:*';
    }
    const found = /^\/v2\/(.+)\/(?:(blobs\/uploads(?:\/[^\/]*)?)|blobs\/[^\/]+|(manifests)\/[^\/]+|tags\/list|referrers\/[^\/]+)$/.exec(request.uri);
    if (!found || !quotable(found[1])) {
        return '';
    }
    if (found[2] || (found[3] && request.method === 'PUT')) {
        const source = parameter(request, 'mount') ? parameter(request, 'from') : '';
        const more = source && quotable(source) ? ' repository:' + source + ':pull' : '';
        return 'repository:' + found[1] + ':pull,push' + more;
    }
    return 'repository:' + found[1] + (read ? ':pull' : ':delete');
}

// Whether a header can carry the name as it stands.
function quotable(name) {
    return /^[ !#$&-\[\]-~]+$/.test(name);
}

// A function would never see it: say so before the bytes are on their way.
function tooLarge(request, settings) {
    const isUpload = request.uri.startsWith('/u/') || /^\/v2\/.+\/blobs\/uploads/.test(request.uri);
    const length = Number(header(request, 'content-length') || 0);
    if (!isUpload || length <= FUNCTION_BYTES || (settings.gateway && request.uri.startsWith('/u/'))) {
        return null;
    }
    return refusal(413, 'SIZE_INVALID', 'one request carries at most 4.5 MiB here: push with `ccr push`, or have a gateway deployed');
}

// To the registry or the gateway, with what only the edge can vouch for. Never where the behaviour leads:
// behaviours go by the normalized path, and /x/../s/y is one of S3's.
function forward(event, settings) {
    const request = event.request;
    cf.selectRequestOriginById(originOf(request.uri, settings));
    request.headers['x-ccr-edge'] = { value: settings.secret };
    request.headers['x-ccr-viewer'] = { value: event.viewer.ip };
    request.headers['x-ccr-host'] = { value: header(request, 'host') };
    request.headers['x-ccr-proto'] = { value: scheme(request) };
    return request;
}

function originOf(uri, settings) {
    if (uri.startsWith('/api/')) {
        return 'management';
    }
    return settings.gateway && uri.startsWith('/u/') ? 'gateway' : 'registry';
}

function scheme(request) {
    return header(request, 'cloudfront-forwarded-proto') || 'https';
}

function header(request, name) {
    return request.headers[name] ? request.headers[name].value : '';
}

// Decoded; '' where it is missing, said twice or no text.
function parameter(request, name) {
    const found = request.querystring[name];
    if (!found || found.multiValue) {
        return '';
    }
    try {
        return decodeURIComponent(found.value.replace(/\+/g, ' '));
    } catch (e) {
        return '';
    }
}

function kept(request, names) {
    const headers = {};
    names.filter((name) => request.headers[name]).forEach((name) => {
        headers[name] = request.headers[name];
    });
    return headers;
}

function refusal(status, code, message) {
    return {
        statusCode: status,
        headers: { 'content-type': { value: 'application/json' }, 'cache-control': { value: 'no-store' } },
        body: { encoding: 'text', data: JSON.stringify({ errors: [{ code: code, message: message, detail: {} }] }) },
    };
}
