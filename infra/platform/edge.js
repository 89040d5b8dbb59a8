// Runs for each request to the platform: says who sent it, and that it came this way.
//
// Both headers are set whatever the viewer sent, or taken away: nobody else's values reach the platform.
import cf from 'cloudfront';

const store = cf.kvs();

async function handler(event) {
    const request = event.request;
    const ip = event.viewer.ip;
    // As CloudFront writes it itself: an IPv6 address without brackets. The port is of no use to anybody.
    request.headers['cloudfront-viewer-address'] = { value: ip + ':0' };
    delete request.headers['x-origin-verify'];
    try {
        request.headers['x-origin-verify'] = { value: await store.get('origin') };
    } catch (error) {
        // Not filled yet: the platform refuses what comes without.
        console.log('no origin value: ' + error);
    }
    return request;
}
