// openid-client: a confidential web application. Arguments: the issuer, the client's
// id and secret, its redirect URI.
import * as oidc from 'openid-client'
import assert from 'node:assert/strict'
import { finish, visit } from './visit.mjs'

const [issuer, id, secret, redirect_uri] = process.argv.slice(2)
const http = { execute: [oidc.allowInsecureRequests] } // on loopback
const config = await oidc.discovery(new URL(issuer), id, secret, oidc.ClientSecretBasic(secret), http)
assert.ok(config.serverMetadata().supportsPKCE())
const refused = (promise, error) => assert.rejects(promise, (e) => e.error === error || assert.fail(e))

async function signIn(more = {}, build = oidc.buildAuthorizationUrl) {
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
  const expectedState = oidc.randomState()
  const expectedNonce = oidc.randomNonce()
  const url = await build(config, {
    redirect_uri,
    scope: 'openid profile email offline_access read',
    code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: expectedState,
    nonce: expectedNonce,
    ...more,
  })
  return { url: await visit(url), checks: { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true } }
}

// Code and PKCE, the ID token, userinfo.
const first = await signIn()
const tokens = await oidc.authorizationCodeGrant(config, first.url, first.checks)
const claims = tokens.claims()
assert.equal(claims.aud, id)
assert.ok(claims.auth_time > 0)
const info = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub)
assert.equal(info.preferred_username, 'ann')
assert.ok(tokens.expiresIn() > 0)

// A code is good once; and what it gave ends with its second use.
await refused(oidc.authorizationCodeGrant(config, first.url, first.checks), 'invalid_grant')
await refused(oidc.refreshTokenGrant(config, tokens.refresh_token), 'invalid_grant')

// Refreshing: the ID token of the same person and sign-in, and introspection.
const second = await signIn()
const before = await oidc.authorizationCodeGrant(config, second.url, second.checks)
const after = await oidc.refreshTokenGrant(config, before.refresh_token)
assert.notEqual(after.access_token, before.access_token)
if (after.id_token) {
  assert.equal(after.claims().sub, claims.sub)
  assert.equal(after.claims().auth_time, before.claims().auth_time)
}
const known = await oidc.tokenIntrospection(config, after.access_token)
assert.equal(known.active, true)
assert.equal(known.client_id, id)
assert.equal(known.sub, claims.sub)

// Revocation of the refresh token ends the access token too.
await oidc.tokenRevocation(config, after.refresh_token ?? before.refresh_token, { token_type_hint: 'refresh_token' })
assert.deepEqual(await oidc.tokenIntrospection(config, after.access_token), { active: false })
await assert.rejects(oidc.fetchUserInfo(config, after.access_token, claims.sub))

// Another verifier, and a spent refresh token.
const third = await signIn()
await refused(oidc.authorizationCodeGrant(config, third.url, { ...third.checks, pkceCodeVerifier: oidc.randomPKCECodeVerifier() }), 'invalid_grant')
const fourth = await signIn()
const spent = await oidc.authorizationCodeGrant(config, fourth.url, fourth.checks)
await oidc.refreshTokenGrant(config, spent.refresh_token)
await refused(oidc.refreshTokenGrant(config, spent.refresh_token), 'invalid_grant')

// A token for one API, and for no other (RFC 8707).
const resource = 'https://api.example'
const fifth = await signIn({ resource })
const meant = await oidc.authorizationCodeGrant(config, fifth.url, fifth.checks, { resource })
const { aud, scope } = JSON.parse(Buffer.from(meant.access_token.split('.')[1], 'base64url'))
assert.equal(aud, resource)
assert.ok(scope.split(' ').includes('read'), scope)
await refused(oidc.refreshTokenGrant(config, meant.refresh_token, { resource: 'https://other.example' }), 'invalid_target')

// The request is pushed before, and the browser brings its name (RFC 9126).
const pushed = await signIn({}, async (...args) => {
  const url = await oidc.buildAuthorizationUrlWithPAR(...args)
  assert.deepEqual([...url.searchParams.keys()].sort(), ['client_id', 'request_uri'])
  return url
})
await oidc.authorizationCodeGrant(config, pushed.url, pushed.checks)
await refused(oidc.buildAuthorizationUrlWithPAR(config, { redirect_uri, scope: 'no:such', code_challenge: 'A'.repeat(43), code_challenge_method: 'S256' }), 'invalid_scope')

// Who is signed in needs no page; who must not see one is not shown one.
const silent = await signIn({ prompt: 'none' })
await oidc.authorizationCodeGrant(config, silent.url, silent.checks)

finish()
