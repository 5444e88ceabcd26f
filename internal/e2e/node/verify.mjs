// What an API in Node does with a token. Arguments: the issuer, an access token,
// and one whose signature was changed.
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import assert from 'node:assert/strict'

const [issuer, token, forged] = process.argv.slice(2)

// jose: keys by URL, verified offline.
const keys = jose.createRemoteJWKSet(new URL(issuer + '/oauth2/jwks'))
const expected = { issuer, audience: issuer, typ: 'at+jwt', requiredClaims: ['sub', 'client_id', 'iat', 'jti', 'exp'] }
const { payload, protectedHeader } = await jose.jwtVerify(token, keys, expected)
assert.equal(protectedHeader.typ, 'at+jwt')
await assert.rejects(jose.jwtVerify(forged, keys, expected), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
await assert.rejects(jose.jwtVerify(token, keys, { ...expected, audience: 'https://other.example' }), { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED' })

// oauth4webapi: from the issuer's name alone, as RFC 8414 and RFC 9068 say.
const insecure = { [oauth.allowInsecureRequests]: true } // http, on loopback
const found = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...insecure })
const server = await oauth.processDiscoveryResponse(new URL(issuer), found)
const request = (t) => new Request('https://api.example/orders', { headers: { authorization: 'Bearer ' + t } })
const claims = await oauth.validateJwtAccessToken(server, request(token), issuer, insecure)
assert.equal(claims.sub, payload.sub)
await assert.rejects(oauth.validateJwtAccessToken(server, request(forged), issuer, insecure))

console.log(JSON.stringify({ sub: payload.sub, scope: payload.scope }))
