// oauth4webapi: a public application, which proves itself by PKCE alone. Arguments:
// the issuer, the client's id, its redirect URI.
import * as oauth from 'oauth4webapi'
import assert from 'node:assert/strict'
import { finish, visit } from './visit.mjs'

const [issuer, client_id, redirect_uri] = process.argv.slice(2)
const http = { [oauth.allowInsecureRequests]: true } // on loopback
const at = new URL(issuer)
const server = await oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, { algorithm: 'oidc', ...http }))
// Both documents say the same of what both speak of.
const plain = await oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, { algorithm: 'oauth2', ...http }))
for (const [name, value] of Object.entries(plain)) assert.deepEqual(server[name], value, name)
assert.ok(server.code_challenge_methods_supported.includes('S256'))

const client = { client_id }
const auth = oauth.None()

async function signIn(more = {}, push = async (params) => params) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const url = new URL(server.authorization_endpoint)
  url.search = await push(new URLSearchParams({
    client_id, redirect_uri, state, nonce, response_type: 'code', scope: 'openid email offline_access read',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more,
  }))
  return { landed: await visit(url), verifier, state, nonce }
}

async function redeem({ landed, verifier, state, nonce }) {
  const params = oauth.validateAuthResponse(server, client, landed, state)
  const answer = await oauth.authorizationCodeGrantRequest(server, client, auth, params, redirect_uri, verifier, http)
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, answer, { expectedNonce: nonce, requireIdToken: true })
  await oauth.validateApplicationLevelSignature(server, answer, http)
  return tokens
}

const tokens = await redeem(await signIn())
const { sub } = oauth.getValidatedIdTokenClaims(tokens)

// The access token is what RFC 9068 says, and the issuer's userinfo takes it.
const claims = await oauth.validateJwtAccessToken(server, new Request(issuer, { headers: { authorization: `Bearer ${tokens.access_token}` } }), issuer, http)
assert.equal(claims.sub, sub)
assert.equal(claims.client_id, client_id)
const info = await oauth.processUserInfoResponse(server, client, sub, await oauth.userInfoRequest(server, client, tokens.access_token, http))
assert.match(info.email, /@/)
assert.equal(info.preferred_username, undefined) // nobody asked for profile

// A public client's refresh token turns, every time.
const renewed = await oauth.processRefreshTokenResponse(server, client, await oauth.refreshTokenGrantRequest(server, client, auth, tokens.refresh_token, http))
assert.notEqual(renewed.refresh_token, tokens.refresh_token)
await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, auth, renewed.refresh_token, http))
await assert.rejects(
  oauth.refreshTokenGrantRequest(server, client, auth, renewed.refresh_token, http).then((r) => oauth.processRefreshTokenResponse(server, client, r)),
  { error: 'invalid_grant' },
)

// It pushes its request, though it has nothing to prove itself by (RFC 9126).
await redeem(await signIn({}, async (params) => {
  const { request_uri, expires_in } = await oauth.processPushedAuthorizationResponse(server, client, await oauth.pushedAuthorizationRequest(server, client, auth, params, http))
  assert.equal(expires_in, 60)
  return new URLSearchParams({ client_id, request_uri })
}))

// Errors come back as such: with the state and the issuer, which the client checks.
const denied = await signIn({ scope: 'openid no:such' })
assert.throws(() => oauth.validateAuthResponse(server, client, denied.landed, denied.state), { error: 'invalid_scope' })
const foreign = await signIn()
assert.throws(() => oauth.validateAuthResponse({ ...server, issuer: 'https://other.example' }, client, foreign.landed, foreign.state))

finish()
