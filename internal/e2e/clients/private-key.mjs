// openid-client and oauth4webapi: a service that proves itself by a key of its own (RFC
// 7523). Arguments: the issuer, the client's id, its key in PKCS #8 and base64.
import * as oauth from 'oauth4webapi'
import * as oidc from 'openid-client'
import assert from 'node:assert/strict'

const [issuer, id, pkcs8] = process.argv.slice(2)
const read = () => crypto.subtle.importKey('pkcs8', Buffer.from(pkcs8, 'base64'), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const config = await oidc.discovery(new URL(issuer), id, {}, oidc.PrivateKeyJwt(await read()), { execute: [oidc.allowInsecureRequests] })
const token = await oidc.clientCredentialsGrant(config, { scope: 'read' })
assert.equal(token.scope, 'read')
assert.equal((await oidc.tokenIntrospection(config, token.access_token)).active, true)
await oidc.tokenRevocation(config, token.access_token)
assert.equal((await oidc.tokenIntrospection(config, token.access_token)).active, false)

const http = { [oauth.allowInsecureRequests]: true }
const server = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), http))
const ask = async (auth) => oauth.processClientCredentialsResponse(server, { client_id: id }, await oauth.clientCredentialsGrantRequest(server, { client_id: id }, auth, {}, http))
assert.equal((await ask(oauth.PrivateKeyJwt(await read()))).token_type, 'bearer')
const { privateKey: stranger } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
await assert.rejects(ask(oauth.PrivateKeyJwt(stranger)), { status: 401 })
console.log('done')
