// CloudFront Function (runtime 2.0), viewer response, of the behaviour /s/*.
// What S3 says of a stored object becomes what clients of a registry wait for. Not run where S3 said 400 or more.

const STORED = /^\/staged\/[^\/]+\/(.+)\/([0-9a-f]{64})\/[0-9a-f]{32}$/;

function handler(event) {
    const response = event.response;
    const found = STORED.exec(event.request.uri);
    if (!found || event.request.method !== 'PUT' || response.statusCode !== 200) {
        return response;
    }
    const digest = 'sha256:' + found[2];
    response.statusCode = 201;
    response.statusDescription = 'Created';
    Object.keys(response.headers).forEach((name) => {
        if (name === 'etag' || name.startsWith('x-amz-')) {
            delete response.headers[name];
        }
    });
    response.headers['location'] = { value: '/v2/' + found[1] + '/blobs/' + digest };
    response.headers['docker-content-digest'] = { value: digest };
    return response;
}
