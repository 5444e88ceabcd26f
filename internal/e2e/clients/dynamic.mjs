// openid-client: an application that registers itself, and goes again. Arguments: the
// issuer, an initial access token, its redirect URI.
import * as oidc from 'openid-client'
import assert from 'node:assert/strict'
import { finish, visit } from './visit.mjs'

const [issuer, initialAccessToken, redirect_uri] = process.argv.slice(2)
const execute = [oidc.allowInsecureRequests] // on loopback
const metadata = {
  client_name: 'Came by itself',
  redirect_uris: [redirect_uri],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_post',
  scope: 'openid profile read',
  userinfo_signed_response_alg: 'ES256',
  id_token_signed_response_alg: 'EdDSA',
}
const config = await oidc.dynamicClientRegistration(new URL(issuer), metadata, undefined, { initialAccessToken, execute })
oidc.enableNonRepudiationChecks(config) // signatures are looked at, whoever sent them
const made = config.clientMetadata()
for (const [name, value] of Object.entries(metadata)) assert.deepEqual(made[name], value, name)
assert.equal(made.client_secret_expires_at, 0)

// The token was good for one.
await assert.rejects(oidc.dynamicClientRegistration(new URL(issuer), metadata, undefined, { initialAccessToken, execute }))

const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
const expectedState = oidc.randomState()
const url = oidc.buildAuthorizationUrl(config, {
  redirect_uri,
  scope: 'openid profile',
  code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256',
  state: expectedState,
})
const tokens = await oidc.authorizationCodeGrant(config, await visit(url), { pkceCodeVerifier, expectedState, idTokenExpected: true })
const info = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
assert.equal(info.preferred_username, 'ann')
assert.equal(info.aud, made.client_id)

// It reads, changes and deletes itself (RFC 7592).
const itself = (method, body) =>
  fetch(made.registration_client_uri, {
    method,
    headers: { authorization: 'Bearer ' + made.registration_access_token, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  })
const read = await itself('GET')
assert.equal(read.status, 200)
assert.equal((await read.json()).client_name, metadata.client_name)
const changed = await itself('PUT', { ...metadata, client_id: made.client_id, client_name: 'Goes by another name' })
assert.equal(changed.status, 200)
assert.equal((await changed.json()).client_name, 'Goes by another name')
await assert.rejects(oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)) // people are asked again
assert.equal((await itself('DELETE')).status, 204)
assert.equal((await itself('GET')).status, 401)

finish()
